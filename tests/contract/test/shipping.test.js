// The shipping simulator, tested with ShipEngine's official client, and with plain HTTP where the
// client has no call, such as a look-up of a shipment by its external id.

import assert from 'node:assert/strict';
import { createPublicKey, randomUUID, verify } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import ShipEngine from 'shipengine';
import { Listener } from './listener.js';
import { Simulator } from './simulator.js';

const KEY = 'TEST_contract';

let simulator;
let shipengine;

before(async () => {
	simulator = await Simulator.start('shipping-simulator');
	shipengine = new ShipEngine({ apiKey: KEY, baseURL: simulator.url, retries: 0, timeout: 5_000 });
});
afterEach(() => simulator.works());
after(() => simulator.stop());

function address(changes = {}) {
	return {
		name: 'Shopper One',
		phone: '+34 900 000 001',
		addressLine1: 'Calle Mayor 1',
		cityLocality: 'Madrid',
		stateProvince: 'Madrid',
		postalCode: '28013',
		countryCode: 'ES',
		addressResidentialIndicator: 'unknown',
		...changes
	};
}

function aParcel(orderId, changes = {}) {
	return {
		shipment: {
			externalShipmentId: orderId,
			serviceCode: 'usps_priority_mail',
			shipTo: address(),
			shipFrom: address({ name: 'Cauce' }),
			packages: [{ weight: { value: 500, unit: 'gram' } }],
			...changes
		}
	};
}

async function buy(orderId, changes) {
	return shipengine.createLabelFromShipmentDetails(aParcel(orderId, changes));
}

async function get(path, key = KEY) {
	const response = await fetch(`${simulator.url}${path}`, { headers: { 'API-Key': key } });
	return { status: response.status, body: await response.json() };
}

async function buyFor(shipmentId) {
	const response = await fetch(`${simulator.url}/v1/labels/shipment/${shipmentId}`, {
		method: 'POST',
		headers: { 'API-Key': KEY, 'Content-Type': 'application/json' },
		body: '{}'
	});
	return { status: response.status, body: await response.json() };
}

async function refusal(call) {
	try {
		await call;
	} catch (error) {
		return error;
	}
	throw new assert.AssertionError({ message: 'it was not refused' });
}

describe('a label', () => {
	test('is bought for a parcel', async () => {
		const orderId = randomUUID();
		const label = await buy(orderId);
		assert.match(label.labelId, /^se(-[a-z0-9]+)+$/);
		assert.ok(label.labelId.length <= 25);
		assert.equal(label.status, 'completed');
		assert.equal(label.voided, false);
		assert.ok(label.trackingNumber.length > 0);
		assert.equal(label.serviceCode, 'usps_priority_mail');
		assert.equal(label.packages[0].weight.value, 500);
		const cents = Math.round(label.shipmentCost.amount * 100);
		assert.deepEqual(await simulator.effects(orderId), [`label_bought ${cents} USD`]);
	});

	test('is found by the id of its order', async () => {
		const orderId = randomUUID();
		const label = await buy(orderId);
		const shipment = await get(`/v1/shipments/external_shipment_id/${orderId}`);
		assert.equal(shipment.status, 200);
		assert.equal(shipment.body.shipment_id, label.shipmentId);
		assert.equal(shipment.body.external_shipment_id, orderId);
		const { body } = await get(`/v1/labels?shipment_id=${label.shipmentId}`);
		assert.equal(body.total, 1);
		assert.equal(body.labels[0].label_id, label.labelId);
		assert.equal((await get(`/v1/labels/${label.labelId}`)).body.label_id, label.labelId);
	});

	test('is tracked', async () => {
		const label = await buy(randomUUID());
		const tracked = await shipengine.trackUsingLabelId(label.labelId);
		assert.equal(tracked.trackingNumber, label.trackingNumber);
		assert.equal(tracked.statusCode, 'AC');
		assert.ok(Array.isArray(tracked.events));
	});

	test('is voided once', async () => {
		const orderId = randomUUID();
		const { labelId } = await buy(orderId);
		assert.equal((await shipengine.voidLabelWithLabelId(labelId)).approved, true);
		assert.equal((await shipengine.voidLabelWithLabelId(labelId)).approved, false);
		const { body } = await get(`/v1/labels/${labelId}`);
		assert.equal(body.voided, true);
		assert.equal(body.status, 'voided');
		const effects = (await simulator.ledger(orderId)).map(({ effect }) => effect);
		assert.deepEqual(effects, ['label_bought', 'label_voided']);
	});

	test('is bought once for an external id, and again for its shipment', async () => {
		const orderId = randomUUID();
		const label = await buy(orderId);
		const error = await refusal(buy(orderId));
		assert.equal(error.type, 'validation');
		assert.equal(error.code, 'identifier_conflict');
		await shipengine.voidLabelWithLabelId(label.labelId);
		const again = await buyFor(label.shipmentId);
		assert.equal(again.status, 200);
		assert.equal(again.body.external_shipment_id, orderId);
		assert.notEqual(again.body.label_id, label.labelId);
		assert.equal((await buyFor('se-1')).status, 404);
	});
});

describe('a list of labels', () => {
	test('pages through the labels bought in a period, in both directions', async () => {
		const bought = [];
		for (let n = 0; n < 3; n += 1) bought.push((await buy(randomUUID())).labelId);
		const { body: first } = await get(`/v1/labels/${bought[0]}`);
		const { body: last } = await get(`/v1/labels/${bought[2]}`);
		const range = `created_at_start=${first.created_at}&created_at_end=${last.created_at}`;
		const list = async (query) => (await get(`/v1/labels?${range}&${query}`)).body;
		const ids = ({ labels }) => labels.map((label) => label.label_id);

		const page = await list('page_size=2&sort_by=created_at&sort_dir=asc');
		assert.deepEqual([page.total, page.page, page.pages], [3, 1, 2]);
		assert.deepEqual(ids(page), bought.slice(0, 2));
		assert.deepEqual(ids(await list('page_size=2&page=2&sort_dir=asc')), bought.slice(2));
		assert.deepEqual(ids(await list('')), bought.toReversed());
		assert.deepEqual(ids(await list('page=9')), []);
	});

	test('refuses unsupported parameters', async () => {
		for (const query of ['page=0', 'created_at_start=yesterday', 'sort_by=price', 'colour=red']) {
			const { status, body } = await get(`/v1/labels?${query}`);
			assert.equal(status, 400, query);
			assert.equal(body.errors[0].error_type, 'validation');
		}
	});
});

describe('a parcel that moves', () => {
	let listener;

	before(async () => {
		listener = await Listener.start();
		await simulator.is('PUT', '/_webhooks', { url: listener.url });
	});
	after(async () => {
		await simulator.is('DELETE', '/_webhooks');
		listener.stop();
	});

	/** Whether a delivery is signed with one of the provider's published keys. */
	async function isSigned({ headers, body }) {
		const { keys } = await simulator.shows('/jwks');
		const id = headers['x-shipengine-rsa-sha256-key-id'];
		const key = createPublicKey({ key: keys.find(({ kid }) => kid === id), format: 'jwk' });
		const signed = `${headers['x-shipengine-timestamp']}.${body}`;
		const signature = Buffer.from(headers['x-shipengine-rsa-sha256-signature'], 'base64');
		return verify('RSA-SHA256', signed, key, signature);
	}

	test('is reported, signed', async () => {
		const orderId = randomUUID();
		const label = await buy(orderId);
		await simulator.is('POST', '/_carrier', { order_id: orderId, status: 'IT' });
		await simulator.is('POST', '/_carrier', { label_id: label.labelId, status: 'DE' });
		const mine = ({ body }) => body.includes(label.trackingNumber);
		const deliveries = await listener.hears(2, mine);
		const codes = [];
		for (const delivery of deliveries) {
			assert.ok(await isSigned(delivery));
			assert.ok(!(await isSigned({ ...delivery, body: `${delivery.body} ` })));
			const { resource_type, data } = JSON.parse(delivery.body);
			assert.equal(resource_type, 'API_TRACK');
			assert.equal(data.tracking_number, label.trackingNumber);
			codes.push(data.status_code);
		}
		assert.deepEqual(codes, ['IT', 'DE']);

		const tracked = await shipengine.trackUsingLabelId(label.labelId);
		assert.equal(tracked.statusCode, 'DE');
		assert.equal(tracked.events.length, 2);
		assert.ok(tracked.actualDeliveryDate);
		const { body } = await get(`/v1/labels/${label.labelId}`);
		assert.equal(body.tracking_status, 'delivered');
	});

	test('is delivered automatically if configured', async () => {
		await simulator.is('PUT', '/_webhooks', { url: listener.url, deliver_after_ms: 50 });
		const { trackingNumber } = await buy(randomUUID());
		const [{ body }] = await listener.hears(1, (it) => it.body.includes(trackingNumber));
		assert.equal(JSON.parse(body).data.status_code, 'DE');
		await simulator.is('PUT', '/_webhooks', { url: listener.url });
	});

	test('keeps its signing key after a kill', async () => {
		const { keys } = await simulator.shows('/jwks');
		await simulator.isKilledAndRestarted();
		assert.deepEqual((await simulator.shows('/jwks')).keys, keys);
	});

	test('must exist', async () => {
		const orderId = randomUUID();
		const lost = { order_id: orderId, status: 'DE' };
		await assert.rejects(simulator.is('POST', '/_carrier', lost));
		const { labelId } = await buy(orderId);
		await shipengine.voidLabelWithLabelId(labelId);
		await assert.rejects(simulator.is('POST', '/_carrier', lost));
	});
});

describe('a refusal', () => {
	test('names an undeliverable address', async () => {
		const orderId = randomUUID();
		const error = await refusal(buy(orderId, { shipTo: address({ postalCode: '00000' }) }));
		assert.equal(error.name, 'ShipEngineError');
		assert.equal(error.type, 'validation');
		assert.equal(error.errorCode ?? error.code, 'invalid_address');
		assert.deepEqual(await simulator.ledger(orderId), []);
		assert.equal((await get(`/v1/shipments/external_shipment_id/${orderId}`)).status, 404);
	});

	for (const [title, changes, field] of [
		['an address without a city', { shipTo: address({ cityLocality: '' }) }, 'city_locality'],
		['a parcel without a weight', { packages: [] }, 'packages'],
		['a service that is not offered', { serviceCode: 'pigeon' }, 'service_code']
	]) {
		test(`names ${title}`, async () => {
			const error = await refusal(buy(randomUUID(), changes));
			assert.ok(error.message.includes(field), error.message);
		});
	}

	test('reports an unknown label', async () => {
		const error = await refusal(shipengine.trackUsingLabelId('se-1'));
		assert.equal(error.errorCode ?? error.code, 'not_found');
	});

	test('of a call without a key has the usual form', async () => {
		const { status, body } = await get('/v1/carriers', '');
		assert.equal(status, 401);
		assert.equal(body.errors[0].error_type, 'security');
		assert.equal(typeof body.request_id, 'string');
	});
});

test('the carriers offer the service that labels are bought for', async () => {
	const carriers = await shipengine.listCarriers();
	const offered = carriers.flatMap(({ services }) => services.map((it) => it.serviceCode));
	assert.ok(offered.includes('usps_priority_mail'));
});

describe('a fault', () => {
	test('of too many calls has Retry-After', async () => {
		await simulator.fails({ mode: 'rate_limited', retry_after: 7, next: 1 });
		const error = await refusal(buy(randomUUID()));
		assert.equal(error.name, 'RateLimitExceededError');
		assert.equal(error.retryAfter, 7);
	});

	test('of the service has no effect', async () => {
		const orderId = randomUUID();
		await simulator.fails({ mode: 'error', status: 500, next: 1 });
		await refusal(buy(orderId));
		assert.deepEqual(await simulator.ledger(orderId), []);
	});

	test('that loses the response has bought the label, which a look-up finds', async () => {
		const orderId = randomUUID();
		await simulator.fails({ mode: 'lose_answer', next: 1 });
		await refusal(buy(orderId));
		const [bought, ...more] = await simulator.ledger(orderId);
		assert.deepEqual(more, []);
		const shipment = await get(`/v1/shipments/external_shipment_id/${orderId}`);
		const { body } = await get(`/v1/labels?shipment_id=${shipment.body.shipment_id}`);
		assert.equal(body.labels[0].label_id, bought.id);
	});
});

test('a kill loses no call that was answered', async () => {
	const orderId = randomUUID();
	const { labelId, shipmentId } = await buy(orderId);
	await simulator.isKilledAndRestarted();
	const shipment = await get(`/v1/shipments/external_shipment_id/${orderId}`);
	assert.equal(shipment.body.shipment_id, shipmentId);
	assert.equal((await shipengine.voidLabelWithLabelId(labelId)).approved, true);
	assert.equal((await simulator.ledger(orderId)).length, 2);
});
