-- Accepting an order: one call, one commit.
--
-- Locks are always taken in the order key, rate, stock by SKU, so that no two calls wait for each
-- other. A refusal is raised as an error, which undoes everything the call has written; its SQLSTATE
-- says which refusal it is and its detail what is at fault.
--   CA001  the key was used for another request
--   CA002  the shopper has placed too many orders this minute
--   CA003  not enough stock; detail: a JSON array of the SKUs
create function accept_order(
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
    out replayed boolean,
    out answer text
) language plpgsql as $$
declare
    used idempotency_keys;
    placed_this_minute integer;
    short text[];
begin
    -- A second call with the key waits here until the first has committed or is undone.
    insert into idempotency_keys (owner, key, request_hash, answer, created_at)
    values (p_shopper, p_key, p_request_hash, p_answer, p_placed_at)
    on conflict do nothing;
    if not found then
        select * into strict used from idempotency_keys k where k.owner = p_shopper and k.key = p_key;
        if used.request_hash <> p_request_hash then
            raise exception 'idempotency key reused' using errcode = 'CA001';
        end if;
        replayed := true;
        answer := used.answer;
        return;
    end if;

    insert into order_rates as rate (shopper, minute, placed)
    values (p_shopper, date_trunc('minute', p_placed_at), 1)
    on conflict (shopper) do update
        set placed = case when rate.minute = excluded.minute then rate.placed + 1 else 1 end,
            minute = excluded.minute
    returning placed into placed_this_minute;
    if placed_this_minute > p_orders_a_minute then
        raise exception 'too many orders' using errcode = 'CA002';
    end if;

    perform from stock where sku = any (p_skus) order by sku for update;
    select array_agg(wanted.sku order by wanted.sku) into short
    from (
        select sku, sum(quantity) as quantity
        from unnest(p_skus, p_quantities) as line (sku, quantity)
        group by sku
    ) as wanted
    left join stock on stock.sku = wanted.sku
    where coalesce(stock.available, 0) < wanted.quantity;
    if short is not null then
        raise exception 'out of stock' using errcode = 'CA003', detail = to_json(short)::text;
    end if;
    update stock
    set available = available - wanted.quantity
    from (
        select sku, sum(quantity) as quantity
        from unnest(p_skus, p_quantities) as line (sku, quantity)
        group by sku
    ) as wanted
    where stock.sku = wanted.sku;

    insert into orders (
        id, number, shopper, email, status, payment, fulfilment, currency, total_cents,
        shipping_address, payment_method, placed_at, updated_at, version)
    values (
        p_id, p_number, p_shopper, p_email, 'pending', 'not_paid', 'unfulfilled', p_currency,
        p_total_cents, p_shipping_address, p_payment_method, p_placed_at, p_placed_at, 1);
    insert into order_lines (order_id, position, sku, title, quantity, unit_cents)
    select p_id, line.position, line.sku, line.title, line.quantity, line.unit_cents
    from unnest(p_skus, p_titles, p_quantities, p_unit_cents)
        with ordinality as line (sku, title, quantity, unit_cents, position);
    insert into order_events (order_id, version, at, kind, data)
    values (p_id, 1, p_placed_at, 'accepted', '{}');
    insert into outbox (order_id, created_at) values (p_id, p_placed_at);

    replayed := false;
    answer := p_answer;
end
$$;
