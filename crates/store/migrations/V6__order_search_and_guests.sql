-- What staff search orders by, the newest first; and how often guests have tried something.
--
-- Migrations run in a transaction, in which no index can be built concurrently: orders wait to be
-- placed until these are there, some seconds for a million orders. Where that is too long, build them
-- by hand before, concurrently and under these names; then they are left as they are.

create index if not exists orders_by_time on orders (placed_at desc, id desc);
create index if not exists orders_by_email on orders (lower(email), placed_at desc, id desc);
create index if not exists orders_by_status on orders (status, placed_at desc, id desc);
create index if not exists orders_by_payment on orders (payment, placed_at desc, id desc);
create index if not exists orders_by_fulfilment on orders (fulfilment, placed_at desc, id desc);

-- How often something was tried in the current minute, and by whom. Nothing is lost with it but a
-- count, so it is not worth a log of its writes.
create unlogged table attempts (
    name text primary key,
    minute timestamptz not null,
    tried integer not null
);

create index attempts_by_minute on attempts (minute);
