// The payments simulator, as Stripe's official client sees it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import Stripe from 'stripe';
import { Simulator } from './simulator.js';

const A_CENTS = 1299;
const SIX_DAYS_S = 6 * 24 * 3600;

let simulator;
let stripe;

before(async () => {
	simulator = await Simulator.start('payments-simulator');
	stripe = client('sk_test_contract');
});
afterEach(() => simulator.works());
after(() => simulator.stop());

/** The official client without its own retries: what the service says is what the test sees. */
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

/** What a call is refused with. */
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

	test('is let go', async () => {
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

	test('is captured in part, and no more than was held', async () => {
		const order = anOrder();
		const { id } = await authorize(order);
		const error = await refusal(stripe.paymentIntents.capture(id, { amount_to_capture: 1300 }));
		assert.equal(error.code, 'amount_too_large');
		assert.equal(error.param, 'amount_to_capture');
		const captured = await stripe.paymentIntents.capture(id, { amount_to_capture: 1000 });
		assert.equal(captured.amount_received, 1000);
		assert.deepEqual((await simulator.effects(order.orderId)).at(-1), 'captured 1000 EUR');
	});

	test('is neither captured twice nor let go after that', async () => {
		const order = anOrder();
		const { id } = await authorize(order);
		await stripe.paymentIntents.capture(id);
		for (const again of [stripe.paymentIntents.capture(id), stripe.paymentIntents.cancel(id)]) {
			const error = await refusal(again);
			assert.ok(error instanceof Stripe.errors.StripeInvalidRequestError);
			assert.equal(error.code, 'payment_intent_unexpected_state');
			assert.equal(error.statusCode, 400);
		}
		assert.equal((await simulator.ledger(order.orderId)).length, 2);
	});

	test('is taken at once where it is not captured by hand', async () => {
		const order = anOrder({ capture_method: 'automatic' });
		assert.equal((await authorize(order)).status, 'succeeded');
	});

	test('is confirmed after it was made', async () => {
		const order = anOrder({ confirm: false });
		const made = await authorize(order);
		assert.equal(made.status, 'requires_confirmation');
		assert.equal((await stripe.paymentIntents.confirm(made.id)).status, 'requires_capture');
	});

	test('that was never held lets no money go', async () => {
		const order = anOrder({ confirm: false });
		const { id } = await authorize(order);
		assert.equal((await stripe.paymentIntents.cancel(id)).status, 'canceled');
		assert.deepEqual(await simulator.ledger(order.orderId), []);
	});
});

describe('a look-up', () => {
	test('finds a payment by its name', async () => {
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

	test('says when there is no such payment', async () => {
		const error = await refusal(stripe.paymentIntents.retrieve('pi_none'));
		assert.equal(error.statusCode, 404);
		assert.equal(error.code, 'resource_missing');
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
			// The client shows a missing one as an empty text.
			assert.equal(error.decline_code || undefined, declineCode);
			assert.equal(error.payment_intent.status, 'requires_payment_method');
			const effects = (await simulator.ledger(order.orderId)).map(({ effect }) => effect);
			assert.deepEqual(effects, ['declined']);
		});
	}

	test('that was declined can give way to another', async () => {
		const order = anOrder({ payment_method: 'pm_card_visa_chargeDeclined' });
		const { payment_intent } = await refusal(authorize(order));
		const other = { payment_method: 'pm_card_mastercard' };
		const intent = await stripe.paymentIntents.confirm(payment_intent.id, other);
		assert.equal(intent.status, 'requires_capture');
	});

	test('asks for the shopper', async () => {
		const order = anOrder({ payment_method: 'pm_card_threeDSecure2Required' });
		const intent = await authorize(order);
		assert.equal(intent.status, 'requires_action');
		assert.equal(intent.next_action.type, 'use_stripe_sdk');
		assert.deepEqual(await simulator.ledger(order.orderId), []);
	});
});

describe('an idempotency key', () => {
	test('is answered what it was answered first', async () => {
		const order = anOrder();
		const first = await authorize(order);
		const second = await authorize(order);
		assert.equal(second.id, first.id);
		assert.equal(first.lastResponse.headers['idempotent-replayed'], undefined);
		assert.equal(second.lastResponse.headers['idempotent-replayed'], 'true');
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
	});

	test('remembers a decline too', async () => {
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

	test('is one payment, however often it is sent at once', async () => {
		const order = anOrder();
		const retrying = new Stripe('sk_test_contract', {
			host: '127.0.0.1',
			port: simulator.port,
			protocol: 'http',
			maxNetworkRetries: 5
		});
		const send = () =>
			retrying.paymentIntents.create(order.params, { idempotencyKey: order.key });
		const intents = await Promise.all(Array.from({ length: 20 }, send));
		assert.equal(new Set(intents.map(({ id }) => id)).size, 1);
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
	});

	test('does not remember a refusal before any work', async () => {
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
		['without a currency', { currency: undefined }, 'parameter_missing', 'currency'],
		['with an unknown card', { payment_method: 'pm_none' }, 'resource_missing', 'payment_method'],
		['with an unknown parameter', { order: 7 }, 'parameter_unknown', 'order']
	]) {
		test(`${title} names what is wrong`, async () => {
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

	test('that may send the shopper away needs an address to come back to', async () => {
		const order = anOrder({ payment_method_types: undefined });
		assert.equal((await refusal(authorize(order))).param, 'return_url');
		const automatic_payment_methods = { enabled: true, allow_redirects: 'never' };
		const stays = anOrder({ payment_method_types: undefined, automatic_payment_methods });
		assert.equal((await authorize(stays)).status, 'requires_capture');
	});

	test('with a foreign key is not let in', async () => {
		const error = await refusal(client('nonsense').balance.retrieve());
		assert.ok(error instanceof Stripe.errors.StripeAuthenticationError);
		assert.equal((await stripe.balance.retrieve()).object, 'balance');
	});
});

describe('a fault', () => {
	test('that comes before any work is forgotten', async () => {
		const order = anOrder();
		await simulator.fails({ mode: 'error', status: 503, next: 1 });
		const error = await refusal(authorize(order));
		assert.ok(error instanceof Stripe.errors.StripeAPIError);
		assert.equal(error.statusCode, 503);
		assert.equal((await authorize(order)).status, 'requires_capture');
	});

	test('that comes once work has begun is remembered for the key', async () => {
		const order = anOrder();
		await simulator.fails({ mode: 'error', status: 500, kept: true, next: 1 });
		await refusal(authorize(order));
		const error = await refusal(authorize(order));
		assert.equal(error.statusCode, 500);
		assert.equal(error.headers['idempotent-replayed'], 'true');
		assert.deepEqual(await simulator.ledger(order.orderId), []);
	});

	test('of too many calls says when to come back', async () => {
		await simulator.fails({ mode: 'rate_limited', retry_after: 7, next: 1 });
		const error = await refusal(authorize(anOrder()));
		assert.ok(error instanceof Stripe.errors.StripeRateLimitError);
		assert.equal(error.headers['retry-after'], '7');
	});

	test('that loses the answer has done the work, once', async () => {
		const order = anOrder();
		await simulator.fails({ mode: 'lose_answer', next: 1 });
		// The client tries a closed connection again, whatever its settings, with the same key.
		const intent = await authorize(order);
		assert.equal(intent.status, 'requires_capture');
		assert.equal(intent.lastResponse.headers['idempotent-replayed'], 'true');
		assert.deepEqual(await simulator.effects(order.orderId), ['authorized 1299 EUR']);
	});

	test('strikes only what it was ordered for', async () => {
		await simulator.fails({ mode: 'error', status: 500, operation: '/capture' });
		const { id } = await authorize(anOrder());
		assert.equal((await refusal(stripe.paymentIntents.capture(id))).statusCode, 500);
	});
});

test('a kill loses nothing that was answered', async () => {
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
