// The component in Node: what it may ask for, and what becomes of a trap; and the options of a runtime.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Guest, GuestDown } from '../src/guest.js';
import { createRuntime } from '../src/index.js';

const log = { error() {}, warn() {}, info() {} };
const settings = {
  seed: [1n, 2n, 3n, 4n],
  workspaces: [{ id: 'w-1', platform: 'http://localhost' }],
  inbox: true, redeliver: false, notice: true, structured: false, barePeerText: false, delegateDurably: false,
  durableBudgetSecs: 300, pollTimeoutSecs: 2, permissions: { roles: ['operator'], allowedActions: [], tier: 1 },
};

test('the same seed gives the same ids, and another instance gives others', async () => {
  const request = (guest) => {
    const turn = guest.call('tools', 'open', 1n, 'send_message_to_user', '{"message":"hi"}', 0n);
    return JSON.stringify(turn, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
  };
  const [one, other] = [await Guest.load(settings, log), await Guest.load(settings, log)];
  assert.equal(request(one), request(other));
});

test('after a trap the next call finds a fresh instance', async () => {
  const guest = await Guest.load(settings, log);
  let stopped = 0;
  guest.onStop = () => stopped++;
  const { next } = guest.call('tools', 'open', 1n, 'list_peers', '{}', 0n);
  assert.equal(next.tag, 'send');
  assert.throws(() => guest.call('dialogues', 'resume', 1n, { tag: 'nonsense' }, 0n), GuestDown);

  assert.deepEqual([guest.stops, stopped], [1, 1]);
  assert.equal(guest.call('tools', 'specs').length, 11);
  // The instance before knew it.
  const late = guest.call('dialogues', 'resume', 1n, { tag: 'rested' }, 5n);
  assert.deepEqual(late, { effects: [], next: { tag: 'finish', val: { tag: 'done' } } });
});

test('what is wrong with the options is said', async () => {
  const whole = { platform: 'http://localhost:1', workspace: 'w-1', token: 'tok' };
  for (const [wrong, why] of [
    [{ platform: 'acme.example' }, /is no http or https address/],
    [{ platform: 'http://acme.example' }, /without encryption/],
    [{ workspace: '../admin' }, /is not 1 to 128/],
    [{ token: undefined }, /needs a token or a tokenFile/],
    [{ token: '${TOKEN}' }, /in place of the token/],
    [{ token: undefined, tokenFile: '/nowhere/token' }, /\/nowhere\/token does not exist/],
    [{ organization: 'two words' }, /the organization is not/],
  ]) {
    await assert.rejects(createRuntime({ ...whole, ...wrong }), why);
  }
});

test('a closed runtime says so, and closing it twice is no mistake', async () => {
  const runtime = await createRuntime({
    platform: 'http://127.0.0.1:1', workspace: 'w-1', token: 'tok', presence: false, log,
  });
  const wait = runtime.callTool('wait_for_message', { timeout_secs: 60 });
  setTimeout(() => runtime.close(), 20);
  await assert.rejects(wait, { name: 'Closed' });
  await runtime.close();
  await assert.rejects(runtime.callTool('list_peers'), { name: 'Closed' });
  assert.throws(() => runtime.tools(), { name: 'Closed' });
  for await (const message of runtime.messages()) assert.fail(message);
});
