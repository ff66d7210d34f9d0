import { expect, it } from 'vitest';

import { parseConfig } from '../src/lib/server/config-rules';

const complete = {
  API_URL: 'https://api.example/v0/',
  AWS_REGION: 'eu-west-1',
  COGNITO_CLIENT_ID: 'client',
  FRONTEND_KEY: 'frontend',
  SESSION_SECRET: 'x'.repeat(32),
};

it('reads a complete environment', () => {
  expect(parseConfig(complete)).toMatchObject({
    apiUrl: 'https://api.example/v0',
    cognitoEndpoint: undefined,
  });
});

it('names everything that is missing at once', () => {
  expect(() => parseConfig({ ...complete, API_URL: '', AWS_REGION: undefined })).toThrow(
    'API_URL is not set; AWS_REGION is not set',
  );
});

it('refuses a short secret without telling it', () => {
  const refuse = () => parseConfig({ ...complete, SESSION_SECRET: 'hunter2' });
  expect(refuse).toThrow('SESSION_SECRET must be at least 32 characters');
  expect(refuse).not.toThrow('hunter2');
});

it('refuses what is no address', () => {
  expect(() => parseConfig({ ...complete, API_URL: 'localhost:4566' })).toThrow('API_URL');
});
