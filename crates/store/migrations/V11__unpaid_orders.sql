-- What one network, one shopper and one card hold without having paid for it. A row comes with the order and goes
-- when money is authorized or captured for it, or when it is cancelled: the table holds unpaid orders only, and no
-- network address longer than that. Orders that the version before accepts meanwhile are not counted.

create table unpaid_orders (
    order_id uuid primary key,
    -- The visitor's network: an IPv4 address, or an IPv6 network of 64 bits.
    network text not null,
    shopper uuid not null,
    payment_method text not null,
    units bigint not null,
    cents bigint not null
);

create index unpaid_orders_by_network on unpaid_orders (network);
create index unpaid_orders_by_shopper on unpaid_orders (shopper);
create index unpaid_orders_by_payment_method on unpaid_orders (payment_method);

grant select, insert, delete on unpaid_orders to cauce_app;

-- As accept_order of V2, which this one calls, with a bound on what is held unpaid.
--
-- Orders of one network, and orders by one card, are accepted one after the other, so that each sees those before
-- it; those of one shopper are, by the row of their rate. These locks are taken before all others, in this order.
--   CA004  the network, the shopper or the card would hold more than it may
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
begin
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

    insert into unpaid_orders (order_id, network, shopper, payment_method, units, cents)
    select p_id, p_network, p_shopper, p_payment_method, sum(quantity), p_total_cents
    from unnest(p_quantities) as quantity;
    select bool_or(units > p_max_unpaid_units or cents > p_max_unpaid_cents) into strict is_over
    from (
        select sum(units) as units, sum(cents) as cents from unpaid_orders where network = p_network
        union all
        select sum(units), sum(cents) from unpaid_orders where shopper = p_shopper
        union all
        select sum(units), sum(cents) from unpaid_orders
        where payment_method = p_payment_method and not is_shared
    ) as held;
    if is_over then
        raise exception 'too much unpaid' using errcode = 'CA004';
    end if;
end
$$;

-- As it was in V4. An order that is paid, or cancelled, holds nothing unpaid any more.
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
    if p_status = 'cancelled' or p_payment not in ('not_paid', 'unknown') then
        delete from unpaid_orders where order_id = p_id;
    end if;
    return true;
end
$$;
