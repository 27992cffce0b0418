// The files of a workspace: the cursor of the inbox, its journal, and the inbound secret.
//
// Changes happen one after the other. Who follows changes neither cursor nor journal: another process keeps them.

import { access } from 'node:fs/promises';

import { Count, sleep } from './clock.js';
import * as disk from './disk.js';
import { Journal } from './journal.js';
import * as lock from './lock.js';

const CURSOR_BYTES = 256;
const SECRET_BYTES = 64 << 10;
// How long the lead is waited for, once it was asked for: longer than the request is good.
const HANDED_OVER_MS = 6_000;
// How often the lock is tried meanwhile, so that no other process is faster.
const TRY_AGAIN_MS = 10;
const NOTHING_KEPT = 'nothing is kept: give the runtime a stateDir';
const WRITABLE = '; let this user write there, or use another stateDir';
const ADVICE = {
  EFBIG: '; raise the limit on the size of files (ulimit -f)',
  ENOSPC: '; make room there',
  EDQUOT: '; make room there',
  EACCES: WRITABLE,
  EPERM: WRITABLE,
  EROFS: WRITABLE,
};

/** Why there can be no lock; this process leads all the same. */
export class Unlocked {
  constructor(why) {
    this.why = why;
  }
}

/** The files at `paths`; with none, nothing is kept. */
export class Files {
  #writer;
  #last = Promise.resolve();
  /** Rises when a change has found that the lock may be another process's by now. */
  doubts = new Count();
  /** Rises when this process has got the lead because its program asked for it. */
  led = new Count();

  constructor(paths, log) {
    if (paths) this.#writer = new Writer(paths, log, () => this.doubts.addOne());
  }

  /** Carries out a change: `stored` once it would survive a crash, else `store-failed` or `refused`. */
  async store(change) {
    if (!this.#writer) return { tag: 'store-failed', val: NOTHING_KEPT };
    return this.#write((writer) => writer.change(change));
  }

  /** What is on disk, for the process that leads the inbox. */
  async saved() {
    if (!this.#writer) return { cursor: undefined, journal: [], damagedAfter: undefined };
    return this.#write((writer) => writer.saved());
  }

  /** Takes the lock of the inbox, if nobody else has it: a `Lock`, the `Leader` that has it, or `Unlocked`. */
  async lead() {
    if (!this.#writer) return new Unlocked(NOTHING_KEPT);
    return this.#write((writer) => writer.lead());
  }

  /** Asks the process that leads to hand over, and leads; says why, if that one does not. */
  async takeOver(signal) {
    const leader = await this.#otherLeader();
    if (!leader) return undefined;
    const asked = await this.#write((writer) => writer.requestLead());
    if (asked !== true) return silent(leader, `cannot be asked to hand over${asked ? ` (${asked})` : ''}`);
    for (const end = performance.now() + HANDED_OVER_MS; performance.now() < end; ) {
      await sleep(TRY_AGAIN_MS, signal);
      const other = await this.#otherLeader();
      if (!other) return undefined;
      if (other.who !== leader.who) return `${other.who} was faster, and leads now`;
    }
    return silent(leader, 'does not answer: it may be stopped, or hang');
  }

  async #otherLeader() {
    const lead = await this.lead();
    if (lead instanceof lock.Leader) return lead;
    this.led.addOne();
    return undefined;
  }

  /** The requests of other processes for the lead; none if there can be none. */
  requests() {
    return this.#ask((writer) => writer.requests());
  }

  /** Gives the lock back, once each change that has begun is made. */
  resign() {
    return this.#ask((writer) => writer.resign());
  }

  /** The process that leads, if another one does. */
  leader() {
    return this.#ask((writer) => writer.leader());
  }

  /** Writes down for other processes that the program calls a tool. */
  noteCall() {
    return this.#ask((writer) => writer.noteCall());
  }

  /** Whether nobody else can have changed the files since `lead`. */
  async stillLeads() {
    return this.#writer ? this.#write((writer) => writer.stillLeads()) : true;
  }

  /** The secret on disk; undefined if there is no such file, or anything else in it. */
  readSecret() {
    return this.#ask((writer) => writer.readSecret());
  }

  async #ask(work) {
    return this.#writer ? this.#write(work) : undefined;
  }

  /** Does it in its turn, and to its end. */
  #write(work) {
    const done = this.#last.then(() => work(this.#writer));
    this.#last = done.catch(() => {});
    return done;
  }
}

function silent(leader, how) {
  return (
    `${leader.who} ${how}. While it lives it could still write, so nothing was taken from it: ${leader.endIt}, and this ` +
    'process takes over by itself within 6 s'
  );
}

/** Changes the files; each of its methods has to end before the next one begins. */
class Writer {
  #paths;
  #log;
  #doubt;
  #file;
  #journal;
  #lock;
  #follows = false;
  // What this process has wanted the cursor file to hold last: a change that failed may have been made.
  #wanted;
  #swept = false;
  // The last change failed, so that a file that looks right may not survive a crash.
  #inDoubt = false;
  #told;

  constructor(paths, log, doubt) {
    [this.#paths, this.#log, this.#doubt] = [paths, log, doubt];
    this.#file = new disk.JournalFile(paths);
    this.#journal = new Journal(this.#file);
  }

  async lead() {
    if (await this.#lock?.counts()) return this.#lock;
    await this.#letGo();
    let taken;
    try {
      taken = await lock.take(this.#paths.lock);
    } catch (cause) {
      this.#follows = false;
      return new Unlocked(`${this.#paths.lock}: ${reason(cause)}`);
    }
    this.#follows = taken instanceof lock.Leader;
    if (!this.#follows) this.#lock = taken;
    return taken;
  }

  async stillLeads() {
    if (this.#follows) return false;
    if (await this.#lock?.counts()) return true;
    const nobodyCame = this.#lock ? await this.#lock.isRemoved() : true;
    return !((await this.lead()) instanceof lock.Leader) && nobodyCame;
  }

  /** What was written is on the disk then, as far as that can be made sure. */
  async resign() {
    // After a failed sync the next leader reads what there is.
    await this.#file.sync().catch(() => {});
    await this.#file.close();
    this.#journal = new Journal(this.#file);
    await this.#letGo();
    this.#follows = true;
  }

  async requests() {
    if (!this.#lock) return undefined;
    try {
      return await lock.Requests.open(this.#paths.requests);
    } catch (cause) {
      this.#log.info(`no other process can ask for the inbox: ${cause.message}`);
      return undefined;
    }
  }

  async requestLead() {
    return lock.request(this.#paths.requests).catch((cause) => cause.message);
  }

  leader() {
    return lock.holder(this.#paths.lock);
  }

  async noteCall() {
    await this.#lock?.noteCall();
  }

  async saved() {
    await this.#sweep();
    const cursor = await this.#readCursor();
    try {
      const { records, damagedAfter } = await this.#journal.read();
      return { cursor, journal: records, damagedAfter };
    } catch (cause) {
      const why = `${this.#paths.journal} ${cause.message}`;
      if (this.#told !== why) this.#log.warn(`${why}: messages that it holds may come again`);
      this.#told = why;
      return { cursor, journal: [], damagedAfter: 0 };
    }
  }

  async readSecret() {
    const path = this.#paths.secret;
    const found = await this.#read(path, SECRET_BYTES);
    if (found && !disk.isPrivate(found)) {
      const mode = (found.status.mode & 0o7777).toString(8).padStart(4, '0');
      this.#log.warn(`${path} is open to other users (mode ${mode}): run chmod 600 ${path}`);
    }
    return found && disk.wordOf(found);
  }

  /** Carries out a change of the interface `types`. */
  async change(change) {
    if (change.tag !== 'inbound-secret') {
      if (this.#follows) return { tag: 'store-failed', val: 'another process keeps the inbox' };
      if (this.#lock && !(await this.#lock.counts())) {
        this.#doubt();
        const why = `${this.#paths.lock} was removed: leave it alone while the program runs`;
        return { tag: 'store-failed', val: why };
      }
    }
    await this.#sweep();
    const { cursor, secret, journal } = this.#paths;
    const path = { cursor, 'inbound-secret': secret }[change.tag] ?? journal;
    try {
      return await this.#carryOut(change, path);
    } catch (cause) {
      return { tag: 'store-failed', val: `${path}: ${reason(cause)}` };
    }
  }

  async #carryOut({ tag, val }, path) {
    switch (tag) {
      case 'append':
        await this.#journal.append(val.records, val.sync);
        break;
      case 'cursor':
        return this.#moveCursor(path, val);
      case 'inbound-secret':
        await this.#replace(path, val);
        break;
      case 'rewrite':
        await this.#file.removeOldCopies();
        await this.#journal.rewrite(val.records, val.keepCopy);
        break;
      default:
        return { tag: 'refused', val: `this host knows no change of the kind ${tag}` };
    }
    return { tag: 'stored' };
  }

  async #moveCursor(path, { known, id }) {
    const file = await disk.read(path, CURSOR_BYTES).catch(() => undefined);
    const held = file && disk.wordOf(file);
    if (held !== undefined && ![known, id, this.#wanted].includes(held)) {
      return { tag: 'refused', val: `${path} was changed by another program: let only one program use this directory` };
    }
    this.#wanted = id;
    if (id === undefined) await this.#note(() => disk.remove(path));
    else await this.#replace(path, id);
    return { tag: 'stored' };
  }

  async #replace(path, content) {
    const found = await disk.read(path, SECRET_BYTES).catch(() => undefined);
    const isDone = found?.content.equals(Buffer.from(content)) && disk.isPrivate(found);
    if (this.#inDoubt || !isDone) await this.#note(() => disk.replace(path, content));
  }

  async #note(change) {
    this.#inDoubt = true;
    await change();
    this.#inDoubt = false;
  }

  async #readCursor() {
    const { cursor, formerCursor } = this.#paths;
    const path = await access(cursor).then(() => cursor, () => formerCursor);
    const found = await this.#read(path, CURSOR_BYTES);
    return found && disk.wordOf(found);
  }

  async #read(path, limit) {
    try {
      return await disk.read(path, limit);
    } catch (why) {
      if (!why.isAbsent) this.#log.warn(`${path} ${why.message}, and is ignored`);
      return undefined;
    }
  }

  async #letGo() {
    const held = this.#lock;
    this.#lock = undefined;
    await held?.release();
  }

  /** Removes what earlier processes left behind. */
  async #sweep() {
    if (this.#swept) return;
    this.#swept = true;
    await disk.sweep(this.#paths.directory);
    await this.#file.removeOldCopies();
  }
}

function reason(cause) {
  return cause.message + (ADVICE[cause.code] ?? '');
}
