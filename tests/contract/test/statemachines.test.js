// The state machines keep to the Amazon States Language, JSONata included, and stay short.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';

import validate from 'asl-validator';
import jsonata from 'jsonata';

const FOLDER = new URL('../../../statemachines/', import.meta.url);

/** The most transitions of an order that nothing goes wrong with. */
const MOST_TRANSITIONS = 7;

/** How a step can end. */
const OUTCOMES = ['done', 'refused', 'wait'];

for (const file of await readdir(FOLDER)) {
	test(`${file} is valid`, async () => {
		const { isValid, errorsText } = validate(await definition(file));
		assert.ok(isValid, errorsText('\n'));
	});
}

test('an order that nothing goes wrong with takes few transitions', async () => {
	const { StartAt, States } = await definition('order.asl.json');
	const path = [];
	for (let name = StartAt; name; name = await next(States[name], { outcome: 'done' })) {
		path.push(name);
		assert.ok(path.length <= MOST_TRANSITIONS, path.join(' -> '));
	}
	assert.equal(path.at(-1), 'Shipped');
});

for (const [file, ends] of [
	['order.asl.json', ['CloseOrder', 'Shipped']],
	['refund.asl.json', ['Refunded']],
]) {
	test(`every state of ${file} is reached, and whatever need not wait comes to an end`, async () => {
		const { StartAt, States } = await definition(file);
		const reached = new Set([StartAt]);
		// As each outcome of a step leads on; a set takes what is added while it is walked.
		for (const name of reached) {
			for (const outcome of OUTCOMES) {
				for (const ofLabel of OUTCOMES) {
					const following = await next(States[name], { outcome }, { outcome: ofLabel });
					if (following) reached.add(following);
				}
			}
		}
		assert.deepEqual([...reached].sort(), Object.keys(States).sort());
		for (const path of await paths(States, StartAt)) assert.ok(ends.includes(path.at(-1)), path.join(' -> '));
	});
}

/** Every way from a state to an end on which no step has to wait. */
async function paths(states, name, before = []) {
	const path = [...before, name];
	assert.ok(!before.includes(name), path.join(' -> '));
	const following = new Set();
	for (const outcome of ['done', 'refused']) following.add(await next(states[name], { outcome }));
	const ways = [];
	for (const name of following) ways.push(...(name ? await paths(states, name, path) : [path]));
	return ways;
}

async function definition(file) {
	const text = await readFile(new URL(file, FOLDER), 'utf8');
	const anyFunction = 'arn:aws:lambda:eu-west-1:123456789012:function:retry';
	return JSON.parse(text.replaceAll(/\$\{\w+FunctionArn\}/g, anyFunction));
}

/**
 * Where a state leads when `input` comes into it. An order that is undone has two outcomes: of its payment, which
 * is the input, and of its label.
 */
async function next({ Choices = [], Default, Next }, input, ofLabel = input) {
	const variables = { states: { input }, void_payment: input, void_label: ofLabel };
	for (const { Condition, Next } of Choices) {
		const expression = jsonata(Condition.replace(/^\{%|%\}$/g, ''));
		if (await expression.evaluate({}, variables)) return Next;
	}
	return Next ?? Default;
}
