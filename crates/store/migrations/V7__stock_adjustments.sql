-- Stock as people change it, and files of products as they come in.

create table stock_adjustments (
    id uuid primary key,
    -- The order in which they were made.
    position bigint generated always as identity,
    sku text not null,
    at timestamptz not null,
    actor text not null,
    reason text not null,
    delta bigint not null check (delta <> 0),
    before bigint not null,
    after bigint not null check (after >= 0 and after = before + delta)
);

create index stock_adjustments_by_sku on stock_adjustments (sku, position desc);

create trigger stock_adjustments_are_append_only
before update or delete or truncate on stock_adjustments
execute function refuse_change();

-- Adjusting stock: one call, one commit. Locks are taken in the order of accept_order: key, stock. A
-- refusal is raised as an error, which undoes everything; its SQLSTATE says which it is.
--   CA001  the key was used for another request
--   CA010  there would be less than nothing; detail: how many there are
create function adjust_stock(
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
) language plpgsql as $$
declare
    used idempotency_keys;
    there_are bigint;
begin
    -- A second call with the key waits here until the first has committed or is undone.
    insert into idempotency_keys (owner, key, request_hash, answer, created_at)
    values (p_owner, p_key, p_request_hash, p_id::text, p_at)
    on conflict do nothing;
    if not found then
        select * into strict used from idempotency_keys k where k.owner = p_owner and k.key = p_key;
        if used.request_hash <> p_request_hash then
            raise exception 'idempotency key reused' using errcode = 'CA001';
        end if;
        select * into strict adjustment from stock_adjustments a where a.id = used.answer::uuid;
        replayed := true;
        return;
    end if;

    insert into stock (sku, available) values (p_sku, 0) on conflict do nothing;
    select available into strict there_are from stock where sku = p_sku for update;
    if there_are + p_delta < 0 then
        raise exception 'not enough stock' using errcode = 'CA010', detail = there_are::text;
    end if;
    update stock set available = there_are + p_delta where sku = p_sku;
    insert into stock_adjustments (id, sku, at, actor, reason, delta, before, after)
    values (p_id, p_sku, p_at, p_actor, p_reason, p_delta, there_are, there_are + p_delta)
    returning * into strict adjustment;
    replayed := false;
end
$$;

-- In which line of a file a product stood first: a file comes in pieces, and none may name a product
-- that another has named.
create table import_rows (
    import uuid not null,
    sku text not null,
    line integer not null,
    at timestamptz not null,
    primary key (import, sku)
);

create index import_rows_by_age on import_rows (at);
