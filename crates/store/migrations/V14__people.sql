-- People's data: what is erased when a person asks for it, and what is erased by itself when it is old.
--
-- The functions' user may not rewrite what only grows. These functions may, as the tables' owner, each within bounds
-- of its own: no caller gets rid of the books, or of fresh rows of the audit log.

-- Who asked to be erased. The row comes first, so that what breaks off half way is finished by the job.
create table erasures (
    id uuid primary key,
    -- The account, or the guest.
    shopper uuid not null,
    -- The only order to erase; none means all of the person's data.
    order_id uuid,
    -- The address that other rows name the person by; gone when the erasure has ended.
    email text,
    requested_at timestamptz not null,
    -- An access token outlasts its account by some minutes: what it does meanwhile is erased, too.
    ends_after timestamptz not null,
    ended_at timestamptz,
    check ((ended_at is null) = (email is not null))
);

create unique index erasures_open on erasures (shopper, order_id) nulls not distinct where ended_at is null;
create index erasures_by_end on erasures (ended_at);

-- Up to which time of placement orders have been gone through, such as `guests`.
create table retention (
    name text primary key,
    done_to timestamptz not null
);

grant select, insert, update, delete on erasures to cauce_app;
grant select, insert, update on retention to cauce_app;
grant delete on idempotency_keys, order_rates to cauce_app;

-- Append-only, but for the functions below.
create or replace function refuse_change() returns trigger language plpgsql as $$
begin
    if current_setting('cauce.erases', true) = 'on' then
        return null;
    end if;
    raise exception '% is append-only', tg_table_name;
end
$$;

-- Takes the person out of these orders. What the books need stays: amounts, times, products, the country.
create function erase_orders(p_ids uuid[]) returns void
language plpgsql security definer set search_path = public, pg_temp set cauce.erases = 'on' as $$
begin
    update orders
    set shopper = '00000000-0000-0000-0000-000000000000', email = 'erased', payment_method = 'pm_erased',
        shipping_address = jsonb_build_object('name', 'erased', 'line1', 'erased', 'city', 'erased',
            'postal_code', 'erased', 'country', shipping_address -> 'country'),
        refunds = (
            select coalesce(jsonb_agg(refund || '{"reason": ""}' order by position), '[]')
            from jsonb_array_elements(refunds) with ordinality as it (refund, position)
        )
    where id = any (p_ids) and not exists (select from outbox where outbox.order_id = orders.id);
    update order_events set data = data - 'reason'
    where order_id = any (p_ids) and kind in ('cancelled', 'refund_requested') and data ? 'reason';
    update attention set reason = null where order_id = any (p_ids) and reason is not null;
    update audit_log set reason = null where target = any (p_ids::text[]) and reason is not null;
    update refund_approvals set reason = '', decision_reason = null where order_id = any (p_ids);
end
$$;

-- Takes the person out of everything but orders.
create function erase_account(p_shopper uuid, p_email text) returns void
language plpgsql security definer set search_path = public, pg_temp set cauce.erases = 'on' as $$
begin
    -- A guest does nothing that is audited, and an e-mail address may have been another person's before: rows are a
    -- person's by id. The id stays, which leads to no one once the account is gone.
    update audit_log set actor = 'erased' where actor_id = p_shopper or actor = p_shopper::text;
    update audit_log
    set reason = null,
        before = case jsonb_typeof(before) when 'object' then before - 'email' else before end,
        after = case jsonb_typeof(after) when 'object' then after - 'email' else after end
    where target = p_shopper::text;
    update refund_approvals set requested_by_name = 'erased' where requested_by = p_shopper;
    update refund_approvals set decided_by_name = 'erased' where decided_by = p_shopper;
    delete from refund_allowances where actor_id = p_shopper;
    if uuid_extract_version(p_shopper) is distinct from 5 then
        update stock_adjustments set actor = 'erased' where actor in (p_email, p_shopper::text);
        update attention set resolved_by = 'erased' where resolved_by in (p_email, p_shopper::text);
    end if;
    delete from idempotency_keys where owner = p_shopper;
    delete from order_rates where shopper = p_shopper;
    -- As functions/api counts a shopper's refusals.
    delete from attempts where name = 'audit.refused ' || p_shopper::text;
end
$$;

-- Asks for a person's data to be erased, or one order's, unless that is asked for already.
--   CA020  an order, or a refund, is still under way
create function request_erasure(
    p_id uuid,
    p_shopper uuid,
    p_order_id uuid,
    p_email text,
    p_at timestamptz,
    p_ends_after timestamptz
) returns uuid language plpgsql as $$
declare
    open_erasure uuid;
begin
    if exists (
        select from orders join outbox on outbox.order_id = orders.id
        where orders.shopper = p_shopper and (p_order_id is null or orders.id = p_order_id))
    then
        raise exception 'orders are under way' using errcode = 'CA020';
    end if;
    insert into erasures (id, shopper, order_id, email, requested_at, ends_after)
    values (p_id, p_shopper, p_order_id, p_email, p_at, p_ends_after)
    on conflict do nothing;
    select id into strict open_erasure from erasures
    where shopper = p_shopper and order_id is not distinct from p_order_id and ended_at is null;
    return open_erasure;
end
$$;

-- Erases what an open erasure is about, some orders at a time; returns whether it has ended. Safe to run again.
create function carry_out_erasure(p_id uuid, p_now timestamptz, p_limit integer) returns boolean
language plpgsql as $$
declare
    open_erasure erasures;
    finished uuid[];
begin
    select * into open_erasure from erasures where id = p_id and ended_at is null for update;
    if not found then
        return true;
    end if;
    select array_agg(id) into finished from (
        select id from orders
        where shopper = open_erasure.shopper
            and (open_erasure.order_id is null or id = open_erasure.order_id)
            and not exists (select from outbox where outbox.order_id = orders.id)
        order by id desc limit p_limit
    ) as batch;
    perform erase_orders(finished);
    if open_erasure.order_id is null then
        perform erase_account(open_erasure.shopper, open_erasure.email);
    else
        delete from idempotency_keys
        where owner = open_erasure.shopper and position(open_erasure.order_id::text in answer) > 0;
    end if;
    if p_now < open_erasure.ends_after or exists (
        select from orders
        where shopper = open_erasure.shopper
            and (open_erasure.order_id is null or id = open_erasure.order_id))
    then
        return false;
    end if;
    update erasures set ended_at = p_now, email = null where id = p_id;
    return true;
end
$$;

-- Takes people out of finished orders that were placed before a time, guests' or accounts', the oldest first; returns
-- how many orders that were.
create function erase_old_orders(p_of_guests boolean, p_before timestamptz, p_limit integer) returns bigint
language plpgsql as $$
declare
    kind text := case when p_of_guests then 'guests' else 'accounts' end;
    begins timestamptz := coalesce((select done_to from retention where name = kind), '-infinity');
    old uuid[];
    ends timestamptz;
    -- An order that is not finished is come back to. One that finishes meanwhile counts as not finished.
    unfinished timestamptz := (
        select min(placed_at) from orders join outbox on outbox.order_id = orders.id);
begin
    -- Guests' ids are of version 5 (`ShopperId::guest`), accounts' of any form that Cognito likes. What is erased already
    -- has the nil id.
    select array_agg(id), max(placed_at) into old, ends from (
        select id, placed_at from orders
        where placed_at >= begins and placed_at < p_before
            and case when p_of_guests then uuid_extract_version(shopper) = 5
                else uuid_extract_version(shopper) is distinct from 5
                    and shopper <> '00000000-0000-0000-0000-000000000000' end
            and not exists (select from outbox where outbox.order_id = orders.id)
        order by placed_at limit p_limit
    ) as batch;
    perform erase_orders(old);
    if coalesce(cardinality(old), 0) < p_limit then
        ends := p_before;
    end if;
    ends := least(ends, unfinished);
    insert into retention (name, done_to) values (kind, ends)
    on conflict (name) do update set done_to = excluded.done_to;
    return coalesce(cardinality(old), 0);
end
$$;

-- Deletes whole orders that no law asks for any more; returns how many. Six years of books stay, whatever is asked.
create function delete_old_orders(p_before timestamptz, p_limit integer) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    old uuid[];
begin
    select array_agg(id) into old from (
        select id from orders
        where placed_at < least(p_before, now() - interval '6 years')
            and not exists (select from outbox where outbox.order_id = orders.id)
        order by placed_at limit p_limit
    ) as batch;
    delete from attention where order_id = any (old);
    delete from order_events where order_id = any (old);
    delete from order_lines where order_id = any (old);
    delete from orders where id = any (old);
    return coalesce(cardinality(old), 0);
end
$$;

-- Deletes old rows of the audit log, and what a person has resolved; returns how many. The last month stays,
-- whatever is asked.
create function delete_old_audit(p_before timestamptz, p_limit integer) returns bigint
language plpgsql security definer set search_path = public, pg_temp set cauce.erases = 'on' as $$
declare
    floor timestamptz := least(p_before, now() - interval '30 days');
    deleted bigint;
    resolved bigint;
begin
    delete from audit_log where id in (
        select id from audit_log where at < floor order by at limit p_limit);
    get diagnostics deleted = row_count;
    delete from attention where id in (
        select id from attention where resolved_at < floor limit p_limit);
    get diagnostics resolved = row_count;
    return greatest(deleted, resolved);
end
$$;

-- Takes staff out of old adjustments of the stock; returns how many these were.
create function erase_old_adjusters(p_before timestamptz, p_limit integer) returns bigint
language plpgsql security definer set search_path = public, pg_temp set cauce.erases = 'on' as $$
declare
    erased bigint;
begin
    update stock_adjustments set actor = 'erased' where id in (
        select id from stock_adjustments
        where at < least(p_before, now() - interval '30 days') and actor <> 'erased'
        order by at limit p_limit);
    get diagnostics erased = row_count;
    return erased;
end
$$;

-- squawk-ignore require-concurrent-index-creation
create index if not exists stock_adjustments_with_actor on stock_adjustments (at) where actor <> 'erased';

revoke execute on function
    erase_orders, erase_account, delete_old_orders, delete_old_audit, erase_old_adjusters
    from public;
grant execute on function
    erase_orders, erase_account, delete_old_orders, delete_old_audit, erase_old_adjusters
    to cauce_app;
