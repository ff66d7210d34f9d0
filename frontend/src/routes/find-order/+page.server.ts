import { fail, redirect } from '@sveltejs/kit';

import { isEmail } from '$lib/email';
import { readText } from '$lib/server/account-form';
import { remember, viewGuestOrder } from '$lib/server/guest';

import type { Actions, PageServerLoad } from './$types';

export type FindError = 'number' | 'email' | 'not-found' | 'too-many-tries' | 'unavailable';

/** People may write it in lower case, or without hyphens. */
const NUMBER = /^[0-9a-z]{4}[- ]?[0-9a-z]{4}[- ]?[0-9a-z]{2}$/i;
const TOLD = ['not-found', 'too-many-tries'] as const;

export const load: PageServerLoad = ({ url }) => ({
  error: TOLD.find((error) => url.searchParams.has(error)),
});

export const actions: Actions = {
  default: async ({ cookies, locals, request }) => {
    const form = await request.formData();
    const number = readText(form, 'number').trim();
    const email = readText(form, 'email').trim();
    const again = (status: number, error: FindError) => fail(status, { number, email, error });
    if (!NUMBER.test(number)) return again(422, 'number');
    if (!isEmail(email)) return again(422, 'email');

    const found = await viewGuestOrder(locals.api, { number, email });
    if (found.ok) {
      await remember(cookies, { number: found.value.order.number, email });
      redirect(303, '/guest-order');
    }
    const { kind } = found.problem;
    // A number or an address that the API rejects belongs to no order.
    if (kind === 'not-found' || kind === 'validation') return again(404, 'not-found');
    return again(503, kind === 'too-many-tries' ? kind : 'unavailable');
  },
};
