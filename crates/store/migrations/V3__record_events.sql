-- Changing an order: one call, one commit. Writes the order's new state with the events that led to
-- it, if nothing else has changed the order since `p_seen`; answers whether it did.
--
-- With a key, the answer is kept under it in the same commit, unless another call has used the key
-- since; that too is told by answering false.
--
-- A cancelled order gives its stock back in the same commit, hence exactly once.
create function record_events(
    p_id uuid,
    p_seen integer,
    p_status text,
    p_payment text,
    p_fulfilment text,
    p_hold jsonb,
    p_payment_id text,
    p_label jsonb,
    p_at timestamptz,
    p_kinds text[],
    p_data jsonb[],
    p_owner uuid,
    p_key text,
    p_request_hash bytea,
    p_answer text
) returns boolean language plpgsql as $$
declare
    was text;
begin
    select status into was from orders where id = p_id and version = p_seen for update;
    if not found then
        return false;
    end if;

    if p_key is not null then
        insert into idempotency_keys (owner, key, request_hash, answer, created_at)
        values (p_owner, p_key, p_request_hash, p_answer, p_at)
        on conflict do nothing;
        if not found then
            return false;
        end if;
    end if;

    update orders
    set status = p_status, payment = p_payment, fulfilment = p_fulfilment, hold = p_hold,
        payment_id = p_payment_id, label = p_label, updated_at = p_at,
        version = p_seen + cardinality(p_kinds)
    where id = p_id;
    insert into order_events (order_id, version, at, kind, data)
    select p_id, p_seen + event.position, p_at, event.kind, event.data
    from unnest(p_kinds, p_data) with ordinality as event (kind, data, position);

    if p_status = 'cancelled' and was <> 'cancelled' then
        -- By SKU, as when stock is taken, so that no two calls wait for each other.
        perform from stock
        where sku in (select sku from order_lines where order_id = p_id)
        order by sku for update;
        update stock
        set available = available + taken.quantity
        from (
            select sku, sum(quantity) as quantity
            from order_lines
            where order_id = p_id
            group by sku
        ) as taken
        where stock.sku = taken.sku;
    end if;
    return true;
end
$$;
