// Keeps the inbox of a workspace open, also after the component had to be started again.
//
//     token is taken ──► lock taken ──► told what is on disk ──► fetching ──► stopped ──► pause
//                       ▲   │  ▲                                │   │                      │
//                       │   │  └─────────── lock lost ──────────┘   │ handed over          │
//                       2 s ▼                                       ▼                      │
//              another process has it ◄── tool called, 10 min ── displaced ◄─ begins anew ─┘
//
// A process is displaced when the program of another one has asked for the lead. It leaves the lead to others that begin
// meanwhile, until it calls a tool itself.

import { Count, forever, race, sleep } from './clock.js';
import { WORKSPACE } from './driver.js';
import { Unlocked } from './files.js';
import { GuestDown } from './guest.js';
import { Leader } from './lock.js';

const FIRST_PAUSE_MS = 1_000;
// A message that stops the component each time it is read costs one restart a minute.
const LONGEST_PAUSE_MS = 60_000;
// Takes over within 6 s of the end of another process, with time for reading the disk.
const LOCK_AGAIN_MS = 2_000;
// So many messages that are dealt with one after the other change the cursor file once.
const SETTLE_AFTER_MS = 500;
// A lock is lost when its file is removed, which nothing tells.
const LOCK_CHECK_MS = 60_000;
const FILE_LANES = 3;
const DISPLACED_MS = 600_000;
// How often it is written down for others that the program calls tools.
const NOTE_CALLS_MS = 15_000;

/** Whether the platform takes the token, and why not. */
export class Standing {
  refusal;
  #changes = new Count();

  /** Tells those who wait. */
  change(refusal) {
    this.refusal = refusal;
    this.#changes.addOne();
  }

  /** Resolves once the token is refused, or once it is not. */
  async until(isRefused, signal) {
    while ((this.refusal !== undefined) !== isRefused) await this.#changes.over(this.#changes.value, signal);
  }
}

/** Fetches the messages while this process leads, the platform takes the token, and the component runs. */
export class Inbox {
  #driver;
  #files;
  #standing;
  #calls;
  #fetch;
  #log;
  // What the operator knows.
  #said;
  // Until when the lead is left to others, and what was called by then.
  #displaced;

  /** `calls` rises with each call of a tool. */
  constructor({ driver, files, standing, calls, fetch, log }) {
    [this.#driver, this.#files, this.#standing] = [driver, files, standing];
    [this.#calls, this.#fetch, this.#log] = [calls, fetch, log];
  }

  /** Ends when `signal` aborts. */
  async keepOpen(signal) {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const [opened, stops] = [performance.now(), this.#driver.guest.stops];
      try {
        // Where nothing is fetched, nothing else would notice the stop.
        await race(signal, (over) => this.#open(over), (over) => this.#driver.stops.over(stops, over));
      } catch (cause) {
        if (!(cause instanceof GuestDown)) throw cause;
      }
      if (performance.now() - opened >= LONGEST_PAUSE_MS) pause = FIRST_PAUSE_MS;
      this.#log.warn(`the inbox is opened again in ${pause / 1_000} s`);
      await sleep(pause, signal);
    }
  }

  async #open(signal) {
    const secret = await this.#files.readSecret();
    if (secret !== undefined) this.#driver.guest.call('secrets', 'remember', WORKSPACE, secret);
    for (;;) {
      await this.#waitForTheToken(signal);
      await race(signal, (over) => this.#keep(over), (over) => this.#standing.until(true, over));
      await this.#files.resign();
    }
  }

  async #waitForTheToken(signal) {
    while (this.#standing.refusal !== undefined) {
      this.#driver.guest.call('setup', 'refused', WORKSPACE, this.#standing.refusal);
      await this.#standing.until(false, signal);
      this.#driver.guest.call('setup', 'refused', WORKSPACE, '');
    }
  }

  async #keep(signal) {
    if (!this.#fetch) await forever(signal);
    for (;;) {
      await this.#stayDisplaced(signal);
      await this.#follow(signal);
      const process = await this.#lead(signal);
      if (process === undefined) {
        this.#log.warn('the lock of the inbox was removed or lost, and the inbox is opened again');
        // No pop may act on what was known before the journal is read again.
        this.#driver.guest.call('inbox', 'follow', WORKSPACE, 'another process');
      } else {
        await this.#handOver(process, signal);
      }
    }
  }

  /** Ends when this process may lead again although it was displaced. */
  async #stayDisplaced(signal) {
    if (!this.#displaced) return;
    const { until, called } = this.#displaced;
    let told;
    while (performance.now() < until && this.#calls.value === called) {
      told = this.#tell(String((await this.#files.leader()) ?? ''), told);
      await race(signal, (over) => this.#calls.over(called, over), (over) => sleep(LOCK_AGAIN_MS, over));
    }
    this.#displaced = undefined;
  }

  /** Ends when no other process leads any more. */
  async #follow(signal) {
    let told;
    for (;;) {
      const led = this.#files.led.value;
      const lead = await this.#files.lead();
      signal.throwIfAborted();
      this.#say(lead);
      if (!(lead instanceof Leader)) return;
      told = this.#tell(String(lead), told);
      await race(signal, (over) => this.#files.led.over(led, over), (over) => sleep(LOCK_AGAIN_MS, over));
    }
  }

  /** Tells the component who leads, unless it was `told` so the last time. */
  #tell(leader, told) {
    if (told !== leader) this.#driver.guest.call('inbox', 'follow', WORKSPACE, leader);
    return leader;
  }

  /** Tells the operator what changed. */
  #say(lead) {
    const now = lead instanceof Leader ? lead.who : lead instanceof Unlocked ? lead.why : undefined;
    const before = this.#said;
    this.#said = now;
    if (before === now) return;
    if (lead instanceof Leader) {
      this.#log.warn(
        `another process (${lead.who}) fetches the messages of this workspace; this one takes over when that one ends, or ` +
          'when its own agent asks for it (take_over)',
      );
    } else if (lead instanceof Unlocked) {
      this.#log.warn(`the inbox is not locked, so another process on this workspace shows the same messages: ${lead.why}`);
    } else {
      this.#log.warn('the other process has ended or handed over, and this one fetches the messages');
    }
  }

  /** Fetches until another process may have taken the lock, or asks for it: then it is that one. */
  async #lead(signal) {
    const saved = await this.#files.saved();
    const requests = await this.#files.requests();
    const tasks = [
      (over) => this.#fetching(saved, over),
      (over) => this.#settling(over),
      (over) => this.#notingCalls(over),
      (over) => this.#losingTheLock(over),
    ];
    if (requests) tasks.push((over) => requests.next(over));
    try {
      return await race(signal, ...tasks);
    } finally {
      await requests?.close();
    }
  }

  async #losingTheLock(signal) {
    for (let doubts = 0; ; ) {
      await race(signal, (over) => this.#files.doubts.over(doubts, over), (over) => sleep(LOCK_CHECK_MS, over));
      doubts = this.#files.doubts.value;
      if (!(await this.#files.stillLeads())) return;
    }
  }

  /** Fetches messages, and beside them looks after the files that come with them. */
  async #fetching(saved, signal) {
    const opened = [this.#driver.open('inbox', 'open', WORKSPACE, saved)];
    for (let lane = 0; lane < FILE_LANES; lane++) opened.push(this.#driver.open('inbox', 'openFiles', WORKSPACE, lane));
    await Promise.all(opened.map((dialogue) => this.#driver.drive(dialogue, signal)));
  }

  /** Has the cursor file follow what the agent deals with. */
  async #settling(signal) {
    for (let seen = 0; ; ) {
      await this.#driver.handled.over(seen, signal);
      await sleep(SETTLE_AFTER_MS, signal);
      seen = this.#driver.handled.value;
      await this.#driver.settle(signal);
    }
  }

  async #notingCalls(signal) {
    for (let seen = 0; ; ) {
      await this.#calls.over(seen, signal);
      seen = this.#calls.value;
      await this.#files.noteCall();
      await sleep(NOTE_CALLS_MS, signal);
    }
  }

  /** Lets another process lead; a pop that is not on disk by then says that it is not. */
  async #handOver(process, signal) {
    // A slow disk is not waited for: the journal says the same as the cursor file.
    await race(signal, (over) => this.#driver.settle(over), (over) => sleep(SETTLE_AFTER_MS, over));
    this.#driver.guest.call('inbox', 'follow', WORKSPACE, `process ${process}`);
    const called = this.#calls.value;
    await this.#files.resign();
    this.#log.warn(`the agent of process ${process} has asked for the messages of this workspace, and gets them`);
    this.#displaced = { until: performance.now() + DISPLACED_MS, called };
  }
}
