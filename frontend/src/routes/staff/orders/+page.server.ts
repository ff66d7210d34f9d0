import { redirect } from '@sveltejs/kit';

import type { PageServerLoad } from './$types';

const ID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export const load: PageServerLoad = ({ url }) => {
  const id = (url.searchParams.get('id') ?? '').trim();
  if (ID.test(id)) redirect(303, `/staff/orders/${id.toLowerCase()}`);
  return { id, wrong: url.searchParams.has('id') };
};
