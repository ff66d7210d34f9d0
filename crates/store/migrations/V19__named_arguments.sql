-- Functions with many parameters, of which two of the same type could be swapped unnoticed, take one jsonb argument. Its
-- members are named as the columns are. A new column is a new member and needs no new overload. A missing member is null
-- in a new row, and leaves the column of a changed row as it is.
--
-- The old overloads stay, because the version before calls them while this is deployed. They call the new functions. Two
-- are left as they are, because calls that began before this migration still need them: accept_order of V2 and
-- record_events of V3. The first migration of the next release drops all old overloads.

create function claim_key(p_claim jsonb, p_at timestamptz) returns text language plpgsql as $$
-- Claims an idempotency key. Returns the answer of the call that has used it for the same request, else null.
--   p_claim: owner, key, request_hash, answer of idempotency_keys
--   CA001  the key was used for another request
declare
    claim idempotency_keys := jsonb_populate_record(null::idempotency_keys, p_claim);
    used idempotency_keys;
begin
    -- A second call with the key waits here until the first has committed or is undone.
    insert into idempotency_keys (owner, key, request_hash, answer, created_at)
    values (claim.owner, claim.key, claim.request_hash, claim.answer, p_at)
    on conflict do nothing;
    if found then
        return null;
    end if;
    select * into strict used from idempotency_keys k where k.owner = claim.owner and k.key = claim.key;
    if used.request_hash <> claim.request_hash then
        raise exception 'idempotency key reused' using errcode = 'CA001';
    end if;
    return used.answer;
end
$$;

create function accept_order(p_request jsonb, out replayed boolean, out answer text) language plpgsql as $$
-- Accepts an order: one call, one commit. Repeated under the same key, it returns the first answer.
--   order: id, number, shopper, email, currency, total_cents, shipping_address, payment_method, placed_at of orders
--   lines: an array of sku, title, quantity, unit_cents of order_lines
--   claim: as of claim_key
--   network: that of the visitor: an IPv4 address, or an IPv6 network of 64 bits
--   limits: orders_a_minute of the shopper; max_unpaid_units and max_unpaid_cents, which the network, the shopper and
--     the card may each hold unpaid, and the network's IPv6 site ten times
--
-- Locks are always taken in the order site, network, card, key, rate, stock by SKU, so that no two calls wait for each
-- other. Orders of one network, and orders by one card, are accepted one after the other, so that each sees those
-- before it; those of one shopper are, by the row of their rate. A refusal is raised as an error, which undoes
-- everything the call has written; its SQLSTATE says which refusal it is and its detail what is at fault.
--   CA001  the key was used for another request
--   CA002  the shopper has placed too many orders this minute
--   CA003  not enough stock; detail: a JSON array of the SKUs
--   CA004  the network, its site, the shopper or the card would hold more than it may
declare
    this_order orders := jsonb_populate_record(null::orders, p_request -> 'order');
    lines order_lines[] := array(
        select line from jsonb_populate_recordset(null::order_lines, p_request -> 'lines') as line);
    skus text[] := array(select sku from unnest(lines));
    limits record;
    this_network text := p_request ->> 'network';
    this_site text := case
        when this_network like '%:%/64' then set_masklen(this_network::cidr, 48)::text
    end;
    -- The payment service's test cards, such as pm_card_visa, are everyone's: they are no one's bound.
    is_shared boolean := this_order.payment_method like 'pm\_card\_%';
    placed_this_minute integer;
    short text[];
    is_over boolean;
begin
    select * into strict limits
    from jsonb_to_record(p_request -> 'limits')
        as given (orders_a_minute integer, max_unpaid_units bigint, max_unpaid_cents bigint);

    if this_site is not null then
        perform pg_advisory_xact_lock(hashtextextended('site ' || this_site, 0));
    end if;
    perform pg_advisory_xact_lock(hashtextextended('network ' || this_network, 0));
    if not is_shared then
        perform pg_advisory_xact_lock(hashtextextended('card ' || this_order.payment_method, 0));
    end if;

    answer := claim_key(p_request -> 'claim', this_order.placed_at);
    replayed := answer is not null;
    if replayed then
        return;
    end if;
    answer := p_request #>> '{claim,answer}';

    insert into order_rates as rate (shopper, minute, placed)
    values (this_order.shopper, date_trunc('minute', this_order.placed_at), 1)
    on conflict (shopper) do update
        set placed = case when rate.minute = excluded.minute then rate.placed + 1 else 1 end,
            minute = excluded.minute
    returning rate.placed into placed_this_minute;
    -- A limit that is not given refuses, too.
    if (placed_this_minute <= limits.orders_a_minute) is not true then
        raise exception 'too many orders' using errcode = 'CA002';
    end if;

    perform from stock where sku = any (skus) order by sku for update;
    select array_agg(wanted.sku order by wanted.sku) into short
    from (select sku, sum(quantity) as quantity from unnest(lines) group by sku) as wanted
    left join stock on stock.sku = wanted.sku
    where coalesce(stock.available, 0) < wanted.quantity;
    if short is not null then
        raise exception 'out of stock' using errcode = 'CA003', detail = to_json(short)::text;
    end if;
    update stock
    set available = available - wanted.quantity
    from (select sku, sum(quantity) as quantity from unnest(lines) group by sku) as wanted
    where stock.sku = wanted.sku;

    insert into orders (
        id, number, shopper, email, status, payment, fulfilment, currency, total_cents,
        shipping_address, payment_method, placed_at, updated_at, version)
    values (
        this_order.id, this_order.number, this_order.shopper, this_order.email, 'pending', 'not_paid', 'unfulfilled',
        this_order.currency, this_order.total_cents, this_order.shipping_address, this_order.payment_method,
        this_order.placed_at, this_order.placed_at, 1);
    insert into order_lines (order_id, position, sku, title, quantity, unit_cents)
    select this_order.id, line.ordinality, line.sku, line.title, line.quantity, line.unit_cents
    from unnest(lines) with ordinality as line;
    insert into order_events (order_id, version, at, kind, data)
    values (this_order.id, 1, this_order.placed_at, 'accepted', '{}');
    insert into outbox (order_id, created_at) values (this_order.id, this_order.placed_at);

    insert into unpaid_orders (order_id, network, site, shopper, payment_method, units, cents)
    select this_order.id, this_network, this_site, this_order.shopper, this_order.payment_method, sum(quantity),
        this_order.total_cents
    from unnest(lines);
    select bool_and(units <= times * limits.max_unpaid_units and cents <= times * limits.max_unpaid_cents)
        is not true
    into strict is_over
    from (
        select sum(units) as units, sum(cents) as cents, 1 as times from unpaid_orders where network = this_network
        union all
        select sum(units), sum(cents), 10 from unpaid_orders where site = this_site
        union all
        select sum(units), sum(cents), 1 from unpaid_orders where shopper = this_order.shopper
        union all
        select sum(units), sum(cents), 1 from unpaid_orders
        where payment_method = this_order.payment_method and not is_shared
    ) as held;
    if is_over then
        raise exception 'too much unpaid' using errcode = 'CA004';
    end if;
end
$$;

create or replace function accept_order(
    p_id uuid,
    p_number text,
    p_shopper uuid,
    p_email text,
    p_currency text,
    p_total_cents bigint,
    p_shipping_address jsonb,
    p_payment_method text,
    p_placed_at timestamptz,
    p_skus text[],
    p_titles text[],
    p_quantities integer[],
    p_unit_cents bigint[],
    p_key text,
    p_request_hash bytea,
    p_answer text,
    p_orders_a_minute integer,
    p_network text,
    p_max_unpaid_units bigint,
    p_max_unpaid_cents bigint,
    out replayed boolean,
    out answer text
) language sql as $$
    select * from accept_order(jsonb_build_object(
        'order', jsonb_build_object(
            'id', p_id, 'number', p_number, 'shopper', p_shopper, 'email', p_email, 'currency', p_currency,
            'total_cents', p_total_cents, 'shipping_address', p_shipping_address, 'payment_method', p_payment_method,
            'placed_at', p_placed_at),
        'lines', (
            select jsonb_agg(to_jsonb(line) order by line.ordinality)
            from unnest(p_skus, p_titles, p_quantities, p_unit_cents)
                with ordinality as line (sku, title, quantity, unit_cents)),
        'claim', jsonb_build_object(
            'owner', p_shopper, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_answer),
        'network', p_network,
        'limits', jsonb_build_object(
            'orders_a_minute', p_orders_a_minute, 'max_unpaid_units', p_max_unpaid_units,
            'max_unpaid_cents', p_max_unpaid_cents)))
$$;

create function record_events(p_request jsonb) returns boolean language plpgsql as $$
-- Changes an order: one call, one commit. Writes its new state with the events that led to it, if nothing else has
-- changed it since it was seen; returns whether it did.
--   seen: the order's version then
--   order: its id, updated_at, and what may have changed: status, payment, fulfilment, hold, payment_id,
--     authorize_round, capture_before, refunds, label of orders
--   events: an array of kind, data of order_events
--   claim: as of claim_key, or left out
--
-- With a claim, the answer is kept under its key in the same commit, unless another call has used the key since; then
-- it returns false, too.
--
-- A cancelled order gives its stock back in the same commit, hence exactly once. One that is paid, or cancelled, holds
-- nothing unpaid any more. A refund that is requested is put in the outbox.
declare
    seen integer := p_request -> 'seen';
    events jsonb := p_request -> 'events';
    claim idempotency_keys;
    was orders;
    becomes orders;
begin
    select * into was from orders
    where id = (p_request #>> '{order,id}')::uuid and version = seen
    for update;
    if not found then
        return false;
    end if;
    -- What is left out, because the caller is of a version that does not know it, stays as it was.
    becomes := jsonb_populate_record(was, p_request -> 'order');

    if p_request ? 'claim' then
        claim := jsonb_populate_record(null::idempotency_keys, p_request -> 'claim');
        insert into idempotency_keys (owner, key, request_hash, answer, created_at)
        values (claim.owner, claim.key, claim.request_hash, claim.answer, becomes.updated_at)
        on conflict do nothing;
        if not found then
            return false;
        end if;
    end if;

    update orders
    set status = becomes.status, payment = becomes.payment, fulfilment = becomes.fulfilment, hold = becomes.hold,
        payment_id = becomes.payment_id, authorize_round = becomes.authorize_round,
        capture_before = becomes.capture_before, refunds = becomes.refunds, label = becomes.label,
        updated_at = becomes.updated_at, version = seen + jsonb_array_length(events)
    where id = was.id;
    insert into order_events (order_id, version, at, kind, data)
    select was.id, seen + event.ordinality, becomes.updated_at, event.kind, event.data
    from jsonb_populate_recordset(null::order_events, events) with ordinality as event;

    if becomes.status = 'cancelled' and was.status <> 'cancelled' then
        -- By SKU, as when stock is taken, so that no two calls wait for each other.
        perform from stock
        where sku in (select sku from order_lines where order_id = was.id)
        order by sku for update;
        update stock
        set available = available + taken.quantity
        from (
            select sku, sum(quantity) as quantity
            from order_lines
            where order_id = was.id
            group by sku
        ) as taken
        where stock.sku = taken.sku;
    end if;

    insert into outbox (order_id, refund_id, created_at)
    select was.id, (event.data ->> 'refund_id')::uuid, becomes.updated_at
    from jsonb_populate_recordset(null::order_events, events) as event
    where event.kind = 'refund_requested';
    if becomes.status = 'cancelled' or becomes.payment not in ('not_paid', 'unknown') then
        delete from unpaid_orders where order_id = was.id;
    end if;
    return true;
end
$$;

create or replace function record_events(
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
) returns boolean language sql as $$
    select record_events(jsonb_build_object(
        'seen', p_seen,
        'order', jsonb_build_object(
            'id', p_id, 'status', p_status, 'payment', p_payment, 'fulfilment', p_fulfilment, 'hold', p_hold,
            'payment_id', p_payment_id, 'authorize_round', p_authorize_round, 'capture_before', p_capture_before,
            'refunds', p_refunds, 'label', p_label, 'updated_at', p_at),
        'events', (
            select jsonb_agg(to_jsonb(event) order by event.ordinality)
            from unnest(p_kinds, p_data) with ordinality as event (kind, data)))
        || case when p_key is null then '{}' else jsonb_build_object(
            'claim', jsonb_build_object(
                'owner', p_owner, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_answer))
        end)
$$;

create function adjust_stock(p_request jsonb, out replayed boolean, out adjustment stock_adjustments)
language plpgsql as $$
-- Adjusts stock: one call, one commit. Repeated under the same key, it returns the first adjustment. Locks are taken
-- in the order of accept_order: key, stock. A refusal is raised as an error, which undoes everything; its SQLSTATE
-- says which it is.
--   adjustment: id, sku, at, actor, reason, delta of stock_adjustments
--   claim: as of claim_key; its answer is the adjustment's id
--   CA001  the key was used for another request
--   CA010  there would be less than nothing; detail: how many there are
declare
    wanted stock_adjustments := jsonb_populate_record(null::stock_adjustments, p_request -> 'adjustment');
    earlier text := claim_key(p_request -> 'claim', wanted.at);
    there_are bigint;
begin
    replayed := earlier is not null;
    if replayed then
        select * into strict adjustment from stock_adjustments where id = earlier::uuid;
        return;
    end if;
    insert into stock (sku, available) values (wanted.sku, 0) on conflict do nothing;
    select available into strict there_are from stock where sku = wanted.sku for update;
    if there_are + wanted.delta < 0 then
        raise exception 'not enough stock' using errcode = 'CA010', detail = there_are::text;
    end if;
    update stock set available = there_are + wanted.delta where sku = wanted.sku;
    insert into stock_adjustments (id, sku, at, actor, reason, delta, before, after)
    values (
        wanted.id, wanted.sku, wanted.at, wanted.actor, wanted.reason, wanted.delta, there_are,
        there_are + wanted.delta)
    returning * into strict adjustment;
end
$$;

create or replace function adjust_stock(
    p_id uuid,
    p_sku text,
    p_delta bigint,
    p_reason text,
    p_actor text,
    p_at timestamptz,
    p_owner uuid,
    p_key text,
    p_request_hash bytea,
    out replayed boolean,
    out adjustment stock_adjustments
) language sql as $$
    select * from adjust_stock(jsonb_build_object(
        'adjustment', jsonb_build_object(
            'id', p_id, 'sku', p_sku, 'at', p_at, 'actor', p_actor, 'reason', p_reason, 'delta', p_delta),
        'claim', jsonb_build_object(
            'owner', p_owner, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_id)))
$$;

create function reserve_refund_allowance(p_allowance jsonb) returns boolean language plpgsql as $$
-- Counts a refund against its actor's limit of the day. Concurrent refunds of one person wait here for each other's
-- commit. A refusal undoes the statement that this is part of.
--   actor_id, currency, cents of refund_allowances; at, which is of the day; limit_cents of the day
--   CA011  the limit would be exceeded; detail: how many cents are left
declare
    wanted record;
    used bigint;
begin
    select * into strict wanted
    from jsonb_to_record(p_allowance)
        as given (actor_id uuid, at timestamptz, currency text, cents bigint, limit_cents bigint);
    insert into refund_allowances as allowance (actor_id, day, currency, cents)
    values (wanted.actor_id, (wanted.at at time zone 'UTC')::date, wanted.currency, wanted.cents)
    on conflict (actor_id, day, currency) do update
        set cents = allowance.cents + excluded.cents
    returning cents into strict used;
    -- A limit that is not given refuses, too.
    if (used <= wanted.limit_cents) is not true then
        raise exception 'over the limit of the day'
            using errcode = 'CA011', detail = greatest(wanted.limit_cents - (used - wanted.cents), 0)::text;
    end if;
    return true;
end
$$;

create or replace function reserve_refund_allowance(
    p_actor uuid,
    p_at timestamptz,
    p_currency text,
    p_cents bigint,
    p_limit bigint
) returns boolean language sql as $$
    select reserve_refund_allowance(jsonb_build_object(
        'actor_id', p_actor, 'at', p_at, 'currency', p_currency, 'cents', p_cents, 'limit_cents', p_limit))
$$;

create function request_refund_approval(p_request jsonb, out replayed boolean, out answer text)
language plpgsql as $$
-- Requests approval of a refund: one call, one commit. Repeated under the same key, it returns the first answer.
--   approval: id, order_id, cents, currency, reason, requested_by, requested_by_name, requested_at, expires_at of
--     refund_approvals
--   claim: as of claim_key
--   CA001  the key was used for another request
declare
    wanted refund_approvals := jsonb_populate_record(null::refund_approvals, p_request -> 'approval');
begin
    answer := claim_key(p_request -> 'claim', wanted.requested_at);
    replayed := answer is not null;
    if replayed then
        return;
    end if;
    answer := p_request #>> '{claim,answer}';
    insert into refund_approvals (
        id, order_id, cents, currency, reason, requested_by, requested_by_name, requested_at, expires_at)
    values (
        wanted.id, wanted.order_id, wanted.cents, wanted.currency, wanted.reason, wanted.requested_by,
        wanted.requested_by_name, wanted.requested_at, wanted.expires_at);
end
$$;

create or replace function request_refund_approval(
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
) language sql as $$
    select * from request_refund_approval(jsonb_build_object(
        'approval', jsonb_build_object(
            'id', p_id, 'order_id', p_order, 'cents', p_cents, 'currency', p_currency, 'reason', p_reason,
            'requested_by', p_by, 'requested_by_name', p_by_name, 'requested_at', p_at, 'expires_at', p_expires_at),
        'claim', jsonb_build_object(
            'owner', p_by, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_answer)))
$$;

create function approve_refund(p_decision jsonb) returns boolean language plpgsql as $$
-- Approves a refund that is recorded by the statement that this is part of.
--   id, decided_by, decided_by_name, decided_at of refund_approvals
--   CA012  the request was decided before, or has expired
declare
    approved refund_approvals := jsonb_populate_record(null::refund_approvals, p_decision);
begin
    update refund_approvals
    set decision = 'approved', decided_by = approved.decided_by, decided_by_name = approved.decided_by_name,
        decided_at = approved.decided_at
    where id = approved.id and decision is null and expires_at > approved.decided_at;
    if not found then
        raise exception 'no open request for approval' using errcode = 'CA012';
    end if;
    return true;
end
$$;

create or replace function approve_refund(p_id uuid, p_by uuid, p_by_name text, p_at timestamptz)
returns boolean language sql as $$
    select approve_refund(jsonb_build_object(
        'id', p_id, 'decided_by', p_by, 'decided_by_name', p_by_name, 'decided_at', p_at))
$$;

create function request_erasure(p_erasure jsonb) returns uuid language plpgsql as $$
-- Asks for a person's data to be erased, or one order's, unless that is asked for already; returns the open erasure.
--   id, shopper, order_id, email, requested_at, ends_after of erasures
--   CA020  an order, or a refund, is still under way
declare
    wanted erasures := jsonb_populate_record(null::erasures, p_erasure);
    open_erasure uuid;
begin
    if exists (
        select from orders join outbox on outbox.order_id = orders.id
        where orders.shopper = wanted.shopper and (wanted.order_id is null or orders.id = wanted.order_id))
    then
        raise exception 'orders are under way' using errcode = 'CA020';
    end if;
    insert into erasures (id, shopper, order_id, email, requested_at, ends_after)
    values (
        wanted.id, wanted.shopper, wanted.order_id, wanted.email, wanted.requested_at, wanted.ends_after)
    on conflict do nothing;
    select id into strict open_erasure from erasures
    where shopper = wanted.shopper and order_id is not distinct from wanted.order_id and ended_at is null;
    return open_erasure;
end
$$;

create or replace function request_erasure(
    p_id uuid,
    p_shopper uuid,
    p_order_id uuid,
    p_email text,
    p_at timestamptz,
    p_ends_after timestamptz
) returns uuid language sql as $$
    select request_erasure(jsonb_build_object(
        'id', p_id, 'shopper', p_shopper, 'order_id', p_order_id, 'email', p_email, 'requested_at', p_at,
        'ends_after', p_ends_after))
$$;

create function keep_dispute(p_dispute jsonb) returns boolean language plpgsql as $$
-- Keeps a dispute's state with the events that the statement records which this is part of.
--   order_id, state, recorded_at, check_at of disputes; the state has the id
declare
    dispute disputes := jsonb_populate_record(null::disputes, p_dispute);
begin
    insert into disputes (order_id, id, state, recorded_at, check_at)
    values (dispute.order_id, dispute.state ->> 'id', dispute.state, dispute.recorded_at, dispute.check_at)
    on conflict (order_id, id) do update
        set state = excluded.state, check_at = excluded.check_at;
    return true;
end
$$;

create or replace function keep_dispute(p_order uuid, p_state jsonb, p_at timestamptz, p_check_at timestamptz)
returns boolean language sql as $$
    select keep_dispute(jsonb_build_object(
        'order_id', p_order, 'state', p_state, 'recorded_at', p_at, 'check_at', p_check_at))
$$;
