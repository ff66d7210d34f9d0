// The state machines are valid in the Amazon States Language, including JSONata, and stay short.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import validate from 'asl-validator';
import jsonata from 'jsonata';

import { generate, read, write } from './definitions.js';

/** The maximum number of states of a machine. */
const MOST_STATES = 14;

/** The maximum number of transitions of an order without failures. */
const MOST_TRANSITIONS = 7;

/** The outcomes of a step. */
const OUTCOMES = ['done', 'refused', 'wait'];

/** Each state machine, with its end states. */
const MACHINES = {
	'order.asl.json': ['CloseOrder', 'Shipped'],
	'refund.asl.json': ['Refunded'],
};

test('the files generated from definitions.yaml are up to date', async () => {
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

	test(`every state of ${file} is reached, and parked executions resume at their step`, async () => {
		const { StartAt, States } = await definition(file);
		const reached = new Set();
		// A map can be extended while it is iterated.
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

	test(`every path without a wait ends in ${file}`, async () => {
		const { StartAt, States } = await definition(file);
		for (const path of await paths(States, start(StartAt))) assert.ok(ends.includes(path.at(-1)), path.join(' -> '));
	});
}

test('an order without failures takes few transitions', async () => {
	const { StartAt, States } = await definition('order.asl.json');
	const path = [];
	for (let at = start(StartAt); at.name; at = await follow(States[at.name], at, ended('done'))) {
		path.push(at.name);
		assert.ok(path.length <= MOST_TRANSITIONS, path.join(' -> '));
	}
	assert.equal(path.at(-1), 'Shipped');
});

/** All paths from a state to an end on which no step waits. */
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

/** A new execution: its state, its input and its variables. */
function start(name) {
	return { name, input: {}, variables: {} };
}

/** The worker's response. */
function ended(outcome) {
	return outcome === 'wait' ? { outcome, work: 'an order', hold: { provider: 'payments' } } : { outcome };
}

function isParked({ Resource = '' }) {
	return Resource.endsWith('.waitForTaskToken');
}

/** The execution after a state. If the state is a task, it ends with `result`. */
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
