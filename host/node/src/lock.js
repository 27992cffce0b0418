// The right to fetch the messages of a workspace: one process at a time has it, of whatever host.
//
// The lock is the kernel's (flock), which Node cannot ask for: a program of the system, `flock` or `perl`, locks the open
// file that it is handed, and ends; the file stays locked for as long as this process has it open. The text in it says who
// has it, since when, and when its program called a tool for the last time. If the file is removed, another process can
// lock the next one of that name: so a lock counts only for as long as its path names its file.
//
//     follower ── "<process> <deadline>\n" ──► fifo ──► leader: stops, syncs, lets go of the lock
//         └── tries the lock until it is free, or the time is over ◄──────────────┘

import { spawn } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { Socket } from 'node:net';
import { dirname } from 'node:path';
import { pid } from 'node:process';

import { bootMs, sleep } from './clock.js';
import * as disk from './disk.js';
import { oneLine } from './log.js';

// Somebody who only looks holds the lock for some microseconds.
const TRIES = 3;
const AFTER_A_LOOKER_MS = 10;
const TEXT_BYTES = 400;
// How long a request is good: a leader that is not stopped hands over in milliseconds.
const GOOD_FOR_MS = 4_000;
const { O_CREAT, O_RDONLY, O_RDWR, O_WRONLY } = constants;

const PROGRAMS = {
  exclusive: [['flock', '-n', '3'], ['perl', '-e', 'open F, "+<&=3" or exit 2; exit(flock(F, 6) ? 0 : 1)']],
  shared: [['flock', '-n', '-s', '3'], ['perl', '-e', 'open F, "<&=3" or exit 2; exit(flock(F, 5) ? 0 : 1)']],
};

/** The process that has the lock, as its file says; for people. */
export class Leader {
  constructor(who, called = '', process = undefined) {
    Object.assign(this, { who, called, process });
  }

  toString() {
    return this.called ? `${this.who}; ${this.called}` : this.who;
  }

  /** What a person can do about it. */
  get endIt() {
    return this.process === undefined ? 'end it' : `end it (kill ${this.process})`;
  }
}

/** The lock, held until it is released or the process ends. */
export class Lock {
  #path;
  #file;
  #status;
  #since = now();

  constructor(path, file, status) {
    [this.#path, this.#file, this.#status] = [path, file, status];
  }

  /** Whether its path names its file. */
  async counts() {
    return disk.isSame(this.#status, await fs.lstat(this.#path).catch(() => ({})));
  }

  /** Whether nothing is at its path, so that nobody can have taken a lock there. */
  async isRemoved() {
    return fs.lstat(this.#path).then(() => false, (cause) => cause.code === 'ENOENT');
  }

  /** Writes who holds it; a full disk is no reason not to hold it. */
  async sign(called = null) {
    const text = Buffer.from(`${JSON.stringify({ pid, since: this.#since, called })}\n`);
    await this.#file.chmod(disk.OWNER_ONLY).catch(() => {});
    // Write before truncating, so that readers never see an empty file.
    await this.#file.write(text, 0, text.length, 0).then(() => this.#file.truncate(text.length)).catch(() => {});
  }

  /** Writes down that the program calls a tool at this moment. */
  async noteCall() {
    await this.sign(now());
  }

  /** Lets others have it. */
  async release() {
    await this.#file.close();
  }
}

/** Takes the lock, or tells who has it; makes the file and its directory. Rejects if there can be none. */
export async function take(path) {
  await disk.makeDirectory(dirname(path));
  for (let tries = 0; tries < TRIES; tries++) {
    const { file, status } = await open(path, O_RDWR | O_CREAT);
    if (!(await locked(file, 'exclusive'))) {
      await file.close();
      await sleep(AFTER_A_LOOKER_MS);
      continue;
    }
    const lock = new Lock(path, file, status);
    if (await lock.counts()) {
      await lock.sign();
      return lock;
    }
    // Somebody has removed the file in between.
    await lock.release();
  }
  return leader(path);
}

/** Who holds the lock, if that can be told. Changes nothing, and disturbs nobody who takes it. */
export async function holder(path) {
  const opened = await open(path, O_RDONLY).catch(() => undefined);
  if (!opened) return undefined;
  try {
    return (await locked(opened.file, 'shared')) ? undefined : await leader(path);
  } catch {
    return undefined;
  } finally {
    await opened.file.close();
  }
}

async function open(path, flags) {
  const file = await fs.open(path, flags | disk.NO_LINK, disk.OWNER_ONLY);
  const status = await file.stat();
  if (status.isFile()) return { file, status };
  await file.close();
  throw new Error('it is not a regular file');
}

/** Locks an open file without waiting; false if another process has it. */
async function locked(file, kind) {
  for (const [program, ...options] of PROGRAMS[kind]) {
    try {
      const code = await run(program, options, ['ignore', 'ignore', 'ignore', file.fd]);
      if (code <= 1) return code === 0;
    } catch (cause) {
      if (cause.code !== 'ENOENT') throw cause;
    }
  }
  throw new Error('neither flock nor perl can lock it: install one of them');
}

/** The code with which a program ends. */
function run(program, options, stdio) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, options, { stdio });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 127));
  });
}

async function leader(path) {
  const file = await disk.read(path, TEXT_BYTES).catch(() => undefined);
  const text = (file && disk.textOf(file)) ?? '';
  try {
    // Behind it may be the rest of a longer one, until that is cut off.
    const { pid: process, since, called } = JSON.parse(text.split('\n')[0]);
    if (!Number.isInteger(process) || typeof since !== 'string') throw new TypeError('no signature');
    return new Leader(oneLine(`process ${process}, since ${since}`), ago(called), process);
  } catch {
    return new Leader(oneLine(text) || 'another process');
  }
}

function ago(called) {
  const minutes = (Date.now() - Date.parse(called)) / 60_000;
  if (Number.isNaN(minutes)) return 'its client has called no tool so far';
  if (minutes < 1) return 'its client called a tool within the last minute';
  return `its client called a tool ${Math.floor(minutes)} min ago for the last time`;
}

function now() {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}

/** The requests of other processes for the lead, which arrive through a fifo. */
export class Requests {
  #socket;
  #writer;
  #latest;
  #wake = () => {};

  /** Receives what is written to the fifo at `path`, which is made if there is nothing. */
  static async open(path) {
    const isThere = await fs.lstat(path).then(() => true, () => false);
    if (!isThere) await run('mkfifo', ['-m', '600', path], 'ignore');
    // Its socket closes it.
    const reader = openSync(path, O_RDONLY | disk.NO_LINK);
    if (!fstatSync(reader).isFIFO()) {
      closeSync(reader);
      throw new Error('there is something else than a fifo');
    }
    const requests = new Requests();
    // With one writer that stays, the requests never end.
    requests.#writer = await fs.open(path, O_WRONLY | disk.NO_LINK);
    requests.#listen(reader);
    return requests;
  }

  #listen(reader) {
    this.#socket = new Socket({ fd: reader, readable: true, writable: false });
    this.#socket.unref();
    // The lock changes hands all the same when this process ends.
    this.#socket.on('error', () => {});
    this.#socket.on('data', (found) => {
      this.#latest = inTime(found.toString('latin1'), bootMs()) ?? this.#latest;
      this.#wake();
    });
  }

  /** The process that asks next, and still waits. */
  async next(signal) {
    while (this.#latest === undefined) {
      await new Promise((resolve, reject) => {
        signal.throwIfAborted();
        this.#wake = resolve;
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    }
    const process = this.#latest;
    this.#latest = undefined;
    return process;
  }

  /** Receives no more. */
  async close() {
    this.#socket.destroy();
    await this.#writer.close();
  }
}

/** Asks the process that reads the fifo at `path` for the lead; false if no process reads it. */
export async function request(path) {
  let fifo;
  try {
    fifo = await fs.open(path, O_WRONLY | disk.NO_LINK);
  } catch (cause) {
    if (['ENOENT', 'ENXIO'].includes(cause.code)) return false;
    throw cause;
  }
  try {
    if (!(await fifo.stat()).isFIFO()) return false;
    // In one piece: it is shorter than what a pipe takes at once.
    await fifo.write(`${pid} ${bootMs() + GOOD_FOR_MS}\n`);
    return true;
  } finally {
    await fifo.close();
  }
}

/** The process that asked last, of those whose deadline has not passed. */
export function inTime(requests, at) {
  for (const line of requests.split('\n').reverse()) {
    const [, process, deadline] = /^(\d{1,10}) (\d{1,16})$/.exec(line) ?? [];
    if (process !== undefined && Number(deadline) >= at) return Number(process);
  }
  return undefined;
}
