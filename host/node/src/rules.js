// When to register and beat, and what to say about it. Pure: time and chance are arguments.
//
//     start        +20 s        +40 s        +60 s
//       │ register   │            │            │
//       └─ beat      ├─ beat      ├─ beat ✗    ├─ beat
//                                 └─ 1 s ─ 2 s ─ 4 s ─ 4 s: once more, while the slot lasts
//
// Nothing runs beside anything else: a beat beside the first register makes the platform invent two inbound secrets.
//
// An answer is `{ kind, body, why, status, retryAfterMs }`. Its kind is `accepted` (2xx of the platform itself), `declined`
// (the same request would be answered alike), `failed` (a later try may do better), `missing` (404), `refused` (401 or 403
// in the words of the platform), or `removed` (410).

import { oneLine } from './log.js';

/** The platform gives up on a workspace after 60 to 90 s of silence, so one beat may be lost. */
export const SLOT_MS = 20_000;
const RETRY_MS = 1_000;
// So that the end of an outage is noticed soon.
const BEAT_PAUSE_MS = 4_000;
// Beats keep the workspace alive meanwhile.
const REGISTER_PAUSE_MS = 60_000;
// A beat is what keeps the workspace online, so no wish of the platform is granted for longer.
const OBEYED_MS = 60_000;
// Refusals in a row until it is said aloud, and between two repetitions.
const [LOUD_AT, LOUD_EVERY] = [3, 20];
// Characters of an unexpected answer that a person is shown.
const SHOWN = 200;

/** When what is due: registers at `start`, and beats in slots counted from there. */
export class Plan {
  #start;
  #registers = 0;
  // Tries in this slot.
  #beats = 0;
  // How often in a row the platform has asked to be left alone.
  #putOff = 0;

  constructor(start) {
    this.#start = start;
    // Undefined once registered.
    this.register = start;
    this.beat = start;
  }

  /** `register` or `beat`, and when. Of two that are due, the register comes first. */
  next() {
    const registers = this.register !== undefined && this.register <= this.beat;
    return registers ? ['register', this.register] : ['beat', this.beat];
  }

  /** Says how the register went. `chance` is from 0 to 1. */
  registered({ kind, retryAfterMs = 0 }, now, chance) {
    if (kind === 'accepted') this.register = undefined;
    else if (kind !== 'failed') this.register = now + REGISTER_PAUSE_MS;
    else this.register = now + Math.max(pauseMs(this.#registers, REGISTER_PAUSE_MS, chance), retryAfterMs);
    this.#registers++;
  }

  /** Says how a beat went. `chance` is from 0 to 1. */
  beaten({ kind, retryAfterMs }, now, chance) {
    const slot = this.#start + (Math.floor(Math.max(0, now - this.#start) / SLOT_MS) + 1) * SLOT_MS;
    let [again, putOff] = [undefined, 0];
    if (kind === 'failed' && retryAfterMs !== undefined) {
      // A platform that asks for too little still gets more rest each time.
      const pause = Math.min(pauseMs(this.#putOff, SLOT_MS, chance), SLOT_MS);
      putOff = this.#putOff + 1;
      again = now + Math.max(Math.min(retryAfterMs, OBEYED_MS), pause);
    } else if (kind === 'failed') {
      const soon = now + pauseMs(this.#beats, BEAT_PAUSE_MS, chance);
      again = soon < slot ? soon : undefined;
    }
    this.#putOff = putOff;
    this.#beats = again === undefined ? 0 : this.#beats + 1;
    this.beat = again ?? slot;
  }
}

/** 1, 2, 4 … s up to `longest`, each between half and half as much again. */
function pauseMs(tries, longest, chance) {
  const pause = Math.min(RETRY_MS * 2 ** Math.min(tries, 16), longest);
  return Math.floor(pause * (0.5 + Math.max(0, Math.min(1, chance))));
}

/** Beats that failed in a row, and when to speak of them. */
export class Streak {
  #workspace;
  #source;
  #since;
  #failed = 0;
  #refused = 0;
  #gone = 0;

  constructor(workspace, source) {
    [this.#workspace, this.#source] = [workspace, source];
  }

  /** What the operator should hear of the latest beat: a level and a text. */
  note(answer, now) {
    if (answer.kind !== 'accepted') {
      this.#since ??= now;
      return this.#complain(answer);
    }
    const since = this.#since;
    this.#since = undefined;
    this.#failed = this.#refused = this.#gone = 0;
    if (since === undefined) return undefined;
    return ['info', `the heartbeat recovered after ${Math.floor(Math.max(0, now - since) / 1_000)} s`];
  }

  #complain({ kind, why, status }) {
    switch (kind) {
      case 'refused':
        return this.#complainOfRefusal(status);
      case 'missing':
        return this.#complainOfAbsence(
          'the platform, or something in front of it, does not know the workspace (HTTP 404)',
          "check the workspace id and the platform's address",
        );
      case 'removed':
        return this.#complainOfAbsence(
          'the workspace was removed from the platform (HTTP 410)',
          'create another one in the canvas, and put its id and token into the configuration',
        );
      default:
        this.#failed++;
        if (this.#failed > LOUD_AT && !isLoud(this.#failed)) return undefined;
        return ['warn', `heartbeat failed, it will be tried again: ${why}`];
    }
  }

  #complainOfAbsence(what, advice) {
    this.#gone++;
    if (this.#gone % LOUD_EVERY !== 1) return undefined;
    return ['error', `heartbeat of workspace ${this.#workspace}: ${what}; ${advice}`];
  }

  #complainOfRefusal(status) {
    const [source, count] = [this.#source, ++this.#refused];
    if (count < LOUD_AT) {
      return [
        'warn',
        `heartbeat refused (HTTP ${status}, ${count}/${LOUD_AT}): the token from ${source} may be revoked; it will be tried ` +
          'again, and the Tokens tab of the canvas issues another one',
      ];
    }
    if (!isLoud(count)) return undefined;
    return [
      'error',
      `heartbeat refused ${count} times in a row (HTTP ${status}): the token from ${source} has been revoked, probably ` +
        `because workspace ${this.#workspace} was deleted; calls to the platform will fail; regenerate the token in the ` +
        `Tokens tab of the canvas and update ${source}`,
    ];
  }
}

/** 3, 23, 43 … */
function isLoud(count) {
  return count >= LOUD_AT && (count - LOUD_AT) % LOUD_EVERY === 0;
}

/** Judges what became of a register or a beat. */
export function judge({ tag, val }) {
  if (tag === 'responded') return judgeResponse(val);
  if (tag === 'unreachable') return { kind: 'failed', why: val.reason };
  if (tag === 'overflowed') return { kind: 'failed', why: 'the answer is too large' };
  return { kind: 'failed', why: String(val ?? 'no answer') };
}

function judgeResponse(response) {
  const { status } = response;
  const retryAfterMs = response.retryAfterMs === undefined ? undefined : Number(response.retryAfterMs);
  if (status >= 200 && status < 300) {
    return isPage(response) ? { kind: 'failed', why: inFront(response) } : { kind: 'accepted', body: response.body };
  }
  if ([401, 403, 407, 511].includes(status)) {
    if (refusesTheToken(response)) return { kind: 'refused', status };
    return { kind: 'failed', why: inFront(response), retryAfterMs };
  }
  if (status === 404) return { kind: 'missing' };
  if (status === 410) return { kind: 'removed' };
  // Whoever says so means it, also without a pause of its own.
  if (status === 429) return { kind: 'failed', why: excerpt(response), retryAfterMs: retryAfterMs ?? 0 };
  if (status === 408 || status === 425 || status >= 500) return { kind: 'failed', why: excerpt(response), retryAfterMs };
  return { kind: 'declined', why: excerpt(response) };
}

/** What a call that only the workspace itself may make says of the token it was made with; undefined if nothing. */
export function opens({ tag, val }) {
  // There is an answer, of which the rest does not matter.
  if (tag === 'overflowed') return true;
  if (tag !== 'responded') return undefined;
  if (refusesTheToken(val)) return false;
  return val.status === 200 && val.json ? true : undefined;
}

/**
 * Whether the platform itself refuses the token. The same status with other words comes from a login page, a firewall or
 * a proxy, which say nothing of it.
 */
function refusesTheToken({ status, body }) {
  if (status !== 401 && status !== 403) return false;
  try {
    return JSON.parse(text(body)).error.toLowerCase().includes('auth token');
  } catch {
    return false;
  }
}

function isPage({ json, body }) {
  return !json && text(body).trimStart().startsWith('<');
}

function inFront(response) {
  let said = `with other words than the platform's (${words(response)})`;
  if (!text(response.body).trim()) said = 'without a word';
  else if (isPage(response)) said = 'with a web page';
  return (
    `HTTP ${response.status} ${said}, so that something in front of the platform answered: look for a login page, a ` +
    "firewall or a proxy, and check the platform's address"
  );
}

function excerpt(response) {
  return `HTTP ${response.status} ${words(response)}`.trimEnd();
}

function words({ body }) {
  return [...oneLine(text(body).trim())].slice(0, SHOWN).join('');
}

function text(body) {
  return new TextDecoder().decode(body);
}
