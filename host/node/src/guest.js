// The one owner of the component's instance.
//
// Calls compute and return. After a trap the instance is thrown away and the next call finds a fresh one: what was on disk
// is handed to it again by those who reopen their dialogues.

import { readFile } from 'node:fs/promises';

import { instantiate } from '../component/component.js';

const MODULES = ['component.core.wasm', 'component.core2.wasm', 'component.core3.wasm'];
const SEEDS = 2n ** 64n;

let compiled;

/** The sandboxed tool logic stopped. The call may be made again, although what it asked for may have been done. */
export class GuestDown extends Error {
  constructor(why) {
    super(`the sandboxed tool logic stopped: ${why}`);
    this.name = 'GuestDown';
  }
}

/** The modules of the component, compiled once for the process. */
async function modules() {
  const compile = async (name) => {
    const bytes = await readFile(new URL(`../component/${name}`, import.meta.url));
    return [name, await WebAssembly.compile(bytes)];
  };
  compiled ??= Promise.all(MODULES.map(compile)).then((all) => new Map(all));
  return compiled;
}

/** The running component. */
export class Guest {
  #modules;
  #settings;
  #log;
  #live;
  /** How often the component has stopped. What was told to an instance is gone with it. */
  stops = 0;
  onStop = () => {};

  static async load(settings, log) {
    const guest = new Guest();
    guest.#modules = await modules();
    [guest.#settings, guest.#log] = [settings, log];
    guest.#live = guest.#instantiate();
    return guest;
  }

  /** Calls a function of an interface of the component. Throws `GuestDown` if the component stops. */
  call(face, verb, ...values) {
    let live = this.#live;
    try {
      live ??= this.#instantiate();
      this.#live = undefined;
      const result = live[face][verb](...values);
      this.#live = live;
      return result;
    } catch (cause) {
      this.stops++;
      const down = new GuestDown(cause.message);
      this.#log.error(down.message);
      this.onStop();
      throw down;
    }
  }

  #instantiate() {
    // Each instance has a seed of its own: ids and markers never come twice.
    const [first, second, third, fourth] = this.#settings.seed;
    const seed = [first, second, third, (fourth + BigInt(this.stops)) % SEEDS];
    const live = instantiate(
      (name) => this.#modules.get(name),
      imports(seed),
      (module, needs) => new WebAssembly.Instance(module, needs),
    );
    live.setup.start({ ...this.#settings, seed });
    return live;
  }
}

/** What the component gets: where the order of its hash maps begins. Everything else ends it. */
function imports([first, second]) {
  const refused = (face) =>
    new Proxy(
      {},
      {
        get: (_, name) => {
          // Types of resources are looked up; what they stand for is never made.
          if (/^[A-Z]/.test(String(name))) return class {};
          return () => {
            throw new Error(face === 'wasi:cli/stderr' ? 'it panicked, or ran out of memory' : `it asked for ${face} ${String(name)}`);
          };
        },
      },
    );
  const faces = [
    'wasi:cli/environment', 'wasi:cli/exit', 'wasi:cli/stderr', 'wasi:cli/stdin', 'wasi:cli/stdout',
    'wasi:cli/terminal-input', 'wasi:cli/terminal-output', 'wasi:cli/terminal-stderr', 'wasi:cli/terminal-stdin',
    'wasi:cli/terminal-stdout', 'wasi:io/error', 'wasi:io/poll', 'wasi:io/streams',
  ];
  const all = Object.fromEntries(faces.map((face) => [face, refused(face)]));
  all['wasi:random/insecure-seed'] = { insecureSeed: () => [first, second] };
  for (const [face, made] of Object.entries(all)) all[`${face}@0.2.6`] = made;
  return all;
}
