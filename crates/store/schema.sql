-- The schema as the migrations make it, one table after the other, then the functions: to read, not to execute.
-- Generated: UPDATE_SCHEMA=1 cargo test -p tests --test schema


-- The schema

GRANT USAGE ON SCHEMA public TO cauce_app;


-- Table attempts

CREATE UNLOGGED TABLE public.attempts (
    name text NOT NULL,
    minute timestamp with time zone NOT NULL,
    tried integer NOT NULL
);

COMMENT ON TABLE public.attempts IS 'How often something was tried in the current minute, and by whom. Not in the log: a crash resets it.';

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (name);

CREATE INDEX attempts_by_minute ON public.attempts USING btree (minute);

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.attempts TO cauce_app;


-- Table attention

CREATE TABLE public.attention (
    id uuid NOT NULL,
    order_id uuid,
    subject text NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL,
    raised_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    resolved_by text,
    resolution text,
    reason text,
    CONSTRAINT attention_check CHECK (((resolved_at IS NULL) = (resolution IS NULL)))
);

COMMENT ON TABLE public.attention IS 'Findings that a person decides about.';

COMMENT ON COLUMN public.attention.subject IS 'An order''s id, or the provider''s id of something that has no order. Each kind is open once for a subject.';

ALTER TABLE ONLY public.attention
    ADD CONSTRAINT attention_pkey PRIMARY KEY (id);

CREATE UNIQUE INDEX attention_open ON public.attention USING btree (subject, kind) WHERE (resolved_at IS NULL);

ALTER TABLE ONLY public.attention
    ADD CONSTRAINT attention_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

GRANT SELECT,INSERT,UPDATE ON TABLE public.attention TO cauce_app;


-- Table audit_log

CREATE TABLE public.audit_log (
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text,
    outcome text NOT NULL,
    before jsonb,
    after jsonb,
    trace_id text NOT NULL,
    actor_id uuid,
    CONSTRAINT audit_log_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'refused'::text])))
);

COMMENT ON TABLE public.audit_log IS 'Who did what, or tried to. Append-only.';

COMMENT ON COLUMN public.audit_log.actor IS 'The user''s e-mail address at that time, or the id.';

COMMENT ON COLUMN public.audit_log.actor_id IS 'The user''s id: an e-mail address can become another person''s.';

ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

CREATE INDEX audit_log_by_action ON public.audit_log USING btree (action, at DESC, id DESC);

CREATE INDEX audit_log_by_actor ON public.audit_log USING btree (actor, at DESC, id DESC);

CREATE INDEX audit_log_by_actor_id ON public.audit_log USING btree (actor_id) WHERE (actor_id IS NOT NULL);

CREATE INDEX audit_log_by_target ON public.audit_log USING btree (target, at DESC, id DESC);

CREATE INDEX audit_log_by_time ON public.audit_log USING btree (at DESC, id DESC);

CREATE TRIGGER audit_log_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

GRANT SELECT,INSERT ON TABLE public.audit_log TO cauce_app;


-- Table disputes

CREATE TABLE public.disputes (
    order_id uuid NOT NULL,
    id text NOT NULL,
    state jsonb NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    check_at timestamp with time zone
);

COMMENT ON TABLE public.disputes IS 'As the payment provider last described them. Each change is an event of the order, too.';

COMMENT ON COLUMN public.disputes.id IS 'The provider''s.';

COMMENT ON COLUMN public.disputes.check_at IS 'When it is looked up again, should the provider''s event be lost; null once it is closed.';

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_pkey PRIMARY KEY (order_id, id);

CREATE INDEX disputes_by_check ON public.disputes USING btree (check_at) WHERE (check_at IS NOT NULL);

ALTER TABLE ONLY public.disputes
    ADD CONSTRAINT disputes_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id) ON DELETE CASCADE;

GRANT SELECT,INSERT,UPDATE ON TABLE public.disputes TO cauce_app;


-- Table erasures

CREATE TABLE public.erasures (
    id uuid NOT NULL,
    shopper uuid NOT NULL,
    order_id uuid,
    email text,
    requested_at timestamp with time zone NOT NULL,
    ends_after timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT erasures_check CHECK (((ended_at IS NULL) = (email IS NOT NULL)))
);

COMMENT ON TABLE public.erasures IS 'Requests to erase a person''s data. The row comes first, so that one that is interrupted is finished by the job.';

COMMENT ON COLUMN public.erasures.shopper IS 'The account, or the guest.';

COMMENT ON COLUMN public.erasures.order_id IS 'The only order to erase; null means all of the person''s data.';

COMMENT ON COLUMN public.erasures.email IS 'The address that other rows name the person by; null once the erasure has ended.';

COMMENT ON COLUMN public.erasures.ends_after IS 'An access token outlasts its account by some minutes: what it does meanwhile is erased, too.';

ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (id);

CREATE INDEX erasures_by_end ON public.erasures USING btree (ended_at);

CREATE UNIQUE INDEX erasures_open ON public.erasures USING btree (shopper, order_id) NULLS NOT DISTINCT WHERE (ended_at IS NULL);

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.erasures TO cauce_app;


-- Table idempotency_keys

CREATE TABLE public.idempotency_keys (
    owner uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    answer text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

COMMENT ON COLUMN public.idempotency_keys.owner IS 'The key of another caller is another key.';

COMMENT ON COLUMN public.idempotency_keys.request_hash IS 'SHA-256 of the request that the key was used for.';

COMMENT ON COLUMN public.idempotency_keys.answer IS 'The response body, which repetitions get, too.';

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (owner, key);

CREATE INDEX idempotency_keys_by_age ON public.idempotency_keys USING btree (created_at);

GRANT SELECT,INSERT,DELETE ON TABLE public.idempotency_keys TO cauce_app;


-- Table import_rows

CREATE TABLE public.import_rows (
    import uuid NOT NULL,
    sku text NOT NULL,
    line integer NOT NULL,
    at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.import_rows IS 'In which line of an import a product stood first: an import comes in parts, and names each product once.';

ALTER TABLE ONLY public.import_rows
    ADD CONSTRAINT import_rows_pkey PRIMARY KEY (import, sku);

CREATE INDEX import_rows_by_age ON public.import_rows USING btree (at);

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.import_rows TO cauce_app;


-- Table locks

CREATE TABLE public.locks (
    name text NOT NULL
);

COMMENT ON TABLE public.locks IS 'Rows that are locked by those of whom only one may run at a time.';

ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_pkey PRIMARY KEY (name);

GRANT SELECT,INSERT,UPDATE ON TABLE public.locks TO cauce_app;


-- Table order_events

CREATE TABLE public.order_events (
    order_id uuid NOT NULL,
    version integer NOT NULL,
    at timestamp with time zone NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL
);

COMMENT ON COLUMN public.order_events.version IS 'That of the order after the event.';

ALTER TABLE ONLY public.order_events
    ADD CONSTRAINT order_events_pkey PRIMARY KEY (order_id, version);

CREATE INDEX order_events_by_time ON public.order_events USING brin (at) WITH (pages_per_range='16', autosummarize='on');

ALTER TABLE ONLY public.order_events
    ADD CONSTRAINT order_events_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

GRANT SELECT,INSERT ON TABLE public.order_events TO cauce_app;


-- Table order_lines

CREATE TABLE public.order_lines (
    order_id uuid NOT NULL,
    "position" integer NOT NULL,
    sku text NOT NULL,
    title text NOT NULL,
    quantity integer NOT NULL,
    unit_cents bigint NOT NULL,
    CONSTRAINT order_lines_quantity_check CHECK (((quantity >= 1) AND (quantity <= 999))),
    CONSTRAINT order_lines_unit_cents_check CHECK ((unit_cents >= 0))
);

COMMENT ON COLUMN public.order_lines."position" IS 'From 1, as ordered.';

COMMENT ON COLUMN public.order_lines.title IS 'In the shopper''s language, at that time.';

ALTER TABLE ONLY public.order_lines
    ADD CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, "position");

ALTER TABLE ONLY public.order_lines
    ADD CONSTRAINT order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

GRANT SELECT,INSERT ON TABLE public.order_lines TO cauce_app;


-- Table order_rates

CREATE TABLE public.order_rates (
    shopper uuid NOT NULL,
    minute timestamp with time zone NOT NULL,
    placed integer NOT NULL
);

COMMENT ON TABLE public.order_rates IS 'How many orders a shopper has placed in the current minute.';

ALTER TABLE ONLY public.order_rates
    ADD CONSTRAINT order_rates_pkey PRIMARY KEY (shopper);

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.order_rates TO cauce_app;


-- Table orders

CREATE TABLE public.orders (
    id uuid NOT NULL,
    number text NOT NULL,
    shopper uuid NOT NULL,
    email text NOT NULL,
    status text NOT NULL,
    payment text NOT NULL,
    fulfilment text NOT NULL,
    hold jsonb,
    currency text NOT NULL,
    total_cents bigint NOT NULL,
    shipping_address jsonb NOT NULL,
    payment_method text NOT NULL,
    payment_id text,
    label jsonb,
    placed_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    version integer NOT NULL,
    authorize_round integer DEFAULT 0 NOT NULL,
    capture_before timestamp with time zone,
    refunds jsonb DEFAULT '[]'::jsonb NOT NULL,
    last_call_at timestamp with time zone,
    CONSTRAINT orders_fulfilment_check CHECK ((fulfilment = ANY (ARRAY['unfulfilled'::text, 'in_progress'::text, 'shipped'::text, 'delivered'::text, 'returned'::text, 'cancelled'::text]))),
    CONSTRAINT orders_payment_check CHECK ((payment = ANY (ARRAY['not_paid'::text, 'requires_action'::text, 'authorized'::text, 'captured'::text, 'partially_refunded'::text, 'refunded'::text, 'voided'::text, 'failed'::text, 'unknown'::text]))),
    CONSTRAINT orders_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'confirmed'::text, 'completed'::text, 'cancelled'::text]))),
    CONSTRAINT orders_total_cents_check CHECK ((total_cents > 0))
);

COMMENT ON COLUMN public.orders.shopper IS 'An account, or a guest; the nil id once the order is erased.';

COMMENT ON COLUMN public.orders.hold IS 'Why the order waits for a provider, while it does.';

COMMENT ON COLUMN public.orders.payment_id IS 'The provider''s id of the payment.';

COMMENT ON COLUMN public.orders.label IS 'The shipping label, while there is one.';

COMMENT ON COLUMN public.orders.version IS 'The number of changes so far, an event each but for the erasure; every change expects the one it has seen.';

COMMENT ON COLUMN public.orders.authorize_round IS 'How often the provider was found to know of no payment; part of the idempotency key.';

COMMENT ON COLUMN public.orders.capture_before IS 'When the authorization expires, if the provider has said.';

COMMENT ON COLUMN public.orders.refunds IS 'All refunds, the oldest first.';

COMMENT ON COLUMN public.orders.last_call_at IS 'The last call to a provider that no event followed: from then on, its outcome must be looked up.';

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_number_key UNIQUE (number);

ALTER TABLE public.orders
    ADD CONSTRAINT orders_payment_id_check CHECK (((payment_id IS NOT NULL) OR (payment = ANY (ARRAY['not_paid'::text, 'unknown'::text, 'failed'::text, 'voided'::text])))) NOT VALID;

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);

CREATE INDEX orders_by_email ON public.orders USING btree (lower(email), placed_at DESC, id DESC);

CREATE INDEX orders_by_fulfilment ON public.orders USING btree (fulfilment, placed_at DESC, id DESC);

CREATE INDEX orders_by_payment ON public.orders USING btree (payment, placed_at DESC, id DESC);

CREATE INDEX orders_by_shopper ON public.orders USING btree (shopper, id DESC);

CREATE INDEX orders_by_status ON public.orders USING btree (status, placed_at DESC, id DESC);

CREATE INDEX orders_by_time ON public.orders USING btree (placed_at DESC, id DESC);

CREATE INDEX orders_by_tracking_number ON public.orders USING btree (((label ->> 'tracking_number'::text)));

GRANT SELECT,INSERT,UPDATE ON TABLE public.orders TO cauce_app;


-- Table outbox

CREATE TABLE public.outbox (
    order_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    refund_id uuid,
    execution integer DEFAULT 0 NOT NULL,
    check_at timestamp with time zone DEFAULT (now() + '00:00:30'::interval) NOT NULL
);

COMMENT ON TABLE public.outbox IS 'Work that is not finished: an order until it is shipped or undone, a refund until it has succeeded or failed.';

COMMENT ON COLUMN public.outbox.refund_id IS 'The refund; null if the work is the order.';

COMMENT ON COLUMN public.outbox.execution IS 'The number of the execution that does the work: another one when that is lost.';

COMMENT ON COLUMN public.outbox.check_at IS 'When the sweep looks at it next, ever less often.';

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_work UNIQUE NULLS NOT DISTINCT (order_id, refund_id);

CREATE INDEX outbox_by_check ON public.outbox USING btree (check_at);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id);

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.outbox TO cauce_app;


-- Table provider_events

CREATE TABLE public.provider_events (
    provider text NOT NULL,
    id text NOT NULL,
    received_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.provider_events IS 'Webhooks that were processed, so that a repetition changes nothing.';

ALTER TABLE ONLY public.provider_events
    ADD CONSTRAINT provider_events_pkey PRIMARY KEY (provider, id);

CREATE INDEX provider_events_by_age ON public.provider_events USING btree (received_at);

GRANT SELECT,INSERT,DELETE ON TABLE public.provider_events TO cauce_app;


-- Table reconciliations

CREATE TABLE public.reconciliations (
    name text NOT NULL,
    compared_to timestamp with time zone NOT NULL,
    progress jsonb
);

COMMENT ON TABLE public.reconciliations IS 'Up to when a provider''s records have been compared with ours.';

COMMENT ON COLUMN public.reconciliations.name IS 'Such as payments:soon.';

COMMENT ON COLUMN public.reconciliations.progress IS 'The window that is being compared, and the position in it; null between two windows.';

ALTER TABLE ONLY public.reconciliations
    ADD CONSTRAINT reconciliations_pkey PRIMARY KEY (name);

GRANT SELECT,INSERT,UPDATE ON TABLE public.reconciliations TO cauce_app;


-- Table refund_allowances

CREATE TABLE public.refund_allowances (
    actor_id uuid NOT NULL,
    day date NOT NULL,
    currency text NOT NULL,
    cents bigint NOT NULL,
    CONSTRAINT refund_allowances_cents_check CHECK ((cents > 0))
);

COMMENT ON TABLE public.refund_allowances IS 'How much a person has refunded on a day (UTC).';

ALTER TABLE ONLY public.refund_allowances
    ADD CONSTRAINT refund_allowances_pkey PRIMARY KEY (actor_id, day, currency);

GRANT SELECT,INSERT,UPDATE ON TABLE public.refund_allowances TO cauce_app;


-- Table refund_approvals

CREATE TABLE public.refund_approvals (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    cents bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    requested_by uuid NOT NULL,
    requested_by_name text NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    decision text,
    decided_by uuid,
    decided_by_name text,
    decided_at timestamp with time zone,
    decision_reason text,
    CONSTRAINT refund_approvals_cents_check CHECK ((cents > 0)),
    CONSTRAINT refund_approvals_check CHECK (((decision IS NULL) = (decided_by IS NULL))),
    CONSTRAINT refund_approvals_check1 CHECK (((decision IS NULL) = (decided_by_name IS NULL))),
    CONSTRAINT refund_approvals_check2 CHECK (((decision IS NULL) = (decided_at IS NULL))),
    CONSTRAINT refund_approvals_decision_check CHECK ((decision = ANY (ARRAY['approved'::text, 'declined'::text]))),
    CONSTRAINT refund_approvals_two_people CHECK (((decision <> 'approved'::text) OR (decided_by <> requested_by)))
);

COMMENT ON TABLE public.refund_approvals IS 'Refunds that need a second person. An approved one is a refund of the same id.';

COMMENT ON COLUMN public.refund_approvals.requested_by_name IS 'The requester''s e-mail address at that time.';

COMMENT ON COLUMN public.refund_approvals.decided_by_name IS 'The e-mail address at that time.';

ALTER TABLE ONLY public.refund_approvals
    ADD CONSTRAINT refund_approvals_pkey PRIMARY KEY (id);

CREATE INDEX refund_approvals_by_order ON public.refund_approvals USING btree (order_id, id DESC);

CREATE INDEX refund_approvals_open ON public.refund_approvals USING btree (id) WHERE (decision IS NULL);

ALTER TABLE ONLY public.refund_approvals
    ADD CONSTRAINT refund_approvals_order_id_fkey FOREIGN KEY (order_id) REFERENCES public.orders(id) ON DELETE CASCADE;

GRANT SELECT,INSERT ON TABLE public.refund_approvals TO cauce_app;

GRANT UPDATE(decision) ON TABLE public.refund_approvals TO cauce_app;

GRANT UPDATE(decided_by) ON TABLE public.refund_approvals TO cauce_app;

GRANT UPDATE(decided_by_name) ON TABLE public.refund_approvals TO cauce_app;

GRANT UPDATE(decided_at) ON TABLE public.refund_approvals TO cauce_app;

GRANT UPDATE(decision_reason) ON TABLE public.refund_approvals TO cauce_app;


-- Table retention

CREATE TABLE public.retention (
    name text NOT NULL,
    done_to timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.retention IS 'Up to which time of placement orders have been gone through, such as guests.';

ALTER TABLE ONLY public.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (name);

GRANT SELECT,INSERT,UPDATE ON TABLE public.retention TO cauce_app;


-- Table stock

CREATE TABLE public.stock (
    sku text NOT NULL,
    available bigint NOT NULL,
    CONSTRAINT stock_available_check CHECK ((available >= 0))
);

COMMENT ON TABLE public.stock IS 'How many of each product can be ordered.';

ALTER TABLE ONLY public.stock
    ADD CONSTRAINT stock_pkey PRIMARY KEY (sku);

GRANT SELECT,INSERT,UPDATE ON TABLE public.stock TO cauce_app;


-- Table stock_adjustments

CREATE TABLE public.stock_adjustments (
    id uuid NOT NULL,
    "position" bigint NOT NULL,
    sku text NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    delta bigint NOT NULL,
    before bigint NOT NULL,
    after bigint NOT NULL,
    CONSTRAINT stock_adjustments_check CHECK (((after >= 0) AND (after = (before + delta)))),
    CONSTRAINT stock_adjustments_delta_check CHECK ((delta <> 0))
);

COMMENT ON TABLE public.stock_adjustments IS 'How people have changed the stock. Append-only.';

COMMENT ON COLUMN public.stock_adjustments."position" IS 'The order in which they were made.';

ALTER TABLE public.stock_adjustments ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.stock_adjustments_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.stock_adjustments
    ADD CONSTRAINT stock_adjustments_pkey PRIMARY KEY (id);

CREATE INDEX stock_adjustments_by_sku ON public.stock_adjustments USING btree (sku, "position" DESC);

CREATE INDEX stock_adjustments_with_actor ON public.stock_adjustments USING btree (at) WHERE (actor <> 'erased'::text);

CREATE TRIGGER stock_adjustments_are_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.stock_adjustments FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

GRANT SELECT,INSERT ON TABLE public.stock_adjustments TO cauce_app;


-- Table unpaid_orders

CREATE TABLE public.unpaid_orders (
    order_id uuid NOT NULL,
    network text NOT NULL,
    shopper uuid NOT NULL,
    payment_method text NOT NULL,
    units bigint NOT NULL,
    cents bigint NOT NULL,
    site text
);

COMMENT ON TABLE public.unpaid_orders IS 'What is reserved and not paid. A row goes when money is authorized for the order, or when it is cancelled.';

COMMENT ON COLUMN public.unpaid_orders.network IS 'The visitor''s: an IPv4 address, or an IPv6 network of 64 bits.';

COMMENT ON COLUMN public.unpaid_orders.site IS 'The IPv6 network of 48 bits that the network is part of; null for IPv4.';

ALTER TABLE ONLY public.unpaid_orders
    ADD CONSTRAINT unpaid_orders_pkey PRIMARY KEY (order_id);

CREATE INDEX unpaid_orders_by_network ON public.unpaid_orders USING btree (network);

CREATE INDEX unpaid_orders_by_payment_method ON public.unpaid_orders USING btree (payment_method);

CREATE INDEX unpaid_orders_by_shopper ON public.unpaid_orders USING btree (shopper);

CREATE INDEX unpaid_orders_by_site ON public.unpaid_orders USING btree (site);

GRANT SELECT,INSERT,DELETE ON TABLE public.unpaid_orders TO cauce_app;


-- Function accept_order

CREATE FUNCTION public.accept_order(p_request jsonb, OUT replayed boolean, OUT answer text) RETURNS record
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Accepts an order: one call, one commit. Repeated under the same key, it returns the first answer.
--   order: id, number, shopper, email, currency, total_cents, shipping_address, payment_method, placed_at of orders
--   lines: an array of sku, title, quantity, unit_cents of order_lines
--   claim: as of claim_key
--   network: that of the visitor: an IPv4 address, or an IPv6 network of 64 bits
--   limits: orders_a_minute of the shopper; max_unpaid_units and max_unpaid_cents, which the network, the shopper and
--     the card may each hold unpaid, and the network's IPv6 site ten times
--
-- Locks are always taken in the order site, network, card, key, rate, stock by SKU, so that no two calls wait for each
-- other. Orders of one network, and orders by one card, are accepted one after the other, so that each sees those
-- before it; those of one shopper are, by the row of their rate. A refusal is raised as an error, which undoes
-- everything the call has written; its SQLSTATE says which refusal it is and its detail what is at fault.
--   CA001  the key was used for another request
--   CA002  the shopper has placed too many orders this minute
--   CA003  not enough stock; detail: a JSON array of the SKUs
--   CA004  the network, its site, the shopper or the card would hold more than it may
declare
    this_order orders := jsonb_populate_record(null::orders, p_request -> 'order');
    lines order_lines[] := array(
        select line from jsonb_populate_recordset(null::order_lines, p_request -> 'lines') as line);
    limits record;
    this_network text := p_request ->> 'network';
    this_site text := case
        when this_network like '%:%/64' then set_masklen(this_network::cidr, 48)::text
    end;
    -- The payment service's test cards, such as pm_card_visa, are everyone's: they are no one's bound.
    is_shared boolean := this_order.payment_method like 'pm\_card\_%';
    placed_this_minute integer;
    wanted record;
    short text[];
    is_over boolean;
begin
    select * into strict limits
    from jsonb_to_record(p_request -> 'limits')
        as given (orders_a_minute integer, max_unpaid_units bigint, max_unpaid_cents bigint);

    if this_site is not null then
        perform pg_advisory_xact_lock(hashtextextended('site ' || this_site, 0));
    end if;
    perform pg_advisory_xact_lock(hashtextextended('network ' || this_network, 0));
    if not is_shared then
        perform pg_advisory_xact_lock(hashtextextended('card ' || this_order.payment_method, 0));
    end if;

    answer := claim_key(p_request -> 'claim', this_order.placed_at);
    replayed := answer is not null;
    if replayed then
        return;
    end if;
    answer := p_request #>> '{claim,answer}';

    insert into order_rates as rate (shopper, minute, placed)
    values (this_order.shopper, date_trunc('minute', this_order.placed_at), 1)
    on conflict (shopper) do update
        set placed = case when rate.minute = excluded.minute then rate.placed + 1 else 1 end,
            minute = excluded.minute
    returning rate.placed into placed_this_minute;
    -- A limit that is not given refuses, too.
    if (placed_this_minute <= limits.orders_a_minute) is not true then
        raise exception 'too many orders' using errcode = 'CA002';
    end if;

    for wanted in select sku, sum(quantity) as quantity from unnest(lines) group by sku order by sku loop
        update stock set available = available - wanted.quantity
        where sku = wanted.sku and available >= wanted.quantity;
        if not found then
            short := short || wanted.sku;
        end if;
    end loop;
    if short is not null then
        raise exception 'out of stock' using errcode = 'CA003', detail = to_json(short)::text;
    end if;

    insert into orders (
        id, number, shopper, email, status, payment, fulfilment, currency, total_cents,
        shipping_address, payment_method, placed_at, updated_at, version)
    values (
        this_order.id, this_order.number, this_order.shopper, this_order.email, 'pending', 'not_paid', 'unfulfilled',
        this_order.currency, this_order.total_cents, this_order.shipping_address, this_order.payment_method,
        this_order.placed_at, this_order.placed_at, 1);
    insert into order_lines (order_id, position, sku, title, quantity, unit_cents)
    select this_order.id, line.ordinality, line.sku, line.title, line.quantity, line.unit_cents
    from unnest(lines) with ordinality as line;
    insert into order_events (order_id, version, at, kind, data)
    values (this_order.id, 1, this_order.placed_at, 'accepted', '{}');
    insert into outbox (order_id, created_at) values (this_order.id, this_order.placed_at);

    insert into unpaid_orders (order_id, network, site, shopper, payment_method, units, cents)
    select this_order.id, this_network, this_site, this_order.shopper, this_order.payment_method, sum(quantity),
        this_order.total_cents
    from unnest(lines);
    select bool_and(units <= times * limits.max_unpaid_units and cents <= times * limits.max_unpaid_cents)
        is not true
    into strict is_over
    from (
        select sum(units) as units, sum(cents) as cents, 1 as times from unpaid_orders where network = this_network
        union all
        select sum(units), sum(cents), 10 from unpaid_orders where site = this_site
        union all
        select sum(units), sum(cents), 1 from unpaid_orders where shopper = this_order.shopper
        union all
        select sum(units), sum(cents), 1 from unpaid_orders
        where payment_method = this_order.payment_method and not is_shared
    ) as held;
    if is_over then
        raise exception 'too much unpaid' using errcode = 'CA004';
    end if;
end
$$;

CREATE FUNCTION public.accept_order(p_id uuid, p_number text, p_shopper uuid, p_email text, p_currency text, p_total_cents bigint, p_shipping_address jsonb, p_payment_method text, p_placed_at timestamp with time zone, p_skus text[], p_titles text[], p_quantities integer[], p_unit_cents bigint[], p_key text, p_request_hash bytea, p_answer text, p_orders_a_minute integer, OUT replayed boolean, OUT answer text) RETURNS record
    LANGUAGE plpgsql
    AS $$
declare
    used idempotency_keys;
    placed_this_minute integer;
    short text[];
begin
    -- A second call with the key waits here until the first has committed or is undone.
    insert into idempotency_keys (owner, key, request_hash, answer, created_at)
    values (p_shopper, p_key, p_request_hash, p_answer, p_placed_at)
    on conflict do nothing;
    if not found then
        select * into strict used from idempotency_keys k where k.owner = p_shopper and k.key = p_key;
        if used.request_hash <> p_request_hash then
            raise exception 'idempotency key reused' using errcode = 'CA001';
        end if;
        replayed := true;
        answer := used.answer;
        return;
    end if;

    insert into order_rates as rate (shopper, minute, placed)
    values (p_shopper, date_trunc('minute', p_placed_at), 1)
    on conflict (shopper) do update
        set placed = case when rate.minute = excluded.minute then rate.placed + 1 else 1 end,
            minute = excluded.minute
    returning placed into placed_this_minute;
    if placed_this_minute > p_orders_a_minute then
        raise exception 'too many orders' using errcode = 'CA002';
    end if;

    perform from stock where sku = any (p_skus) order by sku for update;
    select array_agg(wanted.sku order by wanted.sku) into short
    from (
        select sku, sum(quantity) as quantity
        from unnest(p_skus, p_quantities) as line (sku, quantity)
        group by sku
    ) as wanted
    left join stock on stock.sku = wanted.sku
    where coalesce(stock.available, 0) < wanted.quantity;
    if short is not null then
        raise exception 'out of stock' using errcode = 'CA003', detail = to_json(short)::text;
    end if;
    update stock
    set available = available - wanted.quantity
    from (
        select sku, sum(quantity) as quantity
        from unnest(p_skus, p_quantities) as line (sku, quantity)
        group by sku
    ) as wanted
    where stock.sku = wanted.sku;

    insert into orders (
        id, number, shopper, email, status, payment, fulfilment, currency, total_cents,
        shipping_address, payment_method, placed_at, updated_at, version)
    values (
        p_id, p_number, p_shopper, p_email, 'pending', 'not_paid', 'unfulfilled', p_currency,
        p_total_cents, p_shipping_address, p_payment_method, p_placed_at, p_placed_at, 1);
    insert into order_lines (order_id, position, sku, title, quantity, unit_cents)
    select p_id, line.position, line.sku, line.title, line.quantity, line.unit_cents
    from unnest(p_skus, p_titles, p_quantities, p_unit_cents)
        with ordinality as line (sku, title, quantity, unit_cents, position);
    insert into order_events (order_id, version, at, kind, data)
    values (p_id, 1, p_placed_at, 'accepted', '{}');
    insert into outbox (order_id, created_at) values (p_id, p_placed_at);

    replayed := false;
    answer := p_answer;
end
$$;

CREATE FUNCTION public.accept_order(p_id uuid, p_number text, p_shopper uuid, p_email text, p_currency text, p_total_cents bigint, p_shipping_address jsonb, p_payment_method text, p_placed_at timestamp with time zone, p_skus text[], p_titles text[], p_quantities integer[], p_unit_cents bigint[], p_key text, p_request_hash bytea, p_answer text, p_orders_a_minute integer, p_network text, p_max_unpaid_units bigint, p_max_unpaid_cents bigint, OUT replayed boolean, OUT answer text) RETURNS record
    LANGUAGE sql
    AS $$
    select * from accept_order(jsonb_build_object(
        'order', jsonb_build_object(
            'id', p_id, 'number', p_number, 'shopper', p_shopper, 'email', p_email, 'currency', p_currency,
            'total_cents', p_total_cents, 'shipping_address', p_shipping_address, 'payment_method', p_payment_method,
            'placed_at', p_placed_at),
        'lines', (
            select jsonb_agg(to_jsonb(line) order by line.ordinality)
            from unnest(p_skus, p_titles, p_quantities, p_unit_cents)
                with ordinality as line (sku, title, quantity, unit_cents)),
        'claim', jsonb_build_object(
            'owner', p_shopper, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_answer),
        'network', p_network,
        'limits', jsonb_build_object(
            'orders_a_minute', p_orders_a_minute, 'max_unpaid_units', p_max_unpaid_units,
            'max_unpaid_cents', p_max_unpaid_cents)))
$$;


-- Function adjust_stock

CREATE FUNCTION public.adjust_stock(p_request jsonb, OUT replayed boolean, OUT adjustment public.stock_adjustments) RETURNS record
    LANGUAGE plpgsql
    AS $$
-- Adjusts stock: one call, one commit. Repeated under the same key, it returns the first adjustment. Locks are taken
-- in the order of accept_order: key, stock. A refusal is raised as an error, which undoes everything; its SQLSTATE
-- says which it is.
--   adjustment: id, sku, at, actor, reason, delta of stock_adjustments
--   claim: as of claim_key; its answer is the adjustment's id
--   CA001  the key was used for another request
--   CA010  there would be less than nothing; detail: how many there are
declare
    wanted stock_adjustments := jsonb_populate_record(null::stock_adjustments, p_request -> 'adjustment');
    earlier text := claim_key(p_request -> 'claim', wanted.at);
    there_are bigint;
begin
    replayed := earlier is not null;
    if replayed then
        select * into strict adjustment from stock_adjustments where id = earlier::uuid;
        return;
    end if;
    insert into stock (sku, available) values (wanted.sku, 0) on conflict do nothing;
    select available into strict there_are from stock where sku = wanted.sku for update;
    if there_are + wanted.delta < 0 then
        raise exception 'not enough stock' using errcode = 'CA010', detail = there_are::text;
    end if;
    update stock set available = there_are + wanted.delta where sku = wanted.sku;
    insert into stock_adjustments (id, sku, at, actor, reason, delta, before, after)
    values (
        wanted.id, wanted.sku, wanted.at, wanted.actor, wanted.reason, wanted.delta, there_are,
        there_are + wanted.delta)
    returning * into strict adjustment;
end
$$;

CREATE FUNCTION public.adjust_stock(p_id uuid, p_sku text, p_delta bigint, p_reason text, p_actor text, p_at timestamp with time zone, p_owner uuid, p_key text, p_request_hash bytea, OUT replayed boolean, OUT adjustment public.stock_adjustments) RETURNS record
    LANGUAGE sql
    AS $$
    select * from adjust_stock(jsonb_build_object(
        'adjustment', jsonb_build_object(
            'id', p_id, 'sku', p_sku, 'at', p_at, 'actor', p_actor, 'reason', p_reason, 'delta', p_delta),
        'claim', jsonb_build_object(
            'owner', p_owner, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_id)))
$$;


-- Function approve_refund

CREATE FUNCTION public.approve_refund(p_decision jsonb) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
-- Approves a refund that is recorded by the statement that this is part of.
--   id, decided_by, decided_by_name, decided_at of refund_approvals
--   CA012  the request was decided before, or has expired
declare
    approved refund_approvals := jsonb_populate_record(null::refund_approvals, p_decision);
begin
    update refund_approvals
    set decision = 'approved', decided_by = approved.decided_by, decided_by_name = approved.decided_by_name,
        decided_at = approved.decided_at
    where id = approved.id and decision is null and expires_at > approved.decided_at;
    if not found then
        raise exception 'no open request for approval' using errcode = 'CA012';
    end if;
    return true;
end
$$;

CREATE FUNCTION public.approve_refund(p_id uuid, p_by uuid, p_by_name text, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql
    AS $$
    select approve_refund(jsonb_build_object(
        'id', p_id, 'decided_by', p_by, 'decided_by_name', p_by_name, 'decided_at', p_at))
$$;


-- Function carry_out_erasure

CREATE FUNCTION public.carry_out_erasure(p_id uuid, p_now timestamp with time zone, p_limit integer) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
declare
    open_erasure erasures;
    finished uuid[];
begin
    select * into open_erasure from erasures where id = p_id and ended_at is null for update;
    if not found then
        return true;
    end if;
    select array_agg(id) into finished from (
        select id from orders
        where shopper = open_erasure.shopper
            and (open_erasure.order_id is null or id = open_erasure.order_id)
            and not exists (select from outbox where outbox.order_id = orders.id)
        order by id desc limit p_limit
    ) as batch;
    perform erase_orders(finished);
    if open_erasure.order_id is null then
        perform erase_account(open_erasure.shopper, open_erasure.email);
    else
        delete from idempotency_keys
        where owner = open_erasure.shopper and position(open_erasure.order_id::text in answer) > 0;
    end if;
    if p_now < open_erasure.ends_after or exists (
        select from orders
        where shopper = open_erasure.shopper
            and (open_erasure.order_id is null or id = open_erasure.order_id))
    then
        return false;
    end if;
    update erasures set ended_at = p_now, email = null where id = p_id;
    return true;
end
$$;


-- Function claim_key

CREATE FUNCTION public.claim_key(p_claim jsonb, p_at timestamp with time zone) RETURNS text
    LANGUAGE plpgsql
    AS $$
-- Claims an idempotency key. Returns the answer of the call that has used it for the same request, else null.
--   p_claim: owner, key, request_hash, answer of idempotency_keys
--   CA001  the key was used for another request
declare
    claim idempotency_keys := jsonb_populate_record(null::idempotency_keys, p_claim);
    used idempotency_keys;
begin
    -- A second call with the key waits here until the first has committed or is undone.
    insert into idempotency_keys (owner, key, request_hash, answer, created_at)
    values (claim.owner, claim.key, claim.request_hash, claim.answer, p_at)
    on conflict do nothing;
    if found then
        return null;
    end if;
    select * into strict used from idempotency_keys k where k.owner = claim.owner and k.key = claim.key;
    if used.request_hash <> claim.request_hash then
        raise exception 'idempotency key reused' using errcode = 'CA001';
    end if;
    return used.answer;
end
$$;


-- Function delete_old_audit

CREATE FUNCTION public.delete_old_audit(p_before timestamp with time zone, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET "cauce.erases" TO 'on'
    AS $$
declare
    floor timestamptz := least(p_before, now() - interval '30 days');
    deleted bigint;
    resolved bigint;
begin
    delete from audit_log where id in (
        select id from audit_log where at < floor order by at limit p_limit);
    get diagnostics deleted = row_count;
    delete from attention where id in (
        select id from attention where resolved_at < floor limit p_limit);
    get diagnostics resolved = row_count;
    return greatest(deleted, resolved);
end
$$;

REVOKE ALL ON FUNCTION public.delete_old_audit(p_before timestamp with time zone, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_old_audit(p_before timestamp with time zone, p_limit integer) TO cauce_app;


-- Function delete_old_orders

CREATE FUNCTION public.delete_old_orders(p_before timestamp with time zone, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
    old uuid[];
begin
    select array_agg(id) into old from (
        select id from orders
        where placed_at < least(p_before, now() - interval '6 years')
            and not exists (select from outbox where outbox.order_id = orders.id)
        order by placed_at limit p_limit
    ) as batch;
    delete from attention where order_id = any (old);
    delete from order_events where order_id = any (old);
    delete from order_lines where order_id = any (old);
    delete from orders where id = any (old);
    return coalesce(cardinality(old), 0);
end
$$;

REVOKE ALL ON FUNCTION public.delete_old_orders(p_before timestamp with time zone, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_old_orders(p_before timestamp with time zone, p_limit integer) TO cauce_app;


-- Function delete_old_refund_allowances

CREATE FUNCTION public.delete_old_refund_allowances(p_before timestamp with time zone, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

REVOKE ALL ON FUNCTION public.delete_old_refund_allowances(p_before timestamp with time zone, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_old_refund_allowances(p_before timestamp with time zone, p_limit integer) TO cauce_app;


-- Function erase_account

CREATE FUNCTION public.erase_account(p_shopper uuid, p_email text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET "cauce.erases" TO 'on'
    AS $$
begin
    -- A guest does nothing that is audited, and an e-mail address may have been another person's before: rows are a
    -- person's by id. The id stays, which leads to no one once the account is gone.
    update audit_log set actor = 'erased' where actor_id = p_shopper or actor = p_shopper::text;
    update audit_log
    set reason = null,
        before = case jsonb_typeof(before) when 'object' then before - 'email' else before end,
        after = case jsonb_typeof(after) when 'object' then after - 'email' else after end
    where target = p_shopper::text;
    update refund_approvals set requested_by_name = 'erased' where requested_by = p_shopper;
    update refund_approvals set decided_by_name = 'erased' where decided_by = p_shopper;
    delete from refund_allowances where actor_id = p_shopper;
    if uuid_extract_version(p_shopper) is distinct from 5 then
        update stock_adjustments set actor = 'erased' where actor in (p_email, p_shopper::text);
        update attention set resolved_by = 'erased' where resolved_by in (p_email, p_shopper::text);
    end if;
    delete from idempotency_keys where owner = p_shopper;
    delete from order_rates where shopper = p_shopper;
    -- As functions/api counts a shopper's refusals.
    delete from attempts where name = 'audit.refused ' || p_shopper::text;
end
$$;

REVOKE ALL ON FUNCTION public.erase_account(p_shopper uuid, p_email text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_account(p_shopper uuid, p_email text) TO cauce_app;


-- Function erase_old_adjusters

CREATE FUNCTION public.erase_old_adjusters(p_before timestamp with time zone, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET "cauce.erases" TO 'on'
    AS $$
declare
    erased bigint;
begin
    update stock_adjustments set actor = 'erased' where id in (
        select id from stock_adjustments
        where at < least(p_before, now() - interval '30 days') and actor <> 'erased'
        order by at limit p_limit);
    get diagnostics erased = row_count;
    return erased;
end
$$;

REVOKE ALL ON FUNCTION public.erase_old_adjusters(p_before timestamp with time zone, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_old_adjusters(p_before timestamp with time zone, p_limit integer) TO cauce_app;


-- Function erase_old_orders

CREATE FUNCTION public.erase_old_orders(p_of_guests boolean, p_before timestamp with time zone, p_limit integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
    kind text := case when p_of_guests then 'guests' else 'accounts' end;
    begins timestamptz := coalesce((select done_to from retention where name = kind), '-infinity');
    old uuid[];
    ends timestamptz;
    -- An order that is not finished is come back to. One that finishes meanwhile counts as not finished.
    unfinished timestamptz := (
        select min(placed_at) from orders join outbox on outbox.order_id = orders.id);
begin
    -- Guests' ids are of version 5 (`ShopperId::guest`), accounts' of any form that Cognito likes. What is erased already
    -- has the nil id.
    select array_agg(id), max(placed_at) into old, ends from (
        select id, placed_at from orders
        where placed_at >= begins and placed_at < p_before
            and case when p_of_guests then uuid_extract_version(shopper) = 5
                else uuid_extract_version(shopper) is distinct from 5
                    and shopper <> '00000000-0000-0000-0000-000000000000' end
            and not exists (select from outbox where outbox.order_id = orders.id)
        order by placed_at limit p_limit
    ) as batch;
    perform erase_orders(old);
    if coalesce(cardinality(old), 0) < p_limit then
        ends := p_before;
    end if;
    ends := least(ends, unfinished);
    insert into retention (name, done_to) values (kind, ends)
    on conflict (name) do update set done_to = excluded.done_to;
    return coalesce(cardinality(old), 0);
end
$$;


-- Function erase_orders

CREATE FUNCTION public.erase_orders(p_ids uuid[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET "cauce.erases" TO 'on'
    AS $$
begin
    update orders
    set shopper = '00000000-0000-0000-0000-000000000000', email = 'erased', payment_method = 'pm_erased',
        shipping_address = jsonb_build_object('name', 'erased', 'line1', 'erased', 'city', 'erased',
            'postal_code', 'erased', 'country', shipping_address -> 'country'),
        refunds = (
            select coalesce(jsonb_agg(refund || '{"reason": ""}' order by position), '[]')
            from jsonb_array_elements(refunds) with ordinality as it (refund, position)
        ),
        version = version + 1
    where id = any (p_ids) and not exists (select from outbox where outbox.order_id = orders.id);
    update order_events set data = data - 'reason'
    where order_id = any (p_ids) and kind in ('cancelled', 'refund_requested') and data ? 'reason';
    update attention set reason = null where order_id = any (p_ids) and reason is not null;
    update audit_log set reason = null where target = any (p_ids::text[]) and reason is not null;
    update refund_approvals set reason = '', decision_reason = null where order_id = any (p_ids);
end
$$;

REVOKE ALL ON FUNCTION public.erase_orders(p_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_orders(p_ids uuid[]) TO cauce_app;


-- Function keep_dispute

CREATE FUNCTION public.keep_dispute(p_dispute jsonb) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
-- Keeps a dispute's state with the events that the statement records which this is part of.
--   order_id, state, recorded_at, check_at of disputes; the state has the id
declare
    dispute disputes := jsonb_populate_record(null::disputes, p_dispute);
begin
    insert into disputes (order_id, id, state, recorded_at, check_at)
    values (dispute.order_id, dispute.state ->> 'id', dispute.state, dispute.recorded_at, dispute.check_at)
    on conflict (order_id, id) do update
        set state = excluded.state, check_at = excluded.check_at;
    return true;
end
$$;

CREATE FUNCTION public.keep_dispute(p_order uuid, p_state jsonb, p_at timestamp with time zone, p_check_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql
    AS $$
    select keep_dispute(jsonb_build_object(
        'order_id', p_order, 'state', p_state, 'recorded_at', p_at, 'check_at', p_check_at))
$$;


-- Function record_events

CREATE FUNCTION public.record_events(p_request jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
-- Changes an order: one call, one commit. Writes its new state with the events that led to it, if nothing else has
-- changed it since it was seen; returns whether it did.
--   seen: the order's version then
--   order: its id, updated_at, and what may have changed: status, payment, fulfilment, hold, payment_id,
--     authorize_round, capture_before, refunds, label of orders
--   events: an array of kind, data of order_events
--   claim: as of claim_key, or left out
--
-- With a claim, the answer is kept under its key in the same commit, unless another call has used the key since; then
-- it returns false, too.
--
-- A cancelled order gives its stock back in the same commit, hence exactly once. One that is paid, or cancelled, holds
-- nothing unpaid any more. A refund that is requested is put in the outbox.
declare
    seen integer := p_request -> 'seen';
    events jsonb := p_request -> 'events';
    claim idempotency_keys;
    was orders;
    becomes orders;
    taken record;
begin
    select * into was from orders
    where id = (p_request #>> '{order,id}')::uuid and version = seen
    for update;
    if not found then
        return false;
    end if;
    -- What is left out, because the caller is of a version that does not know it, stays as it was.
    becomes := jsonb_populate_record(was, p_request -> 'order');

    if p_request ? 'claim' then
        claim := jsonb_populate_record(null::idempotency_keys, p_request -> 'claim');
        insert into idempotency_keys (owner, key, request_hash, answer, created_at)
        values (claim.owner, claim.key, claim.request_hash, claim.answer, becomes.updated_at)
        on conflict do nothing;
        if not found then
            return false;
        end if;
    end if;

    update orders
    set status = becomes.status, payment = becomes.payment, fulfilment = becomes.fulfilment, hold = becomes.hold,
        payment_id = becomes.payment_id, authorize_round = becomes.authorize_round,
        capture_before = becomes.capture_before, refunds = becomes.refunds, label = becomes.label,
        updated_at = becomes.updated_at, version = seen + jsonb_array_length(events)
    where id = was.id;
    insert into order_events (order_id, version, at, kind, data)
    select was.id, seen + event.ordinality, becomes.updated_at, event.kind, event.data
    from jsonb_populate_recordset(null::order_events, events) with ordinality as event;

    if becomes.status = 'cancelled' and was.status <> 'cancelled' then
        -- By SKU, as when stock is taken, so that no two calls wait for each other.
        for taken in
            select sku, sum(quantity) as quantity from order_lines where order_id = was.id group by sku order by sku
        loop
            update stock set available = available + taken.quantity where sku = taken.sku;
        end loop;
    end if;

    insert into outbox (order_id, refund_id, created_at)
    select was.id, (event.data ->> 'refund_id')::uuid, becomes.updated_at
    from jsonb_populate_recordset(null::order_events, events) as event
    where event.kind = 'refund_requested';
    if becomes.status = 'cancelled' or becomes.payment not in ('not_paid', 'unknown') then
        delete from unpaid_orders where order_id = was.id;
    end if;
    return true;
end
$$;

CREATE FUNCTION public.record_events(p_id uuid, p_seen integer, p_status text, p_payment text, p_fulfilment text, p_hold jsonb, p_payment_id text, p_label jsonb, p_at timestamp with time zone, p_kinds text[], p_data jsonb[], p_owner uuid, p_key text, p_request_hash bytea, p_answer text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
declare
    was text;
begin
    select status into was from orders where id = p_id and version = p_seen for update;
    if not found then
        return false;
    end if;

    if p_key is not null then
        insert into idempotency_keys (owner, key, request_hash, answer, created_at)
        values (p_owner, p_key, p_request_hash, p_answer, p_at)
        on conflict do nothing;
        if not found then
            return false;
        end if;
    end if;

    update orders
    set status = p_status, payment = p_payment, fulfilment = p_fulfilment, hold = p_hold,
        payment_id = p_payment_id, label = p_label, updated_at = p_at,
        version = p_seen + cardinality(p_kinds)
    where id = p_id;
    insert into order_events (order_id, version, at, kind, data)
    select p_id, p_seen + event.position, p_at, event.kind, event.data
    from unnest(p_kinds, p_data) with ordinality as event (kind, data, position);

    if p_status = 'cancelled' and was <> 'cancelled' then
        -- By SKU, as when stock is taken, so that no two calls wait for each other.
        perform from stock
        where sku in (select sku from order_lines where order_id = p_id)
        order by sku for update;
        update stock
        set available = available + taken.quantity
        from (
            select sku, sum(quantity) as quantity
            from order_lines
            where order_id = p_id
            group by sku
        ) as taken
        where stock.sku = taken.sku;
    end if;
    return true;
end
$$;

CREATE FUNCTION public.record_events(p_id uuid, p_seen integer, p_status text, p_payment text, p_fulfilment text, p_hold jsonb, p_payment_id text, p_authorize_round integer, p_capture_before timestamp with time zone, p_refunds jsonb, p_label jsonb, p_at timestamp with time zone, p_kinds text[], p_data jsonb[], p_new_refunds uuid[], p_owner uuid, p_key text, p_request_hash bytea, p_answer text) RETURNS boolean
    LANGUAGE sql
    AS $$
    select record_events(jsonb_build_object(
        'seen', p_seen,
        'order', jsonb_build_object(
            'id', p_id, 'status', p_status, 'payment', p_payment, 'fulfilment', p_fulfilment, 'hold', p_hold,
            'payment_id', p_payment_id, 'authorize_round', p_authorize_round, 'capture_before', p_capture_before,
            'refunds', p_refunds, 'label', p_label, 'updated_at', p_at),
        'events', (
            select jsonb_agg(to_jsonb(event) order by event.ordinality)
            from unnest(p_kinds, p_data) with ordinality as event (kind, data)))
        || case when p_key is null then '{}' else jsonb_build_object(
            'claim', jsonb_build_object(
                'owner', p_owner, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_answer))
        end)
$$;


-- Function refuse_change

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
    if current_setting('cauce.erases', true) = 'on' then
        return null;
    end if;
    raise exception '% is append-only', tg_table_name;
end
$$;


-- Function request_erasure

CREATE FUNCTION public.request_erasure(p_erasure jsonb) RETURNS uuid
    LANGUAGE plpgsql
    AS $$
-- Asks for a person's data to be erased, or one order's, unless that is asked for already; returns the open erasure.
--   id, shopper, order_id, email, requested_at, ends_after of erasures
--   CA020  an order, or a refund, is still under way
declare
    wanted erasures := jsonb_populate_record(null::erasures, p_erasure);
    open_erasure uuid;
begin
    if exists (
        select from orders join outbox on outbox.order_id = orders.id
        where orders.shopper = wanted.shopper and (wanted.order_id is null or orders.id = wanted.order_id))
    then
        raise exception 'orders are under way' using errcode = 'CA020';
    end if;
    insert into erasures (id, shopper, order_id, email, requested_at, ends_after)
    values (
        wanted.id, wanted.shopper, wanted.order_id, wanted.email, wanted.requested_at, wanted.ends_after)
    on conflict do nothing;
    select id into strict open_erasure from erasures
    where shopper = wanted.shopper and order_id is not distinct from wanted.order_id and ended_at is null;
    return open_erasure;
end
$$;

CREATE FUNCTION public.request_erasure(p_id uuid, p_shopper uuid, p_order_id uuid, p_email text, p_at timestamp with time zone, p_ends_after timestamp with time zone) RETURNS uuid
    LANGUAGE sql
    AS $$
    select request_erasure(jsonb_build_object(
        'id', p_id, 'shopper', p_shopper, 'order_id', p_order_id, 'email', p_email, 'requested_at', p_at,
        'ends_after', p_ends_after))
$$;


-- Function request_refund_approval

CREATE FUNCTION public.request_refund_approval(p_request jsonb, OUT replayed boolean, OUT answer text) RETURNS record
    LANGUAGE plpgsql
    AS $$
-- Requests approval of a refund: one call, one commit. Repeated under the same key, it returns the first answer.
--   approval: id, order_id, cents, currency, reason, requested_by, requested_by_name, requested_at, expires_at of
--     refund_approvals
--   claim: as of claim_key
--   CA001  the key was used for another request
declare
    wanted refund_approvals := jsonb_populate_record(null::refund_approvals, p_request -> 'approval');
begin
    answer := claim_key(p_request -> 'claim', wanted.requested_at);
    replayed := answer is not null;
    if replayed then
        return;
    end if;
    answer := p_request #>> '{claim,answer}';
    insert into refund_approvals (
        id, order_id, cents, currency, reason, requested_by, requested_by_name, requested_at, expires_at)
    values (
        wanted.id, wanted.order_id, wanted.cents, wanted.currency, wanted.reason, wanted.requested_by,
        wanted.requested_by_name, wanted.requested_at, wanted.expires_at);
end
$$;

CREATE FUNCTION public.request_refund_approval(p_id uuid, p_order uuid, p_cents bigint, p_currency text, p_reason text, p_by uuid, p_by_name text, p_at timestamp with time zone, p_expires_at timestamp with time zone, p_key text, p_request_hash bytea, p_answer text, OUT replayed boolean, OUT answer text) RETURNS record
    LANGUAGE sql
    AS $$
    select * from request_refund_approval(jsonb_build_object(
        'approval', jsonb_build_object(
            'id', p_id, 'order_id', p_order, 'cents', p_cents, 'currency', p_currency, 'reason', p_reason,
            'requested_by', p_by, 'requested_by_name', p_by_name, 'requested_at', p_at, 'expires_at', p_expires_at),
        'claim', jsonb_build_object(
            'owner', p_by, 'key', p_key, 'request_hash', p_request_hash, 'answer', p_answer)))
$$;


-- Function reserve_refund_allowance

CREATE FUNCTION public.reserve_refund_allowance(p_allowance jsonb) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
-- Counts a refund against its actor's limit of the day. Concurrent refunds of one person wait here for each other's
-- commit. A refusal undoes the statement that this is part of.
--   actor_id, currency, cents of refund_allowances; at, which is of the day; limit_cents of the day
--   CA011  the limit would be exceeded; detail: how many cents are left
declare
    wanted record;
    used bigint;
begin
    select * into strict wanted
    from jsonb_to_record(p_allowance)
        as given (actor_id uuid, at timestamptz, currency text, cents bigint, limit_cents bigint);
    insert into refund_allowances as allowance (actor_id, day, currency, cents)
    values (wanted.actor_id, (wanted.at at time zone 'UTC')::date, wanted.currency, wanted.cents)
    on conflict (actor_id, day, currency) do update
        set cents = allowance.cents + excluded.cents
    returning cents into strict used;
    -- A limit that is not given refuses, too.
    if (used <= wanted.limit_cents) is not true then
        raise exception 'over the limit of the day'
            using errcode = 'CA011', detail = greatest(wanted.limit_cents - (used - wanted.cents), 0)::text;
    end if;
    return true;
end
$$;

CREATE FUNCTION public.reserve_refund_allowance(p_actor uuid, p_at timestamp with time zone, p_currency text, p_cents bigint, p_limit bigint) RETURNS boolean
    LANGUAGE sql
    AS $$
    select reserve_refund_allowance(jsonb_build_object(
        'actor_id', p_actor, 'at', p_at, 'currency', p_currency, 'cents', p_cents, 'limit_cents', p_limit))
$$;
