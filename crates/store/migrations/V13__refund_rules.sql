-- Rules for refunds: a limit for each person and day, and approval by a second person.

-- How much a person has refunded on a day (UTC), by currency.
create table refund_allowances (
    actor_id uuid not null,
    day date not null,
    currency text not null,
    cents bigint not null check (cents > 0),
    primary key (actor_id, day, currency)
);

-- Refunds that need a second person. An approved one is a refund of the same id.
create table refund_approvals (
    id uuid primary key,
    order_id uuid not null references orders on delete cascade,
    cents bigint not null check (cents > 0),
    currency text not null,
    reason text not null,
    requested_by uuid not null,
    -- The requester's e-mail address at that time; it can become another person's.
    requested_by_name text not null,
    requested_at timestamptz not null,
    expires_at timestamptz not null,
    decision text check (decision in ('approved', 'declined')),
    decided_by uuid,
    decided_by_name text,
    decided_at timestamptz,
    decision_reason text,
    check ((decision is null) = (decided_by is null)),
    check ((decision is null) = (decided_by_name is null)),
    check ((decision is null) = (decided_at is null)),
    constraint refund_approvals_two_people check (decision <> 'approved' or decided_by <> requested_by)
);

create index refund_approvals_by_order on refund_approvals (order_id, id desc);
create index refund_approvals_open on refund_approvals (id) where decision is null;

-- Counts a refund against its actor's limit of the day. Concurrent refunds of one person wait here for
-- each other's commit. A refusal undoes the statement that this is part of.
--   CA011  the limit would be exceeded; detail: how many cents are left
create function reserve_refund_allowance(
    p_actor uuid,
    p_at timestamptz,
    p_currency text,
    p_cents bigint,
    p_limit bigint
) returns boolean language plpgsql as $$
declare
    used bigint;
begin
    insert into refund_allowances as allowance (actor_id, day, currency, cents)
    values (p_actor, (p_at at time zone 'UTC')::date, p_currency, p_cents)
    on conflict (actor_id, day, currency) do update
        set cents = allowance.cents + excluded.cents
    returning cents into strict used;
    if used > p_limit then
        raise exception 'over the limit of the day'
            using errcode = 'CA011', detail = greatest(p_limit - (used - p_cents), 0)::text;
    end if;
    return true;
end
$$;

-- Requests approval: one call, one commit. Repeated under the same key, it returns the first answer.
--   CA001  the key was used for another request
create function request_refund_approval(
    p_id uuid,
    p_order uuid,
    p_cents bigint,
    p_currency text,
    p_reason text,
    p_by uuid,
    p_by_name text,
    p_at timestamptz,
    p_expires_at timestamptz,
    p_key text,
    p_request_hash bytea,
    p_answer text,
    out replayed boolean,
    out answer text
) language plpgsql as $$
declare
    used idempotency_keys;
begin
    -- A second call with the key waits here until the first has committed or is undone.
    insert into idempotency_keys (owner, key, request_hash, answer, created_at)
    values (p_by, p_key, p_request_hash, p_answer, p_at)
    on conflict do nothing;
    if not found then
        select * into strict used from idempotency_keys k where k.owner = p_by and k.key = p_key;
        if used.request_hash <> p_request_hash then
            raise exception 'idempotency key reused' using errcode = 'CA001';
        end if;
        replayed := true;
        answer := used.answer;
        return;
    end if;
    insert into refund_approvals (
        id, order_id, cents, currency, reason, requested_by, requested_by_name, requested_at, expires_at)
    values (p_id, p_order, p_cents, p_currency, p_reason, p_by, p_by_name, p_at, p_expires_at);
    replayed := false;
    answer := p_answer;
end
$$;

-- Approves a refund that is recorded by the statement that this is part of.
--   CA012  the request was decided before, or has expired
create function approve_refund(p_id uuid, p_by uuid, p_by_name text, p_at timestamptz)
returns boolean language plpgsql as $$
begin
    update refund_approvals
    set decision = 'approved', decided_by = p_by, decided_by_name = p_by_name, decided_at = p_at
    where id = p_id and decision is null and expires_at > p_at;
    if not found then
        raise exception 'no open request for approval' using errcode = 'CA012';
    end if;
    return true;
end
$$;

grant select, insert, update on refund_allowances to cauce_app;
grant select, insert on refund_approvals to cauce_app;
grant update (decision, decided_by, decided_by_name, decided_at, decision_reason)
    on refund_approvals to cauce_app;
