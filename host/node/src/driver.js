// The one loop: carries out the component's turns.

import { Count, race } from './clock.js';
import { GuestDown } from './guest.js';
import { oneLine } from './log.js';

/** The one workspace of a runtime. */
export const WORKSPACE = 0;

/** The powers that the component lacks. */
export class Ports {
  busy = { activeTasks: 0, currentTask: '' };
  arrivals = new Count();
  hints = new Count();

  constructor({ http, files, clock, log, ended }) {
    Object.assign(this, { http, files, clock, log, ended });
  }

  /** Carries out an effect: cannot fail, and does not block. */
  perform({ tag, val }) {
    switch (tag) {
      case 'arrived':
        this.arrivals.raiseTo(Number(val.count));
        break;
      case 'log':
        (this.log[val.level] ?? this.log.info)(oneLine(val.text));
        break;
      case 'look-again':
        this.hints.addOne();
        break;
      case 'report':
        // Nobody is interested in the answer.
        this.http.send(val, this.ended).catch(() => {});
        break;
      case 'ring':
        // The program that embeds this is never idle: it asks for messages itself.
        break;
      case 'working':
        this.busy.activeTasks = val.activeTasks;
        this.busy.currentTask = val.currentTask;
        break;
      default:
      // Nothing here uses it, and no promise depends on it.
    }
  }

  /** What became of the `next` of a turn that does not end the dialogue; rejects when `signal` aborts. */
  async carryOut({ tag, val }, signal) {
    switch (tag) {
      case 'fetch':
        return { tag: 'refused', val: 'this host keeps no files' };
      case 'listen':
        await this.#earliest((over) => this.hints.over(Number(val.hintsOver), over), val.until, signal);
        return { tag: 'heard', val: BigInt(this.hints.value) };
      case 'rest':
        if (val.arrivalsOver === undefined) await this.clock.until(Number(val.until), signal);
        else await this.#earliest((over) => this.arrivals.over(Number(val.arrivalsOver), over), val.until, signal);
        return { tag: 'rested' };
      case 'send':
        return this.http.send(val, signal);
      case 'store':
        return this.files.store(val.change);
      case 'sweep':
        return { tag: 'swept', val: [] };
      case 'take-over': {
        const why = await this.files.takeOver(signal);
        return why === undefined ? { tag: 'rested' } : { tag: 'refused', val: why };
      }
      case 'upload':
        return { tag: 'refused', val: 'this host sends no files' };
      default:
        return { tag: 'refused', val: `this host does not do ${tag}` };
    }
  }

  async #earliest(change, until, signal) {
    await race(signal, change, (over) => this.clock.until(Number(until), over));
  }
}

/** Opens dialogues and carries them out. */
export class Driver {
  #names = 0n;
  #arrivals = new Arrivals();
  #isUnsettled = false;
  stops = new Count();
  /** Rises when messages were dealt with. */
  handled = new Count();

  constructor(guest, ports) {
    Object.assign(this, { guest, ports });
    guest.onStop = () => {
      // The next instance does not know what the one before was busy with.
      Object.assign(ports.busy, { activeTasks: 0, currentTask: '' });
      this.stops.raiseTo(guest.stops);
    };
  }

  /** Opens a dialogue. Throws `GuestDown`. */
  open(face, verb, ...values) {
    const [name, instance] = [++this.#names, this.guest.stops];
    return { name, instance, turn: this.guest.call(face, verb, name, ...values, this.#now()) };
  }

  /**
   * Carries out all turns, and gives the answer, if there is one. The dialogue is cancelled when `signal` aborts.
   *
   * Rejects with `GuestDown` when the component stopped, in this dialogue or in another one.
   */
  async drive({ name, instance, turn }, signal) {
    let answer;
    let isOver = false;
    try {
      for (;;) {
        for (const effect of turn.effects) this.#perform(instance, effect);
        const { tag, val } = turn.next;
        if (tag === 'finish') {
          isOver = true;
          return val.tag === 'answer' ? val.val : answer;
        }
        // Whoever called has the answer as soon as this resolves.
        if (tag === 'reply') answer = val;
        const outcome = tag === 'reply' ? { tag: 'replied' } : await this.#carryOut(instance, turn.next, signal);
        if (instance !== this.guest.stops) throw new GuestDown('another call stopped it');
        signal?.throwIfAborted();
        turn = this.guest.call('dialogues', 'resume', name, outcome, this.#now());
      }
    } finally {
      if (!isOver) this.#giveUp(name, instance);
    }
  }

  /** Brings the cursor file up to date, if messages were dealt with since that was done last. */
  async settle(signal) {
    if (!this.#isUnsettled) return;
    this.#isUnsettled = false;
    await this.drive(this.open('inbox', 'settle', WORKSPACE), signal);
  }

  async #carryOut(instance, next, signal) {
    // To its end, so that no other change of the file overtakes it.
    if (next.tag === 'store') return this.ports.carryOut(next);
    let asked = next;
    if (next.tag === 'rest' && next.val.arrivalsOver !== undefined) {
      const arrivalsOver = this.#arrivals.overAll(instance, Number(next.val.arrivalsOver));
      asked = { tag: 'rest', val: { ...next.val, arrivalsOver } };
    }
    const outcome = await race(
      signal,
      (over) => this.ports.carryOut(asked, over),
      (over) => this.stops.over(instance, over),
    );
    return outcome ?? { tag: 'refused', val: 'the component stopped' };
  }

  #perform(instance, effect) {
    if (effect.tag === 'arrived') {
      const count = this.#arrivals.overAll(instance, Number(effect.val.count));
      this.ports.perform({ tag: 'arrived', val: { count } });
    } else if (effect.tag === 'handled') {
      this.#isUnsettled = true;
      this.handled.addOne();
    } else if (effect.tag !== 'working' || instance === this.guest.stops) {
      // What another instance was busy with has ended with it.
      this.ports.perform(effect);
    }
  }

  #giveUp(name, instance) {
    if (instance !== this.guest.stops) return;
    try {
      for (const effect of this.guest.call('dialogues', 'cancel', name, this.#now())) this.#perform(instance, effect);
    } catch (cause) {
      if (!(cause instanceof GuestDown)) throw cause;
    }
  }

  #now() {
    return BigInt(this.ports.clock.now());
  }
}

/** How many messages have arrived, over all instances of the component, each of which begins at 0. */
class Arrivals {
  #instance = 0;
  #before = 0;
  #all = 0;

  overAll(instance, count) {
    if (instance < this.#instance) return this.#all;
    if (instance > this.#instance) [this.#instance, this.#before] = [instance, this.#all];
    const over = this.#before + count;
    this.#all = Math.max(this.#all, over);
    return over;
  }
}
