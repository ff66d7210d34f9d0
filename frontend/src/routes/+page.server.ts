import { UNAVAILABLE, refuse } from '$lib/server/problem';
import { selectionFor } from '$lib/server/selection';

import type { PageServerLoad } from './$types';

export const load: PageServerLoad = async ({ locals, url }) =>
  (await selectionFor(locals.language, locals.api)) ?? refuse(UNAVAILABLE, url);
