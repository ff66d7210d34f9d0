-- Stock is taken and returned product by product, by its primary key. As joins with the lines of an order, these
-- statements were planned anew for each order, because a plan for any order expects many lines.
--
-- All statements of both functions find rows by a key, so one plan fits all their calls. Without the setting, a
-- connection plans some of them anew for each call, or does not, depending on the statistics when it began; planning
-- the sums of what is unpaid takes as long as all other statements together.

create or replace function accept_order(p_request jsonb, out replayed boolean, out answer text)
    language plpgsql
    set plan_cache_mode = force_generic_plan
    as $$
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
    limits record;
    this_network text := p_request ->> 'network';
    this_site text := case
        when this_network like '%:%/64' then set_masklen(this_network::cidr, 48)::text
    end;
    -- The payment service's test cards, such as pm_card_visa, are everyone's: they are no one's bound.
    is_shared boolean := this_order.payment_method like 'pm\_card\_%';
    placed_this_minute integer;
    wanted record;
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

    for wanted in select sku, sum(quantity) as quantity from unnest(lines) group by sku order by sku loop
        update stock set available = available - wanted.quantity
        where sku = wanted.sku and available >= wanted.quantity;
        if not found then
            short := short || wanted.sku;
        end if;
    end loop;
    if short is not null then
        raise exception 'out of stock' using errcode = 'CA003', detail = to_json(short)::text;
    end if;

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

create or replace function record_events(p_request jsonb) returns boolean
    language plpgsql
    set plan_cache_mode = force_generic_plan
    as $$
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
    taken record;
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
        for taken in
            select sku, sum(quantity) as quantity from order_lines where order_id = was.id group by sku order by sku
        loop
            update stock set available = available + taken.quantity where sku = taken.sku;
        end loop;
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
