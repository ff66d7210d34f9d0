/** The environment variables and their rules. */
export type Config = {
  /** The base URL of the HTTP API, without a slash at the end. */
  apiUrl: string;
  /** The endpoint of Cognito, if it is not AWS. */
  cognitoEndpoint: string | undefined;
  cognitoClientId: string;
  /** The secret of the app client. */
  cognitoClientSecret: string;
  region: string;
  /** The key that makes the API trust the client address this frontend sends. */
  frontendKey: string;
  /** The cookies' keys are derived from it. */
  sessionSecret: string;
  /** The previous secret, or the next one during a rotation. It opens cookies, too. */
  previousSessionSecret: string | undefined;
  /** The rate limit of one network. */
  requestBudget: { perSecond: number; burst: number };
  /** Where to report vulnerabilities: a contact by RFC 9116, such as `mailto:…`. */
  securityContact: string | undefined;
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
  const secret = (name: string, value: string | undefined) => {
    if (value && value.length < SECRET_LENGTH) {
      wrong.push(`${name} must be at least ${SECRET_LENGTH} characters`);
    }
    return value;
  };
  const count = (name: string, value: string) => {
    if (value && !/^[1-9]\d{0,5}$/.test(value)) wrong.push(`${name} must be 1 to 999999`);
    return Number(value);
  };
  const contact = (name: string, value: string | undefined) => {
    if (value && !/^(?:mailto:|https:\/\/|tel:)[\x21-\x7e]+$/.test(value)) {
      wrong.push(`${name} must be a mailto:, https: or tel: address`);
    }
    return value;
  };

  const config: Config = {
    apiUrl: url('API_URL', required('API_URL')) ?? '',
    cognitoEndpoint: url('COGNITO_ENDPOINT', optional('COGNITO_ENDPOINT')),
    cognitoClientId: required('COGNITO_CLIENT_ID'),
    cognitoClientSecret: required('COGNITO_CLIENT_SECRET'),
    region: required('AWS_REGION'),
    frontendKey: required('FRONTEND_KEY'),
    sessionSecret: secret('SESSION_SECRET', required('SESSION_SECRET')) ?? '',
    previousSessionSecret: secret('SESSION_SECRET_PREVIOUS', optional('SESSION_SECRET_PREVIOUS')),
    requestBudget: {
      perSecond: count('REQUESTS_PER_SECOND', required('REQUESTS_PER_SECOND')),
      burst: count('REQUEST_BURST', required('REQUEST_BURST')),
    },
    securityContact: contact('SECURITY_CONTACT', optional('SECURITY_CONTACT')),
  };
  if (wrong.length > 0) throw new Error(`The environment is incomplete: ${wrong.join('; ')}.`);
  return config;
}
