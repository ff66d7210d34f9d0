-- What tables and columns are for, where their names do not say it: until now only in the migrations that made them.
-- Comments lock nobody out who reads or writes rows.

comment on table stock is 'How many of each product can be ordered.';

comment on column orders.shopper is 'An account, or a guest; the nil id once the order is erased.';
comment on column orders.hold is 'Why the order waits for a provider, while it does.';
comment on column orders.payment_id is 'The provider''s id of the payment.';
comment on column orders.label is 'The shipping label, while there is one.';
comment on column orders.version is
    'The number of changes so far, an event each but for the erasure; every change expects the one it has seen.';
comment on column orders.authorize_round is
    'How often the provider was found to know of no payment; part of the idempotency key.';
comment on column orders.capture_before is 'When the authorization expires, if the provider has said.';
comment on column orders.refunds is 'All refunds, the oldest first.';

comment on column order_lines.position is 'From 1, as ordered.';
comment on column order_lines.title is 'In the shopper''s language, at that time.';

comment on column order_events.version is 'That of the order after the event.';

comment on table outbox is
    'Work that is not finished: an order until it is shipped or undone, a refund until it has succeeded or failed.';
comment on column outbox.refund_id is 'The refund; null if the work is the order.';
comment on column outbox.execution is 'The number of the execution that does the work: another one when that is lost.';
comment on column outbox.check_at is 'When the sweep looks at it next, ever less often.';

comment on column idempotency_keys.owner is 'The key of another caller is another key.';
comment on column idempotency_keys.request_hash is 'SHA-256 of the request that the key was used for.';
comment on column idempotency_keys.answer is 'The response body, which repetitions get, too.';

comment on table order_rates is 'How many orders a shopper has placed in the current minute.';

comment on table unpaid_orders is
    'What is reserved and not paid. A row goes when money is authorized for the order, or when it is cancelled.';
comment on column unpaid_orders.network is 'The visitor''s: an IPv4 address, or an IPv6 network of 64 bits.';
comment on column unpaid_orders.site is 'The IPv6 network of 48 bits that the network is part of; null for IPv4.';

comment on table attention is 'Findings that a person decides about.';
comment on column attention.subject is
    'An order''s id, or the provider''s id of something that has no order. Each kind is open once for a subject.';

comment on table audit_log is 'Who did what, or tried to. Append-only.';
comment on column audit_log.actor is 'The user''s e-mail address at that time, or the id.';
comment on column audit_log.actor_id is 'The user''s id: an e-mail address can become another person''s.';

comment on table provider_events is 'Webhooks that were processed, so that a repetition changes nothing.';

comment on table reconciliations is 'Up to when a provider''s records have been compared with ours.';
comment on column reconciliations.name is 'Such as payments:soon.';
comment on column reconciliations.progress is
    'The window that is being compared, and the position in it; null between two windows.';

comment on table locks is 'Rows that are locked by those of whom only one may run at a time.';

comment on table attempts is
    'How often something was tried in the current minute, and by whom. Not in the log: a crash resets it.';

comment on table stock_adjustments is 'How people have changed the stock. Append-only.';
comment on column stock_adjustments.position is 'The order in which they were made.';

comment on table import_rows is
    'In which line of an import a product stood first: an import comes in parts, and names each product once.';

comment on table refund_allowances is 'How much a person has refunded on a day (UTC).';

comment on table refund_approvals is 'Refunds that need a second person. An approved one is a refund of the same id.';
comment on column refund_approvals.requested_by_name is 'The requester''s e-mail address at that time.';
comment on column refund_approvals.decided_by_name is 'The e-mail address at that time.';

comment on table disputes is
    'As the payment provider last described them. Each change is an event of the order, too.';
comment on column disputes.id is 'The provider''s.';
comment on column disputes.check_at is
    'When it is looked up again, should the provider''s event be lost; null once it is closed.';

comment on table erasures is
    'Requests to erase a person''s data. The row comes first, so that one that is interrupted is finished by the job.';
comment on column erasures.shopper is 'The account, or the guest.';
comment on column erasures.order_id is 'The only order to erase; null means all of the person''s data.';
comment on column erasures.email is 'The address that other rows name the person by; null once the erasure has ended.';
comment on column erasures.ends_after is
    'An access token outlasts its account by some minutes: what it does meanwhile is erased, too.';

comment on table retention is 'Up to which time of placement orders have been gone through, such as guests.';
