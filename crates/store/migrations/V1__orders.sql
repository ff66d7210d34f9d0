-- What is transactional: stock, orders, what is to be started, and who asked before.

create table stock (
    sku text primary key,
    available bigint not null check (available >= 0)
);

create table orders (
    id uuid primary key,
    number text not null unique,
    shopper uuid not null,
    email text not null,
    status text not null check (status in ('pending', 'confirmed', 'completed', 'cancelled')),
    payment text not null check (payment in (
        'not_paid', 'requires_action', 'authorized', 'captured', 'partially_refunded', 'refunded',
        'voided', 'failed', 'unknown')),
    fulfilment text not null check (fulfilment in (
        'unfulfilled', 'in_progress', 'shipped', 'delivered', 'returned', 'cancelled')),
    hold jsonb,
    currency text not null,
    total_cents bigint not null check (total_cents > 0),
    shipping_address jsonb not null,
    payment_method text not null,
    payment_id text,
    label jsonb,
    placed_at timestamptz not null,
    updated_at timestamptz not null,
    -- The number of events so far; every change expects the one it has seen.
    version integer not null
);

-- A shopper's orders, the newest first: version 7 ids sort by time.
create index orders_by_shopper on orders (shopper, id desc);

create table order_lines (
    order_id uuid not null references orders,
    position integer not null,
    sku text not null,
    title text not null,
    quantity integer not null check (quantity between 1 and 999),
    unit_cents bigint not null check (unit_cents >= 0),
    primary key (order_id, position)
);

create table order_events (
    order_id uuid not null references orders,
    version integer not null,
    at timestamptz not null,
    kind text not null,
    data jsonb not null,
    primary key (order_id, version)
);

-- Orders whose execution has not been seen running. The first step takes the row away.
create table outbox (
    order_id uuid primary key references orders,
    created_at timestamptz not null
);

create index outbox_by_age on outbox (created_at);

create table idempotency_keys (
    owner uuid not null,
    key text not null,
    request_hash bytea not null,
    answer text not null,
    created_at timestamptz not null,
    primary key (owner, key)
);

create index idempotency_keys_by_age on idempotency_keys (created_at);

-- How many orders a shopper has placed in the current minute.
create table order_rates (
    shopper uuid primary key,
    minute timestamptz not null,
    placed integer not null
);
