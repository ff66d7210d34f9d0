import { sectionsFor } from '$lib/staff';

import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals }) => {
  const scopes = locals.session?.scopes ?? [];
  return { sections: sectionsFor(scopes), scopes };
};
