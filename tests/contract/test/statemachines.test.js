// The state machines keep to the Amazon States Language, JSONata included, and stay short.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';

import validate from 'asl-validator';
import jsonata from 'jsonata';

const FOLDER = new URL('../../../statemachines/', import.meta.url);

/** The most transitions of an order that nothing goes wrong with. */
const MOST_TRANSITIONS = 7;

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

async function definition(file) {
	const text = await readFile(new URL(file, FOLDER), 'utf8');
	const anyFunction = 'arn:aws:lambda:eu-west-1:123456789012:function:retry';
	return JSON.parse(text.replaceAll(/\$\{\w+FunctionArn\}/g, anyFunction));
}

/** Where a state leads when `input` comes into it. */
async function next({ Choices = [], Default, Next }, input) {
	for (const { Condition, Next } of Choices) {
		const expression = jsonata(Condition.replace(/^\{%|%\}$/g, ''));
		if (await expression.evaluate({}, { states: { input } })) return Next;
	}
	return Next ?? Default;
}
