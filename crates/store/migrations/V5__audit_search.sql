-- Searching the audit log, the newest row first: by one thing that is asked for, or by time alone.
create index audit_log_by_time on audit_log (at desc, id desc);
create index audit_log_by_actor on audit_log (actor, at desc, id desc);
create index audit_log_by_action on audit_log (action, at desc, id desc);
drop index audit_log_by_target;
create index audit_log_by_target on audit_log (target, at desc, id desc);

-- What only one may do at a time, although it is kept elsewhere: whoever locks the row.
create table locks (
    name text primary key
);

insert into locks (name) values ('users');
