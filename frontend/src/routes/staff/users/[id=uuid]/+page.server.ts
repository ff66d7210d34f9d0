import { fail, redirect } from '@sveltejs/kit';

import { pageOf } from '$lib/next-path';
import { type Api, type User, outcome } from '$lib/server/api';
import { signInFirst, takeDraft } from '$lib/server/draft';
import { ownForm } from '$lib/server/own-form';
import { refuse } from '$lib/server/problem';
import { refusalOf } from '$lib/staff';

import type { Actions, PageServerLoad } from './$types';
import { type Action, type FormState, readChange } from './changes';

/** How many audit rows of the account are shown. */
const AUDIT_ROWS = 10;

export const load: PageServerLoad = async ({ cookies, locals, params, url }) => {
  const { id } = params;
  const [user, audit] = await Promise.all([
    outcome(locals.api.GET('/v1/users/{id}', { params: { path: { id } } })),
    outcome(locals.api.POST('/v1/audit/search', { body: { target: id, limit: AUDIT_ROWS } })),
  ]);
  if (!user.ok) refuse(user.problem, url);
  return {
    user: user.value,
    isMe: user.value.email === locals.session?.email,
    mayChange: locals.session?.scopes.includes('users:write') ?? false,
    // The rest of the page works without it.
    audit: audit.ok ? audit.value.items : [],
    draft: await takeDraft({ cookies, locals, url }),
    done: url.searchParams.get('done'),
  };
};

type Answer = Promise<{ data?: User; error?: unknown; response: Response }>;
type Change = ReturnType<typeof readChange>;
type Event = Parameters<NonNullable<Actions[string]>>[0];

/** An action that changes the account, with a reason. */
function changing(
  action: Action,
  done: string,
  change: (api: Api, id: string, it: Change) => Answer,
) {
  return async (event: Event) => {
    const { locals, params, url } = event;
    const { form } = await ownForm(event);
    const wanted = readChange(form);
    const again = (status: number, formState: FormState) => fail(status, { action, formState });
    if (wanted.error) return again(422, wanted);

    const changed = await outcome(change(locals.api, params.id ?? '', wanted));
    if (changed.ok) redirect(303, `${pageOf(url).page.pathname}?done=${done}`);
    if (changed.problem.kind === 'unauthorized') return signInFirst(event, form);
    return again(409, { ...wanted, refusal: refusalOf(changed.problem.kind) });
  };
}

export const actions: Actions = {
  roles: changing('roles', 'roles', (api, id, { roles, reason }) =>
    api.PUT('/v1/users/{id}/roles', { params: { path: { id } }, body: { roles, reason } }),
  ),
  signOut: changing('signOut', 'sign-out', (api, id, { reason }) =>
    api.POST('/v1/users/{id}/sign-out', { params: { path: { id } }, body: { reason } }),
  ),
  disable: changing('disable', 'disable', (api, id, { reason }) =>
    api.POST('/v1/users/{id}/disable', { params: { path: { id } }, body: { reason } }),
  ),
  enable: changing('enable', 'enable', (api, id, { reason }) =>
    api.POST('/v1/users/{id}/enable', { params: { path: { id } }, body: { reason } }),
  ),
  resetSecondFactor: changing('resetSecondFactor', 'second-factor', (api, id, { reason }) =>
    api.POST('/v1/users/{id}/second-factor/reset', {
      params: { path: { id } },
      body: { reason },
    }),
  ),
};
