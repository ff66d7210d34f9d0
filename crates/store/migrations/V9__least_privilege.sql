-- The functions are another user than the owner of the tables: they change rows, not the schema, and
-- what only grows they cannot rewrite.

do $$
begin
    if not exists (select from pg_roles where rolname = 'cauce_app') then
        create role cauce_app login;
    end if;
end
$$;

grant usage on schema public to cauce_app;

grant select, insert on
    attention, attempts, audit_log, idempotency_keys, import_rows, locks, order_events, order_lines,
    order_rates, orders, outbox, provider_events, reconciliations, stock, stock_adjustments
    to cauce_app;

grant update on
    attention, attempts, import_rows, locks, order_rates, orders, outbox,
    reconciliations, stock
    to cauce_app;

grant delete on attempts, import_rows, outbox, provider_events to cauce_app;
