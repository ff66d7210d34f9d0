/** Starts the built server, with limits that the adapter has no variables for. */
import { server } from './build/index.js';

/** A client that sends its request more slowly than this is cut off. */
server.server.headersTimeout = 10_000;
server.server.requestTimeout = 30_000;
