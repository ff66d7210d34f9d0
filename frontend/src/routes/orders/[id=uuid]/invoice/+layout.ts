import { load as loadMessages } from '$lib/i18n/invoice/messages';

import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ parent }) => {
  const { language } = await parent();
  return { texts: await loadMessages(language) };
};
