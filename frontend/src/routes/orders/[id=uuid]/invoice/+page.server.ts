import { viewOrder } from '$lib/server/order-view';
import { refuse } from '$lib/server/problem';

import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals, params, url }) => {
  const view = await viewOrder(locals.api, params.id);
  if (!view.ok) refuse(view.problem, url);
  return { view: view.value };
};
