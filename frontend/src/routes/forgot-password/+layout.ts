import { load as loadMessages } from '$lib/i18n/account/messages';

import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ parent }) => {
  const { language } = await parent();
  return { account: await loadMessages(language) };
};
