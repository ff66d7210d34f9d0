import { load as loadMessages } from '$lib/i18n/messages';

import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ data }) => ({
  ...data,
  t: await loadMessages(data.language),
});
