-- Disputes of orders' payments, and how far the comparison with the providers' records has come within its window.

-- As the payment provider last described them. Each change is an event of the order, too.
create table disputes (
    order_id uuid not null references orders on delete cascade,
    -- The provider's id.
    id text not null,
    state jsonb not null,
    recorded_at timestamptz not null,
    -- When it is looked up again, should the provider's event be lost; null once it is closed.
    check_at timestamptz,
    primary key (order_id, id)
);

create index disputes_by_check on disputes (check_at) where check_at is not null;

-- Keeps a dispute's state with the events that the statement records which this is part of.
create function keep_dispute(p_order uuid, p_state jsonb, p_at timestamptz, p_check_at timestamptz)
returns boolean language plpgsql as $$
begin
    insert into disputes (order_id, id, state, recorded_at, check_at)
    values (p_order, p_state ->> 'id', p_state, p_at, p_check_at)
    on conflict (order_id, id) do update
        set state = excluded.state, check_at = excluded.check_at;
    return true;
end
$$;

-- The window that is being compared, and the position in it; null between two windows.
alter table reconciliations add column progress jsonb;

grant select, insert, update on disputes to cauce_app;
