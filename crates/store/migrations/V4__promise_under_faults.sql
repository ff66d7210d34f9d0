-- What it takes to keep the promise while a provider fails: unfinished work that is looked after until
-- it is done, refunds, what a person has to decide, and who did what.

alter table orders
    add column authorize_round integer not null default 0,
    add column capture_before timestamptz,
    add column refunds jsonb not null default '[]';

-- A parcel is known to the carrier by its number.
create index orders_by_tracking_number on orders ((label ->> 'tracking_number'));

-- The outbox holds what is not finished: an order until it is shipped or undone, a refund until it is
-- given back or has failed. A row is looked after again at `check_at`, ever less often.
alter table outbox
    drop constraint outbox_pkey,
    add column refund_id uuid,
    -- The number of the execution that works on it: another one when that is gone.
    add column execution integer not null default 0,
    add column check_at timestamptz not null default now() + interval '30 seconds',
    add constraint outbox_work unique nulls not distinct (order_id, refund_id);

create index outbox_by_check on outbox (check_at);
drop index outbox_by_age;

-- What has no one right answer, for a person to decide.
create table attention (
    id uuid primary key,
    order_id uuid references orders,
    -- What it is about: an order's id, or the provider's name for something that has no order.
    subject text not null,
    kind text not null,
    detail text not null,
    raised_at timestamptz not null,
    resolved_at timestamptz,
    resolved_by text,
    resolution text,
    reason text,
    check ((resolved_at is null) = (resolution is null))
);

-- The same thing is raised once until it is resolved.
create unique index attention_open on attention (subject, kind) where resolved_at is null;

-- Who did what, or tried to.
create table audit_log (
    id uuid primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    target text not null,
    reason text,
    outcome text not null check (outcome in ('done', 'refused')),
    before jsonb,
    after jsonb,
    trace_id text not null
);

create index audit_log_by_target on audit_log (target, at desc);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name;
end
$$;

create trigger audit_log_is_append_only
before update or delete or truncate on audit_log
execute function refuse_change();

-- What the providers have told us, so that telling it again changes nothing.
create table provider_events (
    provider text not null,
    id text not null,
    received_at timestamptz not null,
    primary key (provider, id)
);

create index provider_events_by_age on provider_events (received_at);

-- Up to when a provider's own records have been compared with ours, such as `payments:soon`.
create table reconciliations (
    name text primary key,
    compared_to timestamptz not null
);

-- As record_events of V3, which this one calls, with what an order has now.
create function record_events(
    p_id uuid,
    p_seen integer,
    p_status text,
    p_payment text,
    p_fulfilment text,
    p_hold jsonb,
    p_payment_id text,
    p_authorize_round integer,
    p_capture_before timestamptz,
    p_refunds jsonb,
    p_label jsonb,
    p_at timestamptz,
    p_kinds text[],
    p_data jsonb[],
    -- The refunds that these events ask for.
    p_new_refunds uuid[],
    p_owner uuid,
    p_key text,
    p_request_hash bytea,
    p_answer text
) returns boolean language plpgsql as $$
begin
    if not record_events(
        p_id, p_seen, p_status, p_payment, p_fulfilment, p_hold, p_payment_id, p_label, p_at,
        p_kinds, p_data, p_owner, p_key, p_request_hash, p_answer)
    then
        return false;
    end if;
    update orders
    set authorize_round = p_authorize_round, capture_before = p_capture_before,
        refunds = p_refunds
    where id = p_id
        and (authorize_round, capture_before, refunds)
            is distinct from (p_authorize_round, p_capture_before, p_refunds);
    insert into outbox (order_id, refund_id, created_at)
    select p_id, refund, p_at from unnest(p_new_refunds) as refund;
    return true;
end
$$;
