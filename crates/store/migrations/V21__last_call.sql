-- The time of a call to a provider has a column of its own. Until now, a call that no event follows set updated_at,
-- which is the time of the last event. The version before does not know the column: while both run, it may look up a
-- call too early and hold the money again. The comparison with the provider's records voids the second hold.
alter table orders add column last_call_at timestamptz;

comment on column orders.last_call_at is
    'The last call to a provider that no event followed: from then on, its outcome must be looked up.';
