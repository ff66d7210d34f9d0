// Generates the state machines' definitions, and their diagrams in the documentation, from
// statemachines/definitions.yaml.

import { readFile, writeFile } from 'node:fs/promises';

import { parse } from 'yaml';

const ROOT = new URL('../../../', import.meta.url);
const SOURCE = 'statemachines/definitions.yaml';
const PICTURES = 'docs/architecture.md';

/** The place of a diagram in a document, with the name of its definition. */
const PICTURE = /(<!-- statemachines\/(\w+)\.asl\.json -->\n)```mermaid\n[^]*?```/g;

/** The generated files: their paths and contents. */
export async function generate() {
	const { definitions } = parse(await read(SOURCE), { merge: true });
	const files = Object.entries(definitions).map(([name, definition]) => [
		`statemachines/${name}.asl.json`,
		`${JSON.stringify(definition, null, 2)}\n`,
	]);
	const pictures = (await read(PICTURES)).replace(PICTURE, (_, heading, name) => heading + draw(definitions[name]));
	return [...files, [PICTURES, pictures]];
}

/** Reads a file of the checkout. */
export function read(path) {
	return readFile(new URL(path, ROOT), 'utf8');
}

/** Writes a file of the checkout. */
export function write(path, text) {
	return writeFile(new URL(path, ROOT), text);
}

/** A state machine as a Mermaid diagram. A choice is a diamond, and its arrows have its conditions. */
function draw({ StartAt, States }) {
	const states = Object.entries(States);
	const choices = states.filter(([, { Type }]) => Type === 'Choice');
	// Mermaid treats a state as an ordinary one if it is used before it is declared a choice.
	const lines = choices.map(([name]) => `state ${name} <<choice>>`);
	lines.push(`[*] --> ${StartAt}`);
	for (const [name, { Type, Choices = [], Default, Catch = [], TimeoutSeconds, Next, End }] of states) {
		for (const { Condition, Next } of Choices) lines.push(`${name} --> ${Next}: ${label(Condition)}`);
		if (Default) lines.push(`${name} --> ${Default}: otherwise`);
		for (const { Next } of Catch) lines.push(`${name} --> ${Next}: after ${TimeoutSeconds} s`);
		if (Next) lines.push(`${name} --> ${Next}`);
		if (End || Type === 'Succeed') lines.push(`${name} --> [*]`);
	}
	return ['```mermaid', 'stateDiagram-v2', ...lines.map((line) => `    ${line}`), '```'].join('\n');
}

/** A condition without the syntax that all conditions share. */
function label(condition) {
	return condition.replace(/^\{% | %\}$|\$states\.input\.|[$']/g, '');
}
