-- What an IPv6 site holds unpaid, and erased orders that no one writes back.

-- Whoever has an IPv6 site, a /48, has 65,536 networks of 64 bits, each with a bound of its own. Unknown for IPv4, and
-- for orders of the version before.
alter table unpaid_orders add column site text;

-- squawk-ignore require-concurrent-index-creation
create index if not exists unpaid_orders_by_site on unpaid_orders (site);

-- As it was in V11, with a bound on what one IPv6 site holds: ten times that of one network, for a site may be a whole
-- company. The site's lock comes first.
--   CA004  the network, its site, the shopper or the card would hold more than it may
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
) language plpgsql as $$
declare
    is_over boolean;
    -- The payment service's test cards, such as pm_card_visa, are everyone's: they are no one's bound.
    is_shared boolean := p_payment_method like 'pm\_card\_%';
    this_site text := case when p_network like '%:%/64' then set_masklen(p_network::cidr, 48)::text end;
begin
    if this_site is not null then
        perform pg_advisory_xact_lock(hashtextextended('site ' || this_site, 0));
    end if;
    perform pg_advisory_xact_lock(hashtextextended('network ' || p_network, 0));
    if not is_shared then
        perform pg_advisory_xact_lock(hashtextextended('card ' || p_payment_method, 0));
    end if;

    select accepted.replayed, accepted.answer into strict replayed, answer
    from accept_order(
        p_id, p_number, p_shopper, p_email, p_currency, p_total_cents, p_shipping_address, p_payment_method,
        p_placed_at, p_skus, p_titles, p_quantities, p_unit_cents, p_key, p_request_hash, p_answer,
        p_orders_a_minute) as accepted;
    if replayed then
        return;
    end if;

    insert into unpaid_orders (order_id, network, site, shopper, payment_method, units, cents)
    select p_id, p_network, this_site, p_shopper, p_payment_method, sum(quantity), p_total_cents
    from unnest(p_quantities) as quantity;
    select bool_or(units > times * p_max_unpaid_units or cents > times * p_max_unpaid_cents) into strict is_over
    from (
        select sum(units) as units, sum(cents) as cents, 1 as times from unpaid_orders where network = p_network
        union all
        select sum(units), sum(cents), 10 from unpaid_orders where site = this_site
        union all
        select sum(units), sum(cents), 1 from unpaid_orders where shopper = p_shopper
        union all
        select sum(units), sum(cents), 1 from unpaid_orders
        where payment_method = p_payment_method and not is_shared
    ) as held;
    if is_over then
        raise exception 'too much unpaid' using errcode = 'CA004';
    end if;
end
$$;

-- As it was in V14, with a new version: a caller that read the order before it was erased must not write back what it
-- read.
create or replace function erase_orders(p_ids uuid[]) returns void
language plpgsql security definer set search_path = public, pg_temp set cauce.erases = 'on' as $$
begin
    update orders
    set shopper = '00000000-0000-0000-0000-000000000000', email = 'erased', payment_method = 'pm_erased',
        shipping_address = jsonb_build_object('name', 'erased', 'line1', 'erased', 'city', 'erased',
            'postal_code', 'erased', 'country', shipping_address -> 'country'),
        refunds = (
            select coalesce(jsonb_agg(refund || '{"reason": ""}' order by position), '[]')
            from jsonb_array_elements(refunds) with ordinality as it (refund, position)
        ),
        version = version + 1
    where id = any (p_ids) and not exists (select from outbox where outbox.order_id = orders.id);
    update order_events set data = data - 'reason'
    where order_id = any (p_ids) and kind in ('cancelled', 'refund_requested') and data ? 'reason';
    update attention set reason = null where order_id = any (p_ids) and reason is not null;
    update audit_log set reason = null where target = any (p_ids::text[]) and reason is not null;
    update refund_approvals set reason = '', decision_reason = null where order_id = any (p_ids);
end
$$;
