// Receives webhooks on a free port, keeps them, and fails on demand.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

const PATIENCE_MS = 10_000;

export class Listener {
	#server;
	#deliveries = [];
	#deafFor = 0;

	static async start() {
		const listener = new Listener();
		listener.#server = createServer(async (request, response) => {
			const body = await text(request);
			const heard = listener.#deafFor === 0;
			if (!heard) listener.#deafFor -= 1;
			response.writeHead(heard ? 200 : 503).end();
			listener.#deliveries.push({ headers: request.headers, body, heard });
			listener.#server.emit('delivery');
		}).listen(0, '127.0.0.1');
		await once(listener.#server, 'listening');
		return listener;
	}

	get url() {
		return `http://127.0.0.1:${this.#server.address().port}/webhooks`;
	}

	/** Responds to the next deliveries with an error. */
	isDeafFor(deliveries) {
		this.#deafFor = deliveries;
	}

	/** Waits until `count` deliveries that match `wanted` have arrived, and returns them. */
	async hears(count, wanted = () => true) {
		const late = AbortSignal.timeout(PATIENCE_MS);
		for (;;) {
			const found = this.#deliveries.filter(wanted);
			if (found.length >= count) return found;
			await once(this.#server, 'delivery', { signal: late });
		}
	}

	forgets() {
		this.#deliveries = [];
	}

	stop() {
		this.#server.close();
		this.#server.closeAllConnections();
	}
}
