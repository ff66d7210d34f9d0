// A simulator in a separate process, with a free port and its own data folder, which can be killed
// and restarted. Its program is named by the environment, or is this workspace's debug build.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const READY_WITHIN_MS = 10_000;

export class Simulator {
	#program;
	#port;
	#data;
	#process;

	static async start(name) {
		const built = fileURLToPath(new URL(`../../../target/debug/${name}`, import.meta.url));
		const simulator = new Simulator();
		simulator.#program = process.env[name.toUpperCase().replace('-', '_')] ?? built;
		simulator.#port = await freePort();
		simulator.#data = await mkdtemp(join(tmpdir(), `${name}-`));
		await simulator.#launch();
		return simulator;
	}

	get port() {
		return this.#port;
	}

	get url() {
		return `http://127.0.0.1:${this.#port}`;
	}

	/** The simulator's ledger, as a whole or for one order. */
	async ledger(orderId) {
		const filter = orderId ? `?order_id=${encodeURIComponent(orderId)}` : '';
		const response = await fetch(`${this.url}/_ledger${filter}`);
		return response.json();
	}

	/** The effects for one order, the oldest first, such as `['authorized 1299 EUR']`. */
	async effects(orderId) {
		const entries = await this.ledger(orderId);
		return entries.map(({ effect, cents, currency }) => `${effect} ${cents} ${currency}`);
	}

	async fails(fault) {
		await this.is('PUT', '/_faults', fault);
	}

	/** Sends a command to the simulator. */
	async is(method, path, body) {
		const response = await fetch(`${this.url}${path}`, {
			method,
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify(body)
		});
		if (!response.ok) throw new Error(`it was refused: ${await response.text()}`);
	}

	/** Reads a record of the simulator. */
	async shows(path) {
		return (await fetch(`${this.url}${path}`)).json();
	}

	async works() {
		await fetch(`${this.url}/_faults`, { method: 'DELETE' });
	}

	/** Kills it as a power cut would, and restarts it with the same data. */
	async isKilledAndRestarted() {
		await this.#kill();
		await this.#launch();
	}

	async stop() {
		await this.#kill();
		await rm(this.#data, { recursive: true, force: true });
	}

	async #launch() {
		const flags = ['--listen', `127.0.0.1:${this.#port}`, '--data', this.#data];
		this.#process = spawn(this.#program, flags, {
			env: { ...process.env, LOG_LEVEL: 'info' },
			stdio: ['ignore', 'pipe', 'inherit']
		});
		const said = [];
		const ready = new Promise((resolve, reject) => {
			const lines = createInterface({ input: this.#process.stdout });
			lines.on('line', (line) => {
				said.push(line);
				if (line.includes('simulator.ready')) resolve();
			});
			this.#process.once('error', reject);
			this.#process.once('exit', () => reject(new Error(`it ended: ${said.join('\n')}`)));
			const late = () => reject(new Error(`not ready: ${said.join('\n')}`));
			setTimeout(late, READY_WITHIN_MS).unref();
		});
		await ready;
	}

	async #kill() {
		if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
		this.#process.kill('SIGKILL');
		await once(this.#process, 'exit');
	}
}

async function freePort() {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}
