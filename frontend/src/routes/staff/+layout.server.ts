import { error, redirect } from '@sveltejs/kit';

import { signInPath } from '$lib/next-path';
import { mayEnter, sectionsFor } from '$lib/staff';

import type { LayoutServerLoad } from './$types';

export const load: LayoutServerLoad = ({ locals, url }) => {
  if (!locals.session) redirect(303, signInPath(url));
  const { scopes } = locals.session;
  if (!mayEnter(url.pathname, scopes)) error(403, 'forbidden');
  return { sections: sectionsFor(scopes), scopes };
};
