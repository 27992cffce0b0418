// Requests to the platform: the one place that uses the token and names the origin.
//
//     request ──► address, headers, token ──► one connection ──► answer within its limits ──► outcome
//                            ▲                                        │
//                            ├── once more: another token after 401 ──┤
//                            └── once more: a GET that was cut off ───┘
//
// Redirects are not followed, cookies not kept, answers not expanded, and nothing leaves without a token. `fetch` is not
// used: it gives up after 300 s without an answer, and does not say whether anything was sent.

import http from 'node:http';
import https from 'node:https';

import { target } from './address.js';
import { readAnswer } from './answer.js';
import { oneLine } from './log.js';

// The platform takes no larger document on any path.
const REQUEST_BODY_BYTES = 16 << 20;
// The longest that any exchange may take, whatever the component asks for.
const TOTAL_AT_MOST_MS = 900_000;
// The largest message that any platform delivers, with what escapes it.
const ANSWER_AT_MOST = 40 << 20;
const CONNECT_WITHIN_MS = 5_000;
const IDLE_MS = 30_000;
const IDLE_AT_MOST = 8;
const HEAD_BYTES = 64 << 10;
const FIREWALL = "check the platform's address, and whether a firewall is in between";

/** Why there is no answer. */
class Failure extends Error {
  constructor(reason, maybeSent, cutOff = false) {
    super(oneLine(reason));
    // Whether a byte of the request may have reached the platform, and whether the connection ended before the answer.
    Object.assign(this, { maybeSent, cutOff });
  }

  get outcome() {
    return { tag: 'unreachable', val: { reason: this.message, maybeSent: this.maybeSent } };
  }
}

/** Exchanges of one workspace with its platform. */
export class Http {
  #platform;
  #workspace;
  #credentials;
  #organization;
  #log;
  #agent;
  #request;

  constructor({ platform, workspace, credentials, organization, certificates, log }) {
    [this.#platform, this.#workspace, this.#credentials] = [platform, workspace, credentials];
    [this.#organization, this.#log] = [organization, log];
    const { Agent, request } = platform.protocol === 'https:' ? https : http;
    const trust = certificates === undefined ? {} : { ca: certificates };
    this.#agent = new Agent({ keepAlive: true, maxFreeSockets: IDLE_AT_MOST, timeout: IDLE_MS, noDelay: true, ...trust });
    this.#request = request;
  }

  /**
   * Sends one request: `responded`, `overflowed`, `refused` or `unreachable`; rejects when `signal` aborts.
   *
   * After a 401 the token is looked for again, and the request repeated if there is another one. A GET whose connection
   * is cut off before the answer is repeated once.
   */
  async send(request, signal) {
    const { token } = this.#credentials;
    return this.#outcome(async () => {
      const answer = await this.#onceMoreIfCutOff(request, token, signal);
      if (answer.tag !== 'responded' || answer.val.status !== 401) return answer;
      // Another request may have looked already.
      if (this.#credentials.token.equals(token)) await this.#credentials.reload();
      const other = this.#credentials.token;
      return other.equals(token) ? answer : this.#exchange(request, other, signal);
    });
  }

  /** Sends one request with `token` in place of the one in use, once: outcomes as for `send`. */
  async sendWith(token, request, signal) {
    return this.#outcome(() => this.#exchange(request, token, signal));
  }

  /** Closes all connections. */
  close() {
    this.#agent.destroy();
  }

  async #outcome(exchange) {
    try {
      return await exchange();
    } catch (cause) {
      if (cause instanceof Failure) return cause.outcome;
      if (cause instanceof RangeError) return { tag: 'refused', val: cause.message };
      throw cause;
    }
  }

  async #onceMoreIfCutOff(request, token, signal) {
    try {
      return await this.#exchange(request, token, signal);
    } catch (cause) {
      if (request.method !== 'get' || !cause.cutOff) throw cause;
      return this.#exchange(request, token, signal);
    }
  }

  /** One request, one answer, one line in the log. */
  async #exchange(request, token, signal) {
    if (request.body && request.body.length > REQUEST_BODY_BYTES) {
      throw new RangeError(`the request is larger than ${REQUEST_BODY_BYTES >> 20} MiB`);
    }
    let path;
    try {
      path = target(this.#platform, request.path, request.query);
    } catch (why) {
      throw new RangeError(why.message);
    }
    const begun = performance.now();
    let said = 'given up';
    try {
      const answer = await this.#tryExchange(request, path, token, signal);
      said = answer.tag === 'responded' ? String(answer.val.status) : 'no usable answer';
      return answer;
    } catch (cause) {
      if (cause instanceof Failure) said = cause.message;
      throw cause;
    } finally {
      const took = Math.round(performance.now() - begun);
      this.#log.info(`${request.method.toUpperCase()} ${path.split('?')[0]} ${said} (${took} ms)`);
    }
  }

  #tryExchange({ method, body, identify, limits }, path, token, signal) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const { hostname, port, protocol } = this.#platform;
      const what = `${hostname.replace(/^\[|\]$/g, '')}:${port || (protocol === 'https:' ? 443 : 80)}`;
      const state = { sent: false, answered: false };
      const sending = this.#request({
        agent: this.#agent,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port: port || undefined,
        method: method.toUpperCase(),
        path,
        headers: this.#headers(token, body, identify),
        maxHeaderSize: HEAD_BYTES,
      });
      const timers = new Set();
      const end = (settle, value) => {
        timers.forEach(clearTimeout);
        signal?.removeEventListener('abort', abort);
        settle(value);
      };
      const fail = (failure) => {
        end(reject, failure);
        sending.destroy();
      };
      const abort = () => fail(signal.reason);
      const after = (ms, failure) => timers.add(setTimeout(() => fail(failure()), ms));
      signal?.addEventListener('abort', abort, { once: true });
      const total = Math.min(limits.totalMs, TOTAL_AT_MOST_MS);
      const late = (ms) => () =>
        state.answered
          ? new Failure('the answer did not end in time', true)
          : new Failure(`no answer from ${what} within ${ms / 1_000} s`, state.sent);
      after(total, late(total));
      watchConnection(sending, {
        connected: () => (state.sent = true),
        late: () => fail(new Failure(`no connection to ${what} within 5 s: ${FIREWALL}`, false)),
      });
      sending.once('finish', () => {
        if (!state.answered) after(limits.firstByteMs, late(limits.firstByteMs));
      });
      sending.once('error', (cause) => end(reject, explain(cause, what, hostname, state.sent)));
      sending.once('response', (response) => {
        state.answered = true;
        timers.forEach(clearTimeout);
        after(Math.max(1, total - (performance.now() - state.begun)), late(total));
        const most = Math.min(limits.bodyBytes, ANSWER_AT_MOST);
        readAnswer(response, most, this.#platform).then(
          (answer) => {
            end(resolve, answer);
            // What was not read is not wanted.
            if (!response.complete) sending.destroy();
          },
          (cause) => fail(new Failure(cause.message, true)),
        );
      });
      state.begun = performance.now();
      sending.end(body);
    });
  }

  #headers(token, body, identify) {
    const headers = {
      Authorization: `Bearer ${token.reveal()}`,
      Origin: this.#platform.origin,
      'Accept-Encoding': 'identity',
      'User-Agent': 'molecule-runtime Node',
    };
    if (identify) headers['X-Workspace-Id'] = this.#workspace;
    if (this.#organization !== undefined) headers['X-Molecule-Org-Id'] = this.#organization;
    if (body !== undefined) Object.assign(headers, { 'Content-Type': 'application/json', 'Content-Length': body.length });
    return headers;
  }
}

/** Says when a request has a connection over which it is sent, or that making one takes too long. */
function watchConnection(sending, { connected, late }) {
  sending.once('socket', (socket) => {
    // One that was used before; a new one says when it is ready.
    if (!socket.connecting && sending.reusedSocket) return connected();
    const timer = setTimeout(late, CONNECT_WITHIN_MS);
    const done = () => clearTimeout(timer);
    socket.once(socket.encrypted ? 'secureConnect' : 'connect', () => {
      done();
      connected();
    });
    socket.once('close', done);
    return undefined;
  });
}

function explain(cause, what, name, sent) {
  const said = cause.message;
  if (sent) return new Failure(`${what}: ${said}`, true, true);
  switch (cause.code) {
    case 'ECONNREFUSED':
      return new Failure(`nobody listens at ${what} (connection refused): check the platform's address, and whether it runs there`, false);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new Failure(`the name ${name} cannot be found (${cause.code}): check the platform's address and the network`, false);
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return new Failure(`there is no way to ${what} (${cause.code}): check the network`, false);
    default:
  }
  if (/CERT|SIGNED|ISSUER|ALTNAME/.test(cause.code ?? '')) {
    const advice = 'for an authority of your own, give it as certificates; otherwise something on the way pretends to be that host';
    return new Failure(`the certificate of ${what} is not trusted (${said}): ${advice}`, false);
  }
  if (/SSL|TLS|EPROTO/.test(cause.code ?? '')) {
    return new Failure(`no secure connection with ${what} (${said}): check the platform's address`, false);
  }
  return new Failure(`no connection to ${what} (${said}): check the platform's address and the network`, false);
}
