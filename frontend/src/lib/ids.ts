/** The formats of the ids in URLs, as the API parses them. */

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const SKU = /^[A-Z0-9][A-Z0-9-]{0,39}$/;

export const PROVIDERS = ['payments', 'shipping'] as const;
type Provider = (typeof PROVIDERS)[number];

/** Whether it can be the id of an order, a user or an attention item. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

export function isSku(value: unknown): value is string {
  return typeof value === 'string' && SKU.test(value);
}

export function isProvider(value: unknown): value is Provider {
  return PROVIDERS.some((provider) => provider === value);
}
