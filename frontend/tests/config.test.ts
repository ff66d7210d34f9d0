import { expect, it } from 'vitest';

import { parseConfig } from '../src/lib/server/config-rules';

const complete = {
  API_URL: 'https://api.example/v0/',
  AWS_REGION: 'eu-west-1',
  COGNITO_CLIENT_ID: 'client',
  COGNITO_CLIENT_SECRET: 'secret',
  FRONTEND_KEY: 'frontend',
  REQUESTS_PER_SECOND: '20',
  REQUEST_BURST: '100',
  SESSION_SECRET: 'x'.repeat(32),
};

it('reads a complete environment', () => {
  expect(parseConfig(complete)).toMatchObject({
    apiUrl: 'https://api.example/v0',
    cognitoEndpoint: undefined,
    previousSessionSecret: undefined,
    requestBudget: { perSecond: 20, burst: 100 },
    securityContact: undefined,
  });
});

it('lists all missing settings', () => {
  expect(() => parseConfig({ ...complete, API_URL: '', AWS_REGION: undefined })).toThrow(
    'API_URL is not set; AWS_REGION is not set',
  );
});

it('refuses a short secret without revealing it', () => {
  const refuse = () => parseConfig({ ...complete, SESSION_SECRET: 'hunter2' });
  expect(refuse).toThrow('SESSION_SECRET must be at least 32 characters');
  expect(refuse).not.toThrow('hunter2');
});

it('refuses a short previous secret as well', () => {
  expect(() => parseConfig({ ...complete, SESSION_SECRET_PREVIOUS: 'hunter2' })).toThrow(
    'SESSION_SECRET_PREVIOUS must be at least 32 characters',
  );
});

it.each(['', '0', '-1', '1.5', '1e3', 'many'])('refuses %j requests a second', (count) => {
  expect(() => parseConfig({ ...complete, REQUESTS_PER_SECOND: count })).toThrow(
    'REQUESTS_PER_SECOND',
  );
});

it.each(['security@example.com', 'javascript:x', 'mailto:a\nContact: b'])(
  'refuses the security contact %j',
  (contact) => {
    expect(() => parseConfig({ ...complete, SECURITY_CONTACT: contact })).toThrow(
      'SECURITY_CONTACT',
    );
  },
);

it('refuses an invalid URL', () => {
  expect(() => parseConfig({ ...complete, API_URL: 'localhost:4566' })).toThrow('API_URL');
});
