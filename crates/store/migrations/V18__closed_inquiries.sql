-- A closed inquiry can become a chargeback under its own id. The version before did not look up closed ones again, and
-- refused what had become of them: so each is looked up now.
update disputes set check_at = now()
where check_at is null
    and state ->> 'status' in ('warning_closed', 'prevented')
    and recorded_at > now() - interval '180 days';
