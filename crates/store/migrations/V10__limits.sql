-- What no request of the functions may do for long: run, wait for a lock, keep a transaction open. What is cut
-- short has changed nothing, and is told to come again.

alter role cauce_app set statement_timeout = '10s';
alter role cauce_app set lock_timeout = '3s';
alter role cauce_app set idle_in_transaction_session_timeout = '1min';
