import { count } from '$lib/cart';

import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals }) => ({
  language: locals.language,
  email: locals.session?.email,
  cartCount: count(locals.cart),
});
