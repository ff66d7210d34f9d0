/** The checkout's form: its fields, their errors, and the order request. */
import { type Cart, parseCart } from '$lib/cart';
import { COUNTRIES, HOME_COUNTRY } from '$lib/countries';
import { isEmail } from '$lib/email';
import { readKey } from '$lib/idempotency';
import type { Placement } from '$lib/server/api';
import { tidy } from '$lib/tidy';

/** The address fields in display order, with the API's limits in characters. */
export const ADDRESS = [
  { name: 'name', max: 100, required: true, autocomplete: 'name' },
  { name: 'line1', max: 100, required: true, autocomplete: 'address-line1' },
  { name: 'line2', max: 100, required: false, autocomplete: 'address-line2' },
  { name: 'postal_code', max: 20, required: true, autocomplete: 'postal-code' },
  { name: 'city', max: 100, required: true, autocomplete: 'address-level2' },
  { name: 'region', max: 100, required: false, autocomplete: 'address-level1' },
] as const;

/** The payment provider's test cards, good and bad. */
export const CARDS = [
  'pm_card_visa',
  'pm_card_mastercard',
  'pm_card_chargeDeclined',
  'pm_card_chargeDeclinedInsufficientFunds',
] as const;

export type Card = (typeof CARDS)[number];
export type AddressField = (typeof ADDRESS)[number]['name'] | 'country';
export type FieldName = AddressField | 'card' | 'email';
export type FieldError = 'required' | 'tooLong' | 'country' | 'card' | 'email' | 'refused';
export type FieldErrors = Partial<Record<FieldName, FieldError>>;

export type Values = Record<AddressField, string> & {
  card: string;
  /** Only for guests. */ email: string;
};

export const BLANK: Values = {
  name: '',
  line1: '',
  line2: '',
  postal_code: '',
  city: '',
  region: '',
  country: HOME_COUNTRY,
  card: CARDS[0],
  email: '',
};

export type Request = {
  /** The idempotency key of the intent: sending it again places no second order. */
  key: string | undefined;
  cart: Cart;
  /** The total that the shopper was shown. */
  totalCents: number;
  /** The total's currency. */
  currency: string;
  values: Values;
};

export function read(form: FormData): Request {
  const text = (name: string) => {
    const value = form.get(name);
    return typeof value === 'string' ? tidy(value) : '';
  };
  return {
    key: readKey(form),
    cart: parseCart(text('cart')),
    totalCents: Number(text('total')),
    currency: text('currency'),
    values: {
      name: text('name'),
      line1: text('line1'),
      line2: text('line2'),
      postal_code: text('postal_code'),
      city: text('city'),
      region: text('region'),
      country: text('country'),
      card: text('card'),
      email: text('email'),
    },
  };
}

export function check(values: Values, isGuest = false): FieldErrors {
  const errors: FieldErrors = {};
  for (const { name, max, required } of ADDRESS) {
    if (required && values[name] === '') errors[name] = 'required';
    if ([...values[name]].length > max) errors[name] = 'tooLong';
  }
  if (!COUNTRIES.includes(values.country)) errors.country = 'country';
  if (!CARDS.some((card) => card === values.card)) errors.card = 'card';
  if (isGuest && !isEmail(values.email)) errors.email = 'email';
  return errors;
}

export function placement(request: Request): Placement {
  const { card, name, line1, line2, postal_code, city, region, country } = request.values;
  const address = { name, line1, postal_code, city, country };
  return {
    currency: request.currency,
    lines: request.cart.map(({ sku, quantity }) => ({ sku, quantity })),
    shipping_address: { ...address, ...(line2 && { line2 }), ...(region && { region }) },
    payment_method: card,
  };
}

/** The form field for an API path such as `shipping_address.city`. */
export function fieldOf(path: string | undefined): FieldName | undefined {
  if (path === 'payment_method') return 'card';
  if (path === 'email') return 'email';
  if (path === 'shipping_address.country') return 'country';
  return ADDRESS.find(({ name }) => path === `shipping_address.${name}`)?.name;
}

/** The index of the line in an API path such as `lines[2].sku`. */
export function lineOf(path: string | undefined): number | undefined {
  const index = path?.match(/^lines\[(\d+)\]/)?.[1];
  return index === undefined ? undefined : Number(index);
}
