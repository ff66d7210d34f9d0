import { count } from '$lib/cart';
import { sectionsFor } from '$lib/staff';

import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals }) => ({
  language: locals.language,
  subject: locals.session?.subject,
  email: locals.session?.email,
  isStaff: sectionsFor(locals.session?.scopes ?? []).length > 0,
  cartCount: count(locals.cart),
});
