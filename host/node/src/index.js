// The sandboxed tool runtime of molecule-mcp: presence, inbox and tools of a platform workspace.
//
//     createRuntime ──► Runtime ──┬── Driver ──► Guest (WebAssembly)
//                                 ├── Presence     │
//                                 └── Inbox        └──► Ports: HTTP, files, time, log

import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { isNear, parsePlatform, written } from './address.js';
import { Clock, Count, race, sleep } from './clock.js';
import { Credentials } from './credentials.js';
import { pathsOf } from './disk.js';
import { Driver, Ports, WORKSPACE } from './driver.js';
import { Files } from './files.js';
import { Guest, GuestDown } from './guest.js';
import { Http } from './http.js';
import { Inbox, Standing } from './inbox.js';
import { DEFAULT_LOG } from './log.js';
import { Presence } from './presence.js';

export { GuestDown } from './guest.js';

// The longest wait of one call.
const WAIT_SECS = 60;
// After a call that gave neither a message nor a pause.
const AFTER_TROUBLE_MS = 1_000;
// Before a task that a defect has ended is started again.
const AFTER_A_DEFECT_MS = 5_000;
// For the cursor file at the end.
const LAST_WRITE_MS = 150;

/** The runtime was closed. */
export class Closed extends Error {
  constructor() {
    super('the runtime is closed');
    this.name = 'Closed';
  }
}

/** Makes a runtime, which is present and fetches messages from here on. See `index.d.ts`. */
export async function createRuntime(options) {
  const { workspace, organization, stateDir, allowHttp = false } = options;
  const log = { ...DEFAULT_LOG, ...options.log };
  const platform = parsePlatform(options.platform);
  if (platform.protocol === 'http:' && !isNear(platform) && !allowHttp) {
    throw new TypeError(`the platform ${written(platform)} would get the token without encryption: use https, or allowHttp: true`);
  }
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(workspace)) {
    throw new TypeError(`the workspace ${JSON.stringify(workspace)} is not 1 to 128 of A-Z a-z 0-9 _ -`);
  }
  if (organization !== undefined && !/^[!-~]{1,128}$/.test(organization)) {
    throw new TypeError('the organization is not 1 to 128 visible ASCII characters');
  }
  const tokenFile = options.tokenFile === undefined ? undefined : resolve(options.tokenFile);
  const credentials = await Credentials.from({ token: options.token, tokenFile }, log);
  const certificates = options.certificates === undefined ? undefined : await readFile(options.certificates);
  const http = new Http({ platform, workspace, credentials, organization, certificates, log });
  const guest = await Guest.load(settings(options, written(platform)), log);
  const paths = stateDir === undefined ? undefined : pathsOf(resolve(stateDir), written(platform), workspace);
  return new Runtime({ options, credentials, http, guest, files: new Files(paths, log), log });
}

/** What the component is told. */
function settings({ workspace, inbox = true, tools = {} }, platform) {
  return {
    seed: [...new BigUint64Array(new Uint8Array(randomBytes(32)).buffer)],
    workspaces: [{ id: workspace, platform }],
    inbox,
    redeliver: tools.redeliver ?? false,
    notice: tools.notice ?? true,
    structured: tools.structured ?? false,
    barePeerText: tools.barePeerText ?? false,
    delegateDurably: tools.delegateDurably ?? false,
    durableBudgetSecs: tools.durableBudgetSecs ?? 300,
    pollTimeoutSecs: tools.pollTimeoutSecs ?? 2,
    permissions: {
      roles: tools.roles ?? ['operator'],
      allowedActions: Object.entries(tools.allowedActions ?? {}),
      tier: tools.tier ?? 1,
    },
  };
}

class Runtime {
  #ended = new AbortController();
  #calls = new Count();
  #standing = new Standing();
  #driver;
  #files;
  #http;
  #guest;
  #log;
  #tasks;
  #lesson;

  constructor({ options, credentials, http, guest, files, log }) {
    const { workspace, inbox = true, presence = true, card = { name: `molecule-mcp-${workspace.slice(0, 8)}` } } = options;
    const ended = this.#ended.signal;
    const clock = new Clock();
    const ports = new Ports({ http, files, clock, log, ended });
    [this.#files, this.#http, this.#guest, this.#log] = [files, http, guest, log];
    this.#driver = new Driver(guest, ports);
    const kept = new Inbox({ driver: this.#driver, files, standing: this.#standing, calls: this.#calls, fetch: inbox, log });
    this.#tasks = [this.#restarted('the inbox', () => kept.keepOpen(ended))];
    if (presence) {
      const learn = (body) => this.#learn(body);
      const of = { workspace, card, http, credentials, clock, busy: ports.busy, learn, log };
      this.#tasks.push(this.#restarted('presence', () => this.#keepPresent(of)));
    }
  }

  get refusal() {
    return this.#standing.refusal;
  }

  tools() {
    this.#checkOpen();
    return this.#guest.call('tools', 'specs').map((spec) => ({
      name: spec.name,
      title: spec.title,
      description: spec.description,
      inputSchema: JSON.parse(spec.inputSchema),
      readOnly: spec.readOnly,
      destructive: spec.destructive,
      idempotent: spec.idempotent,
      openWorld: spec.openWorld,
    }));
  }

  instructions() {
    this.#checkOpen();
    return this.#guest.call('tools', 'instructions');
  }

  async callTool(name, given = {}, { signal } = {}) {
    this.#checkOpen();
    signal?.throwIfAborted();
    this.#calls.addOne();
    const dialogue = this.#driver.open('tools', 'open', name, JSON.stringify(given));
    const ended = this.#ended.signal;
    try {
      const answer = await this.#driver.drive(dialogue, signal ? AbortSignal.any([signal, ended]) : ended);
      if (!answer) throw new GuestDown('the call was lost');
      const structured = answer.structured === undefined ? undefined : JSON.parse(answer.structured);
      return { texts: answer.text, text: answer.text.join('\n'), isError: answer.isError, structured };
    } catch (cause) {
      throw ended.aborted && !signal?.aborted ? new Closed() : cause;
    }
  }

  async *messages({ signal } = {}) {
    let given;
    for (;;) {
      try {
        if (given !== undefined) {
          // One that could not be removed comes again, as it does after a crash.
          await this.callTool('inbox_pop', { activity_id: given }, { signal });
          given = undefined;
        }
        const { texts } = await this.callTool('wait_for_message', { timeout_secs: WAIT_SECS }, { signal });
        const waited = parsed(texts[0]);
        const message = messageOf(waited);
        if (message) {
          given = message.activityId;
          yield message;
        } else if (waited?.timeout !== true) {
          await sleep(AFTER_TROUBLE_MS, signal);
        }
      } catch (cause) {
        if (cause instanceof Closed) return;
        if (!(cause instanceof GuestDown)) throw cause;
        await sleep(AFTER_TROUBLE_MS, signal);
      }
    }
  }

  async close() {
    if (!this.#ended.signal.aborted) {
      await race(undefined, (over) => this.#driver.settle(over), (over) => sleep(LAST_WRITE_MS, over)).catch(() => {});
      this.#ended.abort(new Closed());
    }
    await Promise.allSettled(this.#tasks);
    await this.#files.resign();
    this.#http.close();
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  #checkOpen() {
    if (this.#ended.signal.aborted) throw new Closed();
  }

  /** Registers and beats; after a refusal again once there is another token. */
  async #keepPresent(of) {
    const signal = this.#ended.signal;
    for (;;) {
      const presence = new Presence(of);
      const refused = await presence.run(signal);
      this.#log.error(refused);
      this.#standing.change(refused);
      await presence.anotherToken(signal);
      this.#standing.change(undefined);
    }
  }

  /**
   * Shows the component what the platform answers. While it is busy with one body the next are dropped, because every
   * beat brings them again.
   */
  #learn(body) {
    this.#lesson ??= this.#teach(body).finally(() => {
      this.#lesson = undefined;
    });
  }

  async #teach(body) {
    try {
      await this.#driver.drive(this.#driver.open('secrets', 'open', WORKSPACE, body), this.#ended.signal);
    } catch (cause) {
      if (cause instanceof GuestDown) this.#log.warn(`the answer of the platform was not looked at: ${cause.message}`);
    }
  }

  /** Does what `make` makes until the runtime is closed, and once more a moment later whenever a defect has ended it. */
  async #restarted(name, make) {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        await make();
      } catch (cause) {
        if (signal.aborted) return;
        this.#log.error(`${name} starts again in ${AFTER_A_DEFECT_MS / 1_000} s: ${cause.stack}`);
      }
      await sleep(AFTER_A_DEFECT_MS, signal).catch(() => {});
    }
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The message that an answer of `wait_for_message` is, if it is one. */
function messageOf(found) {
  if (typeof found?.activity_id !== 'string' || typeof found.text !== 'string') return undefined;
  const { activity_id: activityId, kind = '', peer_id: peerId = '', text, created_at: createdAt = '', ...more } = found;
  return { activityId, kind, peerId, text, createdAt, more };
}
