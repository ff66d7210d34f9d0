import { fail, redirect } from '@sveltejs/kit';

import { isProvider } from '$lib/ids';
import { pageOf } from '$lib/next-path';
import { outcome } from '$lib/server/api';
import { signInFirst, takeDraft } from '$lib/server/draft';
import { ownForm } from '$lib/server/own-form';
import { viewOperations } from '$lib/server/operations-view';
import { type Problem, refuse } from '$lib/server/problem';
import { refusalOf } from '$lib/staff';

import type { Actions, PageServerLoad } from './$types';
import { type CommandErrors, type Values, hasErrors, readForce, readResolve } from './commands';
import { readQuery } from './query';

const NO_VALUES: Values = { choice: '', reason: '' };

export const load: PageServerLoad = async ({ cookies, locals, url }) => {
  const query = readQuery(url.searchParams);
  const view = await viewOperations(locals.api, locals.session?.scopes ?? [], query);
  if (!view.ok) {
    if (view.problem.kind === 'invalid-cursor') redirect(303, url.pathname);
    refuse(view.problem, url);
  }
  return {
    view: view.value,
    query,
    draft: await takeDraft({ cookies, locals, url }),
    done: url.searchParams.get('done'),
    moved: Number(url.searchParams.get('moved')) || 0,
    left: Number(url.searchParams.get('left')) || 0,
  };
};

export const actions: Actions = {
  force: async (event) => {
    const { form } = await ownForm(event);
    const { provider, force, values, errors } = readForce(form);
    if (!provider || hasErrors(errors)) return wrong('force', provider ?? '', values, errors);
    const forced = await outcome(
      event.locals.api.PUT('/v1/ops/circuits/{provider}', {
        params: { path: { provider } },
        body: { force, reason: values.reason },
      }),
    );
    if (!forced.ok) return refused(event, form, 'force', provider, values, forced.problem);
    redirect(303, after(event.url, { done: force === null ? 'given-back' : 'forced' }));
  },

  release: async (event) => {
    const { form } = await ownForm(event);
    const order = String(form.get('order') ?? '');
    const refund = form.get('refund');
    const query = typeof refund === 'string' && refund ? { refund } : {};
    const released = await outcome(
      event.locals.api.POST('/v1/ops/parked/{order}/release', {
        params: { path: { order }, query },
      }),
    );
    if (!released.ok) {
      return refused(event, form, 'release', order, NO_VALUES, released.problem);
    }
    redirect(303, after(event.url, { done: 'released' }));
  },

  resolve: async (event) => {
    const { form } = await ownForm(event);
    const { id, resolution, values, errors } = readResolve(form);
    if (!resolution || hasErrors(errors)) return wrong('resolve', id, values, errors);
    const resolved = await outcome(
      event.locals.api.POST('/v1/ops/attention/{id}/resolve', {
        params: { path: { id } },
        body: { resolution, reason: values.reason },
      }),
    );
    if (!resolved.ok) return refused(event, form, 'resolve', id, values, resolved.problem);
    redirect(303, after(event.url, { done: 'resolved' }));
  },

  redrive: async (event) => {
    const { form } = await ownForm(event);
    const redriven = await outcome(event.locals.api.POST('/v1/ops/dead-letters/redrive'));
    if (!redriven.ok) return refused(event, form, 'redrive', '', NO_VALUES, redriven.problem);
    const { moved, left } = redriven.value;
    redirect(303, after(event.url, { done: 'redriven', moved: `${moved}`, left: `${left}` }));
  },
};

type Event = Parameters<NonNullable<Actions[string]>>[0];
type Action = 'force' | 'release' | 'resolve' | 'redrive';

function wrong(action: Action, subject: string, values: Values, errors: CommandErrors) {
  return fail(422, { action, subject, values, errors, refusal: undefined });
}

async function refused(
  event: Event,
  form: FormData,
  action: Action,
  subject: string,
  values: Values,
  problem: Problem,
) {
  if (problem.kind === 'unauthorized') return signInFirst(event, form);
  const errors: CommandErrors = {};
  return fail(409, { action, subject, values, errors, refusal: refusalOf(problem.kind) });
}

/** The URL of the page as it was, with the result of the command. */
function after(url: URL, told: Record<string, string>): string {
  const { page } = pageOf(url);
  const provider = page.searchParams.get('provider');
  return `${page.pathname}?${new URLSearchParams({
    ...(isProvider(provider) && { provider }),
    ...told,
  })}`;
}
