/** The details of an order's event, as texts for staff. */
import { moment, money } from '$lib/format';
import type { Language } from '$lib/i18n/language';
import type { StaffMessages } from '$lib/i18n/staff/messages';
import type { TimelineEntry } from '$lib/server/api';

export type Detail = { name: string; text: string };

const TIMES = ['capture_before', 'deadline', 'evidence_due_by', 'next_attempt', 'since'];

/** In the API's order. */
export function detailsOf(
  { data }: TimelineEntry,
  currency: string,
  language: Language,
  t: StaffMessages,
): Detail[] {
  const names: Record<string, string> = t.order.details;
  return Object.entries(data).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === '') return [];
    if (name === 'cents') {
      return [{ name: names.amount ?? name, text: money(Number(value), currency, language) }];
    }
    return [{ name: names[name] ?? name, text: textOf(name, String(value), language, t) }];
  });
}

function textOf(name: string, value: string, language: Language, t: StaffMessages): string {
  if (TIMES.includes(name)) return moment(value, language);
  if (name === 'provider') return (t.provider as Record<string, string>)[value] ?? value;
  if (name === 'status') return (t.order.disputeStatus as Record<string, string>)[value] ?? value;
  if (name === 'funds') return (t.order.disputeFunds as Record<string, string>)[value] ?? value;
  if (name === 'by') return (t.order.cancelledBy as Record<string, string>)[value] ?? value;
  return value;
}
