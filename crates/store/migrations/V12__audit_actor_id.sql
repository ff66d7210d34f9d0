-- The audit log names users by their id, too: an e-mail address can become another person's.
alter table audit_log add column actor_id uuid;

-- Finds what a person has done, when their account is erased. Orders are written to other tables.
-- squawk-ignore require-concurrent-index-creation
create index audit_log_by_actor_id on audit_log (actor_id) where actor_id is not null;
