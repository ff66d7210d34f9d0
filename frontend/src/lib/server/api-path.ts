/** Fills the parameters of an API path. Each must have the format of its kind of id. */
import { isProvider, isSku, isUuid } from '$lib/ids';

const FORMS: Record<string, (value: unknown) => value is string> = {
  id: isUuid,
  order: isUuid,
  provider: isProvider,
  sku: isSku,
};

/** A value in no valid format, which could lead to another path. It is never sent. */
export class InvalidPathParameter extends Error {
  constructor(readonly parameter: string) {
    super(`The path parameter ${parameter} is malformed.`);
    this.name = 'InvalidPathParameter';
  }
}

/** `/v1/orders/{id}` with the parameters in place of their names. */
export function apiPath(template: string, values: Record<string, unknown>): string {
  return template.replace(/\{([^}]*)\}/g, (_, name: string) => {
    const value = values[name];
    if (!FORMS[name]?.(value)) throw new InvalidPathParameter(name);
    return encodeURIComponent(value);
  });
}
