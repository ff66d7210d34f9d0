-- The time of a call to a provider has a column of its own. Until now, a call that no event follows set updated_at,
-- which is the time of the last event. The version before reads only that, so both are set until it no longer runs.
alter table orders add column last_call_at timestamptz;

comment on column orders.last_call_at is
    'The last call to a provider that no event followed: from then on, its outcome must be looked up.';

-- Each program relies on it. It is not checked for the rows that there are, which would lock out orders meanwhile.
alter table orders add constraint orders_payment_id_check
    check (payment_id is not null or payment in ('not_paid', 'unknown', 'failed', 'voided')) not valid;
