// The state machines keep to the Amazon States Language, JSONata included, and stay short.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import validate from 'asl-validator';
import jsonata from 'jsonata';

import { generate, read, write } from './definitions.js';

/** The most states of a machine. */
const MOST_STATES = 14;

/** The most transitions of an order that nothing goes wrong with. */
const MOST_TRANSITIONS = 7;

/** How a step can end. */
const OUTCOMES = ['done', 'refused', 'wait'];

/** Each state machine, with the states in which it ends. */
const MACHINES = {
	'order.asl.json': ['CloseOrder', 'Shipped'],
	'refund.asl.json': ['Refunded'],
};

test('what is generated from definitions.yaml is up to date', async () => {
	for (const [path, text] of await generate()) {
		if (process.env.UPDATE_STATEMACHINES) await write(path, text);
		assert.equal(
			await read(path),
			text,
			'run UPDATE_STATEMACHINES=1 node --test test/statemachines.test.js, and look at what changed',
		);
	}
});

for (const [file, ends] of Object.entries(MACHINES)) {
	test(`${file} is valid`, async () => {
		const { isValid, errorsText } = validate(await definition(file));
		assert.ok(isValid, errorsText('\n'));
	});

	test(`${file} has few states`, async () => {
		const names = Object.keys((await definition(file)).States);
		assert.ok(names.length <= MOST_STATES, `${names.length}: ${names}`);
	});

	test(`every state of ${file} is reached, and whatever waits resumes where it stopped`, async () => {
		const { StartAt, States } = await definition(file);
		const reached = new Set();
		// A map takes what is added while it is walked.
		const ahead = new Map();
		const visit = (at) => at.name && ahead.set(JSON.stringify(at), at);
		visit(start(StartAt));
		for (const at of ahead.values()) {
			reached.add(at.name);
			const state = States[at.name];
			if (isParked(state)) {
				const step = await evaluate(state.Arguments.Item.step.S, at);
				const resumed = await untilTask(States, await follow(state, at, {}));
				assert.equal(resumed.name, step, `${at.name} of ${step}`);
				visit(await follow(state, at, {}));
			} else {
				for (const outcome of OUTCOMES) visit(await follow(state, at, ended(outcome)));
			}
		}
		assert.deepEqual([...reached].sort(), Object.keys(States).sort());
	});

	test(`whatever need not wait comes to an end in ${file}`, async () => {
		const { StartAt, States } = await definition(file);
		for (const path of await paths(States, start(StartAt))) assert.ok(ends.includes(path.at(-1)), path.join(' -> '));
	});
}

test('an order that nothing goes wrong with takes few transitions', async () => {
	const { StartAt, States } = await definition('order.asl.json');
	const path = [];
	for (let at = start(StartAt); at.name; at = await follow(States[at.name], at, ended('done'))) {
		path.push(at.name);
		assert.ok(path.length <= MOST_TRANSITIONS, path.join(' -> '));
	}
	assert.equal(path.at(-1), 'Shipped');
});

/** Every way from a state to an end on which no step has to wait. */
async function paths(states, at, before = []) {
	assert.ok(!before.includes(at.name), [...before, at.name].join(' -> '));
	const path = [...before, at.name];
	const following = new Map();
	for (const outcome of ['done', 'refused']) {
		const next = await follow(states[at.name], at, ended(outcome));
		following.set(JSON.stringify(next), next);
	}
	const ways = [];
	for (const next of following.values()) ways.push(...(next.name ? await paths(states, next, path) : [path]));
	return ways;
}

async function definition(file) {
	const anyFunction = 'arn:aws:lambda:eu-west-1:123456789012:function:retry';
	return JSON.parse((await read(`statemachines/${file}`)).replaceAll(/\$\{\w+FunctionArn\}/g, anyFunction));
}

/** An execution that has just been started: the state that it is in, its input and the variables. */
function start(name) {
	return { name, input: {}, variables: {} };
}

/** What the worker answers. */
function ended(outcome) {
	return outcome === 'wait' ? { outcome, work: 'an order', hold: { provider: 'payments' } } : { outcome };
}

function isParked({ Resource = '' }) {
	return Resource.endsWith('.waitForTaskToken');
}

/** Where an execution is once its task, if the state is one, has ended with `result`. */
async function follow({ Type, Choices = [], Default, Next, Assign = {}, Output }, at, result) {
	if (Type === 'Choice') {
		for (const { Condition, Next, Output = '{% $states.input %}' } of Choices) {
			if (await evaluate(Condition, at)) return { ...at, name: Next, input: await evaluate(Output, at) };
		}
		return { ...at, name: Default };
	}
	return {
		name: Next,
		input: await evaluate(Output ?? '{% $states.result %}', at, result),
		variables: { ...at.variables, ...(await evaluate(Assign, at, result)) },
	};
}

async function untilTask(states, at) {
	return states[at.name].Type === 'Choice' ? untilTask(states, await follow(states[at.name], at)) : at;
}

/** A value of a definition, with its expressions evaluated. */
async function evaluate(value, at, result) {
	if (typeof value === 'object') {
		const entries = Object.entries(value).map(async ([key, it]) => [key, await evaluate(it, at, result)]);
		return Object.fromEntries(await Promise.all(entries));
	}
	const expression = /^\{%(.*)%\}$/.exec(value)?.[1];
	if (!expression) return value;
	const context = { Execution: { Input: { order_id: 'an order' } } };
	return jsonata(expression).evaluate({}, { states: { input: at.input, result, context }, ...at.variables });
}
