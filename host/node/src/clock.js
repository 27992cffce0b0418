// The clock that goes on while the machine sleeps, and waiting.

import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

// The timers of Node stand still while the machine sleeps.
const LOOK_EVERY_MS = 5_000;
// Of the system's uptime, which some versions tell in whole seconds.
const UPTIME_ERROR_MS = 1_500;

/** Milliseconds that all processes of the machine count alike, to 10 ms. */
export function bootMs() {
  try {
    return Math.floor(Number(readFileSync('/proc/uptime', 'ascii').split(' ')[0]) * 1_000);
  } catch {
    return Math.floor(uptime() * 1_000);
  }
}

/** Milliseconds since it was made. */
export class Clock {
  #start = performance.now();
  #ahead = uptime() * 1_000 - performance.now();
  #asleep = 0;

  now() {
    return Math.floor(performance.now() - this.#start + this.#asleep);
  }

  /** Resolves at `instant`, or within 5 s of waking up after it; rejects when `signal` aborts. */
  async until(instant, signal) {
    for (let left = instant - this.now(); left > 0; left = instant - this.now()) {
      await sleep(Math.min(left, LOOK_EVERY_MS), signal);
      const asleep = uptime() * 1_000 - performance.now() - this.#ahead;
      if (asleep > this.#asleep + UPTIME_ERROR_MS) this.#asleep = asleep;
    }
  }
}

/** Resolves after so many milliseconds; rejects when `signal` aborts. */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const aborted = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }, Math.max(0, Math.ceil(ms)));
    signal?.addEventListener('abort', aborted, { once: true });
  });
}

/** Never resolves; rejects when `signal` aborts. */
export function forever(signal) {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** A number that only rises, and those who wait for that. */
export class Count {
  value = 0;
  #waiting = new Set();

  /** Wakes those who wait, unless the number is an old one. */
  raiseTo(value) {
    if (value <= this.value) return;
    this.value = value;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  addOne() {
    this.raiseTo(this.value + 1);
  }

  /** Resolves once it exceeds `seen`; rejects when `signal` aborts. */
  async over(seen, signal) {
    while (this.value <= seen) {
      await new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const wake = () => {
          signal?.removeEventListener('abort', aborted);
          resolve();
        };
        const aborted = () => {
          this.#waiting.delete(wake);
          reject(signal.reason);
        };
        this.#waiting.add(wake);
        signal?.addEventListener('abort', aborted, { once: true });
      });
    }
  }
}

/**
 * What the first of `tasks` to end gives. Each gets a signal, which aborts when another one has ended or `signal`
 * aborts; all have ended when this does.
 */
export async function race(signal, ...tasks) {
  const over = new AbortController();
  const abort = () => over.abort(signal.reason);
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  const running = tasks.map(async (task) => task(over.signal));
  try {
    return await Promise.race(running);
  } finally {
    over.abort(new DOMException('another one was faster', 'AbortError'));
    signal?.removeEventListener('abort', abort);
    await Promise.allSettled(running);
  }
}
