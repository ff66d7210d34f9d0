// The payments simulator, tested with Stripe's official client.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import Stripe from 'stripe';
import { Listener } from './listener.js';
import { Simulator } from './simulator.js';

const A_CENTS = 1299;
const SIX_DAYS_S = 6 * 24 * 3600;

const SECRET = 'whsec_contract';

let simulator;
let stripe;
let listener;

before(async () => {
	simulator = await Simulator.start('payments-simulator');
	stripe = client('sk_test_contract');
	listener = await Listener.start();
	await configureWebhooks({});
});
afterEach(() => simulator.works());
after(async () => {
	await simulator.stop();
	listener.stop();
});

/** Configures the simulator's webhooks, which the listener receives. */
async function configureWebhooks(settings) {
	await simulator.is('PUT', '/_webhooks', { url: listener.url, secret: SECRET, ...settings });
}

/** The official client without its own retries, so that a test sees each response. */
function client(key) {
	return new Stripe(key, {
		host: '127.0.0.1',
		port: simulator.port,
		protocol: 'http',
		maxNetworkRetries: 0,
		timeout: 5_000,
		telemetry: false
	});
}

function anOrder(changes = {}) {
	const orderId = randomUUID();
	const params = {
		amount: A_CENTS,
		currency: 'eur',
		payment_method: 'pm_card_visa',
		payment_method_types: ['card'],
		capture_method: 'manual',
		confirm: true,
		metadata: { order_id: orderId },
		expand: ['latest_charge'],
		...changes
	};
	return { orderId, params, key: `${orderId}:authorize` };
}

async function authorize({ params, key }) {
	return stripe.paymentIntents.create(params, { idempotencyKey: key });
}

/** The error of a call. */
async function refusal(call) {
	try {
		await call;
	} catch (error) {
		return error;
	}
	throw new assert.AssertionError({ message: 'it was not refused' });
}

describe('a payment', () => {
	test('is held until it is captured', async () => {
		const order = anOrder();
		const intent = await authorize(order);
		assert.equal(intent.object, 'payment_intent');
		assert.equal(intent.status, 'requires_capture');
		assert.equal(intent.amount_capturable, A_CENTS);
		assert.equal(intent.amount_received, 0);
		const { capture_before } = intent.latest_charge.payment_method_details.card;
		assert.ok(capture_before > Date.now() / 1000 + SIX_DAYS_S);

		const captured = await stripe.paymentIntents.capture(intent.id);
		assert.equal(captured.status, 'succeeded');
		assert.equal(captured.amount_received, A_CENTS);
		assert.equal(typeof captured.latest_charge, 'string');
		assert.deepEqual(await simulator.effects(order.orderId), [
			'authorized 1299 EUR',
			'captured 1299 EUR'
		]);
	});

	test('is canceled', async () => {
		const order = anOrder();
		const { id } = await authorize(order);
		const canceled = await stripe.paymentIntents.cancel(id, {
			cancellation_reason: 'requested_by_customer'
		});
		assert.equal(canceled.status, 'canceled');
		assert.equal(canceled.cancellation_reason, 'requested_by_customer');
		assert.deepEqual(await simulator.effects(order.orderId), [
			'authorized 1299 EUR',
			'canceled 1299 EUR'
		]);
	});

	test('is captured in part, and at most as authorized', async () => {
		const order = anOrder();
		const { id } = await authorize(order);
		const error = await refusal(stripe.paymentIntents.capture(id, { amount_to_capture: 1300 }));
		assert.equal(error.code, 'amount_too_large');
		assert.equal(error.param, 'amount_to_capture');
		const captured = await stripe.paymentIntents.capture(id, { amount_to_capture: 1000 });
		assert.equal(captured.amount_received, 1000);
		assert.deepEqual((await simulator.effects(order.orderId)).at(-1), 'captured 1000 EUR');
	});

	test('is neither captured twice nor canceled after its capture', async () => {
		const order = anOrder();
		const { id } = await authorize(order);
		await stripe.paymentIntents.capture(id);
		for (const again of ['capture', 'cancel']) {
			const error = await refusal(stripe.paymentIntents[again](id));
			assert.ok(error instanceof Stripe.errors.StripeInvalidRequestError);
			assert.equal(error.code, 'payment_intent_unexpected_state');
			assert.equal(error.statusCode, 400);
		}
		assert.equal((await simulator.ledger(order.orderId)).length, 2);
	});

	test('is captured at once with automatic capture', async () => {
		const order = anOrder({ capture_method: 'automatic' });
		assert.equal((await authorize(order)).status, 'succeeded');
	});

	test('is confirmed after it was created', async () => {
		const order = anOrder({ confirm: false });
		const made = await authorize(order);
		assert.equal(made.status, 'requires_confirmation');
		assert.equal((await stripe.paymentIntents.confirm(made.id)).status, 'requires_capture');
	});

	test('that was never authorized is canceled without an effect', async () => {
		const order = anOrder({ confirm: false });
		const { id } = await authorize(order);
		assert.equal((await stripe.paymentIntents.cancel(id)).status, 'canceled');
		assert.deepEqual(await simulator.ledger(order.orderId), []);
	});
});

describe('a look-up', () => {
	test('finds a payment by its id', async () => {
		const { id } = await authorize(anOrder());
		const whole = await stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] });
		assert.equal(whole.latest_charge.object, 'charge');
		assert.equal((await stripe.paymentIntents.retrieve(id)).id, id);
	});

	test('finds a payment by its order', async () => {
		const order = anOrder();
		const { id } = await authorize(order);
		for (const quote of [`'`, `"`]) {
			const found = await stripe.paymentIntents.search({
				query: `metadata[${quote}order_id${quote}]:${quote}${order.orderId}${quote}`,
				expand: ['data.latest_charge']
			});
			assert.equal(found.object, 'search_result');
			assert.deepEqual(
				found.data.map((intent) => intent.id),
				[id]
			);
			assert.equal(found.data[0].latest_charge.object, 'charge');
		}
	});

	test('pages through all payments, the newest first', async () => {
		const made = [];
		for (let n = 0; n < 3; n += 1) made.unshift((await authorize(anOrder())).id);
		const first = await stripe.paymentIntents.list({ limit: 2 });
		assert.equal(first.has_more, true);
		const seen = [];
		for await (const { id } of stripe.paymentIntents.list({ limit: 2 })) {
			seen.push(id);
			if (seen.length === 3) break;
		}
		assert.deepEqual(seen, made);
	});

	test('fails if there is no such payment', async () => {
		const error = await refusal(stripe.paymentIntents.retrieve('pi_none'));
		assert.equal(error.statusCode, 404);
		assert.equal(error.code, 'resource_missing');
	});
});

describe('a list', () => {
	test('contains the payments created in a period', async () => {
		const { id, created } = await authorize(anOrder());
		const within = await stripe.paymentIntents.list({
			created: { gte: created, lt: created + 1 },
			limit: 100
		});
		assert.ok(within.data.some((intent) => intent.id === id));
		const later = await stripe.paymentIntents.list({ created: { gte: created + 3600 } });
		assert.deepEqual(later.data, []);
		const earlier = await stripe.paymentIntents.list({ created: { lt: created }, limit: 100 });
		assert.ok(earlier.data.every((intent) => intent.created < created));
	});
});

/** A captured payment. */
async function capturedPayment(order = anOrder()) {
	const { id } = await authorize(order);
	return stripe.paymentIntents.capture(id);
}

describe('a refund', () => {
	test('returns a part, and then the rest', async () => {
		const order = anOrder();
		const { id } = await capturedPayment(order);
		const metadata = { refund_id: randomUUID() };
		const part = await stripe.refunds.create({
			payment_intent: id,
			amount: 300,
			reason: 'requested_by_customer',
			metadata
		});
		assert.equal(part.object, 'refund');
		assert.equal(part.status, 'succeeded');
		assert.equal(part.amount, 300);
		assert.equal(part.payment_intent, id);
		assert.deepEqual(part.metadata, metadata);
		const rest = await stripe.refunds.create({ payment_intent: id });
		assert.equal(rest.amount, A_CENTS - 300);

		const expand = ['latest_charge'];
		const { amount_received, latest_charge } = await stripe.paymentIntents.retrieve(id, {
			expand
		});
		assert.equal(amount_received, A_CENTS);
		assert.equal(latest_charge.amount_refunded, A_CENTS);
		assert.equal(latest_charge.refunded, true);
		const [, , first, second] = await simulator.ledger(order.orderId);
		assert.deepEqual([first.effect, first.id, first.cents], ['refunded', part.id, 300]);
		assert.deepEqual([second.effect, second.cents], ['refunded', A_CENTS - 300]);
	});

	test('is found by its id and by its payment', async () => {
		const { id } = await capturedPayment();
		const made = [];
		for (const amount of [100, 200, 300]) {
			made.unshift((await stripe.refunds.create({ payment_intent: id, amount })).id);
		}
		assert.equal((await stripe.refunds.retrieve(made[0])).amount, 300);
		const seen = [];
		for await (const refund of stripe.refunds.list({ payment_intent: id, limit: 2 })) {
			seen.push(refund.id);
		}
		assert.deepEqual(seen, made);
		assert.equal((await refusal(stripe.refunds.retrieve('re_none'))).code, 'resource_missing');
	});

	test('is made once for its key', async () => {
		const order = anOrder();
		const { id } = await capturedPayment(order);
		const options = { idempotencyKey: randomUUID() };
		const refund = () => stripe.refunds.create({ payment_intent: id, amount: 300 }, options);
		const [first, second] = [await refund(), await refund()];
		assert.equal(second.id, first.id);
		assert.equal(second.lastResponse.headers['idempotent-replayed'], 'true');
		assert.deepEqual((await simulator.effects(order.orderId)).slice(2), ['refunded 300 EUR']);
	});

	test('of more than was captured is refused', async () => {
		const order = anOrder();
		const { id } = await capturedPayment(order);
		const refund = (params) => stripe.refunds.create({ payment_intent: id, ...params });
		const tooMuch = await refusal(refund({ amount: A_CENTS + 1 }));
		assert.equal(tooMuch.statusCode, 400);
		assert.equal(tooMuch.param, 'amount');
		await refund({});
		assert.equal((await refusal(refund({ amount: 1 }))).code, 'charge_already_refunded');
		assert.equal((await simulator.ledger(order.orderId)).length, 3);
	});

	test('of an uncaptured payment is refused', async () => {
		const { id } = await authorize(anOrder());
		const error = await refusal(stripe.refunds.create({ payment_intent: id }));
		assert.match(error.message, /does not have a successful charge/);
		const missing = await refusal(stripe.refunds.create({ payment_intent: 'pi_none' }));
		assert.equal(missing.code, 'resource_missing');
		const { id: taken } = await capturedPayment();
		const reason = await refusal(stripe.refunds.create({ payment_intent: taken, reason: 'no' }));
		assert.equal(reason.param, 'reason');
	});

	for (const [card, first, last, effects] of [
		['pm_card_pendingRefund', 'pending', 'succeeded', ['refunded 1299 EUR']],
		['pm_card_refundFail', 'succeeded', 'failed', ['refunded 1299 EUR', 'refund_failed 1299 EUR']]
	]) {
		test(`to ${card} is ${first} before it is ${last}`, async () => {
			const order = anOrder({ payment_method: card });
			const { id } = await capturedPayment(order);
			const refund = await stripe.refunds.create({ payment_intent: id });
			assert.equal(refund.status, first);
			const [told] = await receiveEvents((event) => {
				const { object } = event.data;
				return event.type === 'refund.updated' && object.id === refund.id;
			});
			assert.equal(told.data.object.status, last);
			assert.equal((await stripe.refunds.retrieve(refund.id)).status, last);
			assert.deepEqual((await simulator.effects(order.orderId)).slice(2), effects);
		});
	}
});

describe('a dispute', () => {
	/** Opens or updates a dispute of an order's payment. */
	const disputes = (order, status) =>
		simulator.is('POST', '/_dispute', { order_id: order.orderId, status });
	const told = (type, id) => receiveEvents((event) => event.type === type && about(id)(event));

	test('is listed with its payment, and ends as the bank decides', async () => {
		const order = anOrder();
		const { id } = await capturedPayment(order);
		await disputes(order, 'needs_response');
		const expand = ['data.payment_intent'];
		const { data } = await stripe.disputes.list({ payment_intent: id, expand });
		assert.equal(data.length, 1);
		const [dispute] = data;
		assert.equal(dispute.object, 'dispute');
		assert.equal(dispute.amount, A_CENTS);
		assert.equal(dispute.payment_intent.metadata.order_id, order.orderId);
		assert.ok(dispute.evidence_details.due_by > dispute.created);
		assert.equal(dispute.balance_transactions[0].amount, -A_CENTS);
		const refused = await refusal(stripe.refunds.create({ payment_intent: id }));
		assert.equal(refused.code, 'charge_disputed');

		await disputes(order, 'won');
		const won = await stripe.disputes.retrieve(dispute.id);
		assert.equal(won.status, 'won');
		assert.equal(won.payment_intent, id);
		assert.equal(won.balance_transactions.length, 2);
		await stripe.refunds.create({ payment_intent: id });
		await told('charge.dispute.closed', dispute.id);
		assert.equal((await refusal(stripe.disputes.retrieve('du_none'))).code, 'resource_missing');
	});

	test('is opened for the test cards of disputes', async () => {
		for (const [card, status] of [
			['pm_card_createDispute', 'needs_response'],
			['pm_card_createDisputeInquiry', 'warning_needs_response']
		]) {
			const { id } = await capturedPayment(anOrder({ payment_method: card }));
			const [{ data }] = await told('charge.dispute.created', id);
			assert.equal(data.object.status, status);
		}
	});
});

test('an authorization that lapses is canceled and cannot be captured', async () => {
	const order = anOrder();
	const { id } = await authorize(order);
	await simulator.is('POST', '/_lapse', { order_id: order.orderId });
	const intent = await stripe.paymentIntents.retrieve(id);
	assert.equal(intent.status, 'canceled');
	assert.equal(intent.cancellation_reason, 'automatic');
	const error = await refusal(stripe.paymentIntents.capture(id));
	assert.equal(error.code, 'payment_intent_unexpected_state');
	assert.equal((await simulator.effects(order.orderId)).at(-1), 'canceled 1299 EUR');
});

/** Waits for `count` events that match `wanted`, and verifies their signatures. */
async function receiveEvents(wanted, count = 1) {
	const read = ({ headers, body }) =>
		stripe.webhooks.constructEvent(body, headers['stripe-signature'], SECRET);
	const deliveries = await listener.hears(count, (it) => it.heard && wanted(read(it)));
	return deliveries.map(read);
}

const about = (id) => (event) =>
	[event.data.object.id, event.data.object.payment_intent].includes(id);

describe('a webhook', () => {
	test('reports each change, signed', async () => {
		const { id } = await capturedPayment();
		await stripe.refunds.create({ payment_intent: id });
		const events = await receiveEvents(about(id), 4);
		assert.deepEqual(
			events.map(({ type }) => type),
			[
				'payment_intent.amount_capturable_updated',
				'payment_intent.succeeded',
				'refund.created',
				'charge.refunded'
			]
		);
		const [held] = events;
		assert.equal(held.object, 'event');
		assert.match(held.id, /^evt_/);
		assert.equal(held.data.object.status, 'requires_capture');
	});

	for (const [title, type, change] of [
		['a card is declined', 'payment_intent.payment_failed', 'pm_card_visa_chargeDeclined'],
		[
			'the bank requires the shopper',
			'payment_intent.requires_action',
			'pm_card_threeDSecure2Required'
		]
	]) {
		test(`reports that ${title}`, async () => {
			const order = anOrder({ payment_method: change });
			await authorize(order).catch(() => {});
			const mine = ({ data }) => data.object.metadata.order_id === order.orderId;
			assert.equal((await receiveEvents(mine))[0].type, type);
		});
	}

	test('reports that an authorization was canceled', async () => {
		const { id } = await authorize(anOrder());
		await stripe.paymentIntents.cancel(id);
		const [, canceled] = await receiveEvents(about(id), 2);
		assert.equal(canceled.type, 'payment_intent.canceled');
	});

	test('fails verification if it is forged', async () => {
		const { id } = await authorize(anOrder());
		const [{ headers, body }] = await listener.hears(1, (it) => it.body.includes(id));
		const signature = headers['stripe-signature'];
		const check = (text, secret) => () => stripe.webhooks.constructEvent(text, signature, secret);
		assert.throws(check(`${body} `, SECRET), Stripe.errors.StripeSignatureVerificationError);
		assert.throws(check(body, 'whsec_other'), Stripe.errors.StripeSignatureVerificationError);
	});

	test('is repeated until it is acknowledged, also after a kill', async () => {
		listener.isDeafFor(2);
		const { id } = await authorize(anOrder());
		await listener.hears(1, (it) => it.body.includes(id));
		await simulator.isKilledAndRestarted();
		const [event] = await receiveEvents(about(id));
		const all = await listener.hears(3, (it) => it.body.includes(id));
		assert.deepEqual(
			all.map(({ heard }) => heard),
			[false, false, true]
		);
		assert.ok(all.every(({ body }) => JSON.parse(body).id === event.id));
	});

	test('may arrive twice and out of order', async () => {
		await configureWebhooks({ seed: 3, duplicate: 1, shuffle: true, delay_ms: 20 });
		const ids = [];
		for (let n = 0; n < 8; n += 1) ids.push((await authorize(anOrder())).id);
		const events = await receiveEvents(({ data }) => ids.includes(data.object.id), 16);
		assert.equal(new Set(events.map(({ id }) => id)).size, 8);
		const first = [...new Set(events.map(({ data }) => data.object.id))];
		assert.notDeepEqual(first, ids);
		assert.deepEqual([...first].sort(), [...ids].sort());
		await configureWebhooks({});
	});

	test('reports its deliveries without its secret', async () => {
		const { id } = await authorize(anOrder());
		await receiveEvents(about(id));
		const shown = await simulator.shows('/_webhooks');
		assert.equal(shown.url, listener.url);
		assert.equal(shown.secret, undefined);
		assert.ok(shown.sent >= 1);
	});

	test('requires a secret and an address', async () => {
		for (const settings of [{ url: listener.url }, { url: 'nowhere', secret: SECRET }]) {
			await assert.rejects(simulator.is('PUT', '/_webhooks', settings), /secret|url/);
		}
	});
});

describe('a test card', () => {
	for (const [card, code, declineCode] of [
		['pm_card_visa_chargeDeclined', 'card_declined', 'generic_decline'],
		['pm_card_visa_chargeDeclinedInsufficientFunds', 'card_declined', 'insufficient_funds'],
		['pm_card_chargeDeclinedExpiredCard', 'expired_card', undefined],
		['pm_card_chargeDeclinedProcessingError', 'processing_error', undefined]
	]) {
		test(`${card} is declined with ${code}`, async () => {
			const order = anOrder({ payment_method: card });
			const error = await refusal(authorize(order));
			assert.ok(error instanceof Stripe.errors.StripeCardError);
			assert.equal(error.statusCode, 402);
			assert.equal(error.code, code);
			// The client represents a missing one as an empty string.
			assert.equal(error.decline_code || undefined, declineCode);
			assert.equal(error.payment_intent.status, 'requires_payment_method');
			const effects = (await simulator.ledger(order.orderId)).map(({ effect }) => effect);
			assert.deepEqual(effects, ['declined']);
		});
	}

	test('that was declined can be replaced by another', async () => {
		const order = anOrder({ payment_method: 'pm_card_visa_chargeDeclined' });
		const { payment_intent } = await refusal(authorize(order));
		const other = { payment_method: 'pm_card_mastercard' };
		const intent = await stripe.paymentIntents.confirm(payment_intent.id, other);
		assert.equal(intent.status, 'requires_capture');
	});

	test('requires authentication by the shopper', async () => {
		const order = anOrder({ payment_method: 'pm_card_threeDSecure2Required' });
		const intent = await authorize(order);
		assert.equal(intent.status, 'requires_action');
		assert.equal(intent.next_action.type, 'use_stripe_sdk');
		assert.deepEqual(await simulator.ledger(order.orderId), []);
	});
});

describe('an idempotency key', () => {
	test('replays the first response', async () => {
		const order = anOrder();
		const first = await authorize(order);
		const second = await authorize(order);
		assert.equal(second.id, first.id);
		assert.equal(first.lastResponse.headers['idempotent-replayed'], undefined);
		assert.equal(second.lastResponse.headers['idempotent-replayed'], 'true');
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
	});

	test('replays a decline too', async () => {
		const order = anOrder({ payment_method: 'pm_card_visa_chargeDeclined' });
		const [first, second] = [await refusal(authorize(order)), await refusal(authorize(order))];
		assert.equal(second.payment_intent.id, first.payment_intent.id);
		assert.equal(second.headers['idempotent-replayed'], 'true');
	});

	test('is refused with other parameters', async () => {
		const order = anOrder();
		await authorize(order);
		const error = await refusal(
			authorize({ ...order, params: { ...order.params, amount: A_CENTS + 1 } })
		);
		assert.ok(error instanceof Stripe.errors.StripeIdempotencyError);
		assert.equal(error.statusCode, 400);
		assert.equal(error.rawType, 'idempotency_error');
	});

	test('is refused for another call', async () => {
		const order = anOrder();
		const { id } = await authorize(order);
		const error = await refusal(
			stripe.paymentIntents.capture(id, {}, { idempotencyKey: order.key })
		);
		assert.ok(error instanceof Stripe.errors.StripeIdempotencyError);
	});

	test('is refused while it is in use', async () => {
		const order = anOrder();
		await simulator.fails({ mode: 'slow', ms: 500, next: 1 });
		const answers = await Promise.allSettled([authorize(order), authorize(order)]);
		const [refused] = answers.filter(({ status }) => status === 'rejected');
		assert.equal(refused.reason.statusCode, 409);
		assert.equal(refused.reason.code, 'idempotency_key_in_use');
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
		assert.equal((await authorize(order)).status, 'requires_capture');
	});

	test('creates one payment, however often it is sent at once', async () => {
		const order = anOrder();
		const retrying = new Stripe('sk_test_contract', {
			host: '127.0.0.1',
			port: simulator.port,
			protocol: 'http',
			maxNetworkRetries: 5
		});
		const send = () => retrying.paymentIntents.create(order.params, { idempotencyKey: order.key });
		const intents = await Promise.all(Array.from({ length: 20 }, send));
		assert.equal(new Set(intents.map(({ id }) => id)).size, 1);
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
	});

	test('does not replay a refusal before any work', async () => {
		const order = anOrder({ amount: 1 });
		assert.equal((await refusal(authorize(order))).code, 'amount_too_small');
		const mended = { ...order, params: { ...order.params, amount: A_CENTS } };
		assert.equal((await authorize(mended)).status, 'requires_capture');
	});
});

describe('a bad request', () => {
	for (const [title, changes, code, param] of [
		['without an amount', { amount: undefined }, 'parameter_missing', 'amount'],
		['with no number', { amount: 'ten' }, 'parameter_invalid_integer', 'amount'],
		['of too much', { amount: 100_000_000 }, 'amount_too_large', 'amount'],
		['of too little', { amount: 49 }, 'amount_too_small', 'amount'],
		['of too little', { amount: 1_499, currency: 'czk' }, 'amount_too_small', 'amount'],
		['of a fraction', { amount: 30_050, currency: 'isk' }, undefined, 'amount'],
		['of a fraction', { amount: 5_124, currency: 'kwd' }, undefined, 'amount'],
		['of an unknown currency', { currency: 'xyz' }, undefined, 'currency'],
		['without a currency', { currency: undefined }, 'parameter_missing', 'currency'],
		['with an unknown card', { payment_method: 'pm_none' }, 'resource_missing', 'payment_method'],
		['with an unknown parameter', { order: 7 }, 'parameter_unknown', 'order']
	]) {
		test(`${title} names the invalid parameter: ${JSON.stringify(changes)}`, async () => {
			const order = anOrder(changes);
			const error = await refusal(authorize(order));
			assert.ok(error instanceof Stripe.errors.StripeInvalidRequestError);
			assert.equal(error.statusCode, 400);
			assert.equal(error.code, code);
			assert.equal(error.param, param);
			const query = `metadata['order_id']:'${order.orderId}'`;
			assert.deepEqual((await stripe.paymentIntents.search({ query })).data, []);
		});
	}

	test('that may redirect the shopper needs a return URL', async () => {
		const order = anOrder({ payment_method_types: undefined });
		assert.equal((await refusal(authorize(order))).param, 'return_url');
		const automatic_payment_methods = { enabled: true, allow_redirects: 'never' };
		const stays = anOrder({ payment_method_types: undefined, automatic_payment_methods });
		assert.equal((await authorize(stays)).status, 'requires_capture');
	});

	test('with an invalid API key is refused', async () => {
		const error = await refusal(client('nonsense').balance.retrieve());
		assert.ok(error instanceof Stripe.errors.StripeAuthenticationError);
		assert.equal((await stripe.balance.retrieve()).object, 'balance');
	});
});

describe('a fault', () => {
	test('before any work is not replayed', async () => {
		const order = anOrder();
		await simulator.fails({ mode: 'error', status: 503, next: 1 });
		const error = await refusal(authorize(order));
		assert.ok(error instanceof Stripe.errors.StripeAPIError);
		assert.equal(error.statusCode, 503);
		assert.equal((await authorize(order)).status, 'requires_capture');
	});

	test('after work has begun is replayed for the key', async () => {
		const order = anOrder();
		await simulator.fails({ mode: 'error', status: 500, kept: true, next: 1 });
		await refusal(authorize(order));
		const error = await refusal(authorize(order));
		assert.equal(error.statusCode, 500);
		assert.equal(error.headers['idempotent-replayed'], 'true');
		assert.deepEqual(await simulator.ledger(order.orderId), []);
	});

	test('of too many calls has Retry-After', async () => {
		await simulator.fails({ mode: 'rate_limited', retry_after: 7, next: 1 });
		const error = await refusal(authorize(anOrder()));
		assert.ok(error instanceof Stripe.errors.StripeRateLimitError);
		assert.equal(error.headers['retry-after'], '7');
	});

	test('that loses the response has done the work once', async () => {
		const order = anOrder();
		await simulator.fails({ mode: 'lose_answer', next: 1 });
		// The client always retries a closed connection, with the same key.
		const intent = await authorize(order);
		assert.equal(intent.status, 'requires_capture');
		assert.equal(intent.lastResponse.headers['idempotent-replayed'], 'true');
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
	});

	test('strikes only the calls that it was set for', async () => {
		await simulator.fails({ mode: 'error', status: 500, operation: '/capture' });
		const { id } = await authorize(anOrder());
		assert.equal((await refusal(stripe.paymentIntents.capture(id))).statusCode, 500);
	});
});

test('a kill during many calls leaves each executed once or not at all', async () => {
	const orders = Array.from({ length: 100 }, () => anOrder());
	const answered = new Map();
	const calls = orders.map(async (order) => {
		const { id } = await authorize(order);
		answered.set(order, id);
	});
	await Promise.any(calls);
	const before = new Map(answered);
	await simulator.isKilledAndRestarted();
	assert.ok(before.size < orders.length, 'the kill came too late');
	await Promise.allSettled(calls);

	const again = await Promise.all(orders.map(authorize));
	for (const [n, order] of orders.entries()) {
		assert.equal(again[n].id, before.get(order) ?? again[n].id);
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
	}
});

test('a kill loses no call that was answered', async () => {
	const order = anOrder();
	const { id } = await authorize(order);
	await simulator.isKilledAndRestarted();
	const replayed = await authorize(order);
	assert.equal(replayed.id, id);
	assert.equal(replayed.lastResponse.headers['idempotent-replayed'], 'true');
	assert.equal((await stripe.paymentIntents.capture(id)).status, 'succeeded');
	assert.deepEqual(await simulator.effects(order.orderId), [
		'authorized 1299 EUR',
		'captured 1299 EUR'
	]);
});
