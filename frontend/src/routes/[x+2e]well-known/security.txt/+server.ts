/** Where to report a vulnerability of the shop (RFC 9116). */
import { error } from '@sveltejs/kit';

import { LANGUAGES } from '$lib/i18n/language';
import { config } from '$lib/server/config';

import type { RequestHandler } from './$types';

const DAY_MS = 24 * 60 * 60 * 1000;
/** The RFC recommends less than a year. */
const VALID_DAYS = 180;

export const GET: RequestHandler = ({ url }) => {
  const { securityContact } = config();
  if (!securityContact) error(404, 'not-found');
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const lines = [
    `Contact: ${securityContact}`,
    `Expires: ${new Date(today + VALID_DAYS * DAY_MS).toISOString()}`,
    `Preferred-Languages: ${LANGUAGES.join(', ')}`,
    `Canonical: ${url.origin}${url.pathname}`,
  ];
  return new Response(lines.map((line) => `${line}\n`).join(''), {
    headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'max-age=86400' },
  });
};
