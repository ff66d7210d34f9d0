import { describe, expect, it } from 'vitest';

import { ROUTE_RULES, admit, bodyRuleOf } from '../src/lib/server/route-rules';

type Module = { actions?: Record<string, unknown>; [method: string]: unknown };

const loaders = import.meta.glob<Module>([
  '../src/routes/**/+page.server.ts',
  '../src/routes/**/+server.ts',
]);
const pages = Object.keys(import.meta.glob('../src/routes/**/+page.svelte'));

/** `/orders/[id=uuid]` for the path of a file of that route. */
function routeOf(file: string): string {
  return file.replace(/^\.\.\/src\/routes/, '').replace(/\/\+[^/]*$/, '') || '/';
}

const routes = new Set([...Object.keys(loaders), ...pages].map(routeOf));
const rules = Object.entries(ROUTE_RULES);

describe('the rules', () => {
  it('exist for each route, and for no other', () => {
    expect(Object.keys(ROUTE_RULES).sort()).toEqual([...routes].sort());
  });

  it.each(Object.entries(loaders))('know each form of %s', async (file, load) => {
    const module = await load();
    const methods = Object.keys(module).filter((name) => /^[A-Z]+$/.test(name));
    const forms = [...Object.keys(module.actions ?? {}), ...methods.filter((it) => it !== 'GET')];
    const { [routeOf(file)]: rule } = ROUTE_RULES as Record<string, (typeof rules)[0][1]>;
    expect(Object.keys(rule?.forms ?? {}).sort()).toEqual(forms.sort());
  });

  it.each(rules.filter(([route]) => /^\/(staff|orders|account)/.test(route)))(
    'keep %s from a visitor',
    (_, rule) => {
      expect(admit(rule.access, undefined)).toBe('sign-in');
      expect(rule.isPersonal).toBe(true);
    },
  );

  it.each(rules.filter(([route]) => route.startsWith('/staff')))(
    'keep %s from a shopper',
    (_, rule) => {
      const shopper = { scopes: ['profile:read', 'orders:read', 'orders:write'] };
      expect(admit(rule.access, shopper)).toBe('forbidden');
      for (const form of Object.values(rule.forms)) {
        expect(admit(form.access, shopper)).toBe('forbidden');
      }
    },
  );

  it('allow large bodies only for an import', () => {
    const large = rules.flatMap(([route, { forms }]) =>
      Object.values(forms).some(({ maxBytes }) => maxBytes > 64 * 1024) ? [route] : [],
    );
    expect(large).toEqual(['/staff/catalogue/import', '/staff/catalogue/import/piece']);
  });

  it('have no form with the name of an inherited property', () => {
    const rule = ROUTE_RULES['/sign-in'];
    expect(bodyRuleOf(rule, 'default')).toBeDefined();
    for (const name of ['constructor', '__proto__', 'toString', '', 'other']) {
      expect(bodyRuleOf(rule, name)).toBeUndefined();
    }
  });
});
