import { load as loadMessages } from '$lib/i18n/staff/messages';

import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ data, parent }) => {
  const { language } = await parent();
  return { ...data, staff: await loadMessages(language) };
};
