// Registers the workspace and keeps it alive. Waits for its platform and for nothing else.

import { Token } from './credentials.js';
import { oneLine } from './log.js';
import { Plan, Streak, judge, opens } from './rules.js';

const REGISTER_LIMITS = { firstByteMs: 10_000, totalMs: 10_000, bodyBytes: 1 << 20 };
const BEAT_LIMITS = { firstByteMs: 8_000, totalMs: 8_000, bodyBytes: 64 << 10 };
const LOOK_LIMITS = { firstByteMs: 5_000, totalMs: 5_000, bodyBytes: 1 << 20 };
// How often the source of a refused token is looked at.
const LOOK_AGAIN_MS = 60_000;
const INTEGER = 2 ** 31 - 1;

/** Registers and beats. `learn` is shown the body of every success, and must not wait. */
export class Presence {
  #of;
  #start;
  #plan;
  #streak;
  // What came with a register, until it is known what it is good for.
  #issued;

  /** `of` is `{ workspace, card, http, credentials, clock, busy, learn, log }`. */
  constructor(of) {
    this.#of = of;
    this.#start = of.clock.now();
    this.#plan = new Plan(this.#start);
    this.#streak = new Streak(of.workspace, of.credentials.source);
  }

  /**
   * Registers, and beats until `signal` aborts; ends only if the platform refuses a register before one has succeeded,
   * and says so.
   */
  async run(signal) {
    for (;;) {
      const [step, due] = this.#plan.next();
      await this.#of.clock.until(due, signal);
      const refused = step === 'beat' ? await this.#beat(signal) : await this.#register(signal);
      if (refused) return refused;
      await this.#settleIssued(signal);
    }
  }

  /** Resolves once the source of the token holds another one than now; looks every minute. */
  async anotherToken(signal) {
    const { credentials, clock } = this.#of;
    for (const refused = credentials.token; credentials.token.equals(refused); ) {
      await clock.until(clock.now() + LOOK_AGAIN_MS, signal);
      await credentials.reload();
    }
  }

  async #register(signal) {
    const { workspace, card, credentials, clock, log } = this.#of;
    const { name, description, skills = [] } = card;
    const shown = { name, ...(description !== undefined && { description }), skills: skills.map((skill) => ({ name: skill })) };
    const body = { id: workspace, url: '', agent_card: shown, delivery_mode: 'poll' };
    const answer = await this.#post('register', body, REGISTER_LIMITS, signal);
    if (answer.kind === 'refused') {
      return (
        `the platform refused the register (HTTP ${answer.status}): the token from ${credentials.source} is not valid for ` +
        `workspace ${workspace}; regenerate it in the Tokens tab of the canvas and update ${credentials.source}`
      );
    }
    if (answer.kind === 'accepted') this.#registered(answer.body);
    else {
      const known = { missing: "HTTP 404: check the platform's address", removed: 'HTTP 410: the workspace was removed from the platform' };
      log.warn(`workspace ${workspace} is not registered, it will be tried again: ${known[answer.kind] ?? answer.why}`);
    }
    this.#plan.registered(answer, clock.now(), Math.random());
    return undefined;
  }

  #registered(content) {
    const { workspace, learn, log } = this.#of;
    log.info(`workspace ${workspace} is registered`);
    const { body, mode, issued } = readRegister(content);
    if (mode !== undefined && mode !== 'poll') {
      log.warn(
        `the platform delivers the messages of workspace ${workspace} by \`${oneLine(mode)}\` instead of \`poll\`: they ` +
          'will not reach the inbox',
      );
    }
    learn(body);
    this.#issued = issued;
  }

  async #beat(signal) {
    const { workspace, clock, busy, learn, log } = this.#of;
    const uptime = Math.floor(Math.max(0, clock.now() - this.#start) / 1_000);
    // Whatever a beat leaves out is reset on the platform, so each tells everything. A number without a fraction is none
    // to JSON.stringify, which the platform takes.
    const body = {
      workspace_id: workspace,
      error_rate: 0,
      sample_error: '',
      active_tasks: Math.min(busy.activeTasks, INTEGER),
      uptime_seconds: Math.min(uptime, INTEGER),
      // The platform's store refuses the whole beat for this one character.
      current_task: busy.currentTask.replaceAll('\0', ''),
    };
    const answer = await this.#post('heartbeat', body, BEAT_LIMITS, signal);
    const now = clock.now();
    const line = this.#streak.note(answer, now);
    if (line) log[line[0]](line[1]);
    this.#plan.beaten(answer, now, Math.random());
    if (answer.kind === 'accepted') learn(answer.body);
  }

  /**
   * Finds out what a token is good for that came with a register although one was sent. Some platforms issue one to
   * everybody, and every platform issues useless ones for deleted workspaces.
   */
  async #settleIssued(signal) {
    const { workspace, http, credentials, log } = this.#of;
    const [issued, { source }] = [this.#issued, credentials];
    if (!issued) return;
    const look = request('get', ['workspaces', workspace, 'activity'], undefined, LOOK_LIMITS, [['limit', '1']]);
    const opened = opens(await http.send(look, signal));
    if (opened) {
      log.info(`the platform issued a further token for workspace ${workspace}, which is not needed`);
      this.#issued = undefined;
    }
    if (opened !== false) return;
    const opensToo = opens(await http.sendWith(issued, look, signal));
    if (opensToo === undefined) return;
    this.#issued = undefined;
    if (!opensToo) {
      log.warn(
        `the platform refuses the token from ${source}, and issued one that opens nothing: workspace ${workspace} was ` +
          'deleted, or all its tokens were revoked; look for it in the canvas, make a token in its Tokens tab and put it ' +
          `into ${source}`,
      );
      return;
    }
    credentials.adopt(issued);
    log.warn(
      `the token from ${source} was revoked, as were all others of workspace ${workspace}; the platform issued another one, ` +
        'which is used until this program ends: make a token in the Tokens tab of the canvas and put it into ' +
        `${source}, because the next start will be refused`,
    );
  }

  async #post(endpoint, body, limits, signal) {
    const content = new TextEncoder().encode(JSON.stringify(body));
    return judge(await this.#of.http.send(request('post', ['registry', endpoint], content, limits, []), signal));
  }
}

function request(method, path, body, limits, query) {
  return { workspace: 0, method, path, query, identify: false, body, limits };
}

/** Looks at the body of a successful register, which may be anything: the answer without any token, and what it says. */
export function readRegister(body) {
  let answer;
  try {
    answer = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return { body: new Uint8Array() };
  }
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return { body: new Uint8Array() };
  const { auth_token: token, delivery_mode: mode, ...rest } = answer;
  let issued;
  try {
    issued = typeof token === 'string' ? new Token(token) : undefined;
  } catch {
    issued = undefined;
  }
  const shown = mode === undefined ? rest : { ...rest, delivery_mode: mode };
  return {
    body: new TextEncoder().encode(JSON.stringify(shown)),
    mode: typeof mode === 'string' ? mode : undefined,
    issued,
  };
}
