/** Which variables there are and what each must be. */
export type Config = {
  /** Base of the HTTP API, without a slash at the end. */
  apiUrl: string;
  /** Where Cognito is, where that is not AWS. */
  cognitoEndpoint: string | undefined;
  cognitoClientId: string;
  region: string;
  /** By which the API believes us for whom we ask. */
  frontendKey: string;
  /** Whatever the keys of the session cookies are derived from. */
  sessionSecret: string;
};

const SECRET_LENGTH = 32;

export function parseConfig(env: Record<string, string | undefined>): Config {
  const wrong: string[] = [];
  const optional = (name: string) => env[name]?.trim() || undefined;
  const required = (name: string) => {
    const value = optional(name);
    if (value === undefined) wrong.push(`${name} is not set`);
    return value ?? '';
  };
  const url = (name: string, value: string | undefined) => {
    if (value && !/^https?:$/.test(URL.parse(value)?.protocol ?? '')) {
      wrong.push(`${name} must be an http or https URL`);
    }
    return value?.replace(/\/+$/, '');
  };

  const config: Config = {
    apiUrl: url('API_URL', required('API_URL')) ?? '',
    cognitoEndpoint: url('COGNITO_ENDPOINT', optional('COGNITO_ENDPOINT')),
    cognitoClientId: required('COGNITO_CLIENT_ID'),
    region: required('AWS_REGION'),
    frontendKey: required('FRONTEND_KEY'),
    sessionSecret: required('SESSION_SECRET'),
  };
  if (config.sessionSecret && config.sessionSecret.length < SECRET_LENGTH) {
    wrong.push(`SESSION_SECRET must be at least ${SECRET_LENGTH} characters`);
  }
  if (wrong.length > 0) throw new Error(`The environment is incomplete: ${wrong.join('; ')}.`);
  return config;
}
