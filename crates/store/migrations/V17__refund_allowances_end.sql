-- Only the present day's refunds count against a person's limit. The functions cannot delete from the table itself, or
-- they could lift the limit: this deletes only days that are over.
create function delete_old_refund_allowances(p_before timestamptz, p_limit integer) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    deleted bigint;
begin
    delete from refund_allowances where (actor_id, day, currency) in (
        select actor_id, day, currency from refund_allowances
        where day < (least(p_before, now() - interval '1 day') at time zone 'UTC')::date
        limit p_limit
        for update skip locked);
    get diagnostics deleted = row_count;
    return deleted;
end
$$;

revoke execute on function delete_old_refund_allowances from public;
grant execute on function delete_old_refund_allowances to cauce_app;
