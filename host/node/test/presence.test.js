// When to register and beat, and how an answer of the registry is read.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readRegister } from '../src/presence.js';
import { Plan, Streak, judge, opens } from '../src/rules.js';

const START = 1_000;
const FAILED = { kind: 'failed', why: 'no answer' };
const ACCEPTED = { kind: 'accepted' };

function response(status, body = '{}', json = true) {
  return { tag: 'responded', val: { status, json, retryAfterMs: undefined, body: new TextEncoder().encode(body) } };
}

function registered() {
  const plan = new Plan(START);
  plan.registered(ACCEPTED, START, 0.5);
  return plan;
}

test('the register comes before the first beat', () => {
  const plan = new Plan(START);
  assert.deepEqual(plan.next(), ['register', START]);
  plan.registered(ACCEPTED, START + 70, 0.5);
  assert.deepEqual(plan.next(), ['beat', START]);
});

test('slots are counted from the start and not from the answer', () => {
  const plan = registered();
  for (const [answered, due] of [[30, 20_000], [20_900, 40_000], [47_000, 60_000], [60_000, 80_000]]) {
    plan.beaten(ACCEPTED, START + answered, 0.5);
    assert.deepEqual(plan.next(), ['beat', START + due]);
  }
});

test('a lost beat is tried again within its slot', () => {
  const plan = registered();
  const pauses = [];
  for (let now = START; pauses.length < 6; now = plan.next()[1]) {
    plan.beaten(FAILED, now, 0.5);
    pauses.push(plan.next()[1] - now);
  }
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 4_000, 4_000, 4_000]);
  plan.beaten(FAILED, START + 18_000, 0.5);
  assert.equal(plan.next()[1], START + 20_000);
});

test('a wish to be left alone is granted up to a minute', () => {
  for (const [asked, granted] of [[5_000, 5_000], [45_000, 45_000], [120_000, 60_000]]) {
    const plan = registered();
    plan.beaten({ kind: 'failed', retryAfterMs: asked }, START, 0.5);
    assert.equal(plan.next()[1], START + granted);
  }
});

test('a failed register is tried again ever more slowly', () => {
  const plan = new Plan(START);
  const pauses = Array.from({ length: 8 }, () => {
    plan.registered(FAILED, START, 0.5);
    return plan.register - START;
  });
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
});

test('refusals are said and then said aloud', () => {
  const streak = new Streak('w-1', 'the file');
  const spoken = [];
  for (let count = 1; count <= 50; count++) {
    const line = streak.note({ kind: 'refused', status: 401 }, 0);
    if (line) spoken.push([count, line[0]]);
  }
  assert.deepEqual(spoken, [[1, 'warn'], [2, 'warn'], [3, 'error'], [23, 'error'], [43, 'error']]);
});

test('the end of an outage is said once', () => {
  const streak = new Streak('w-1', 'the file');
  for (let now = 0; now < 100; now++) streak.note(FAILED, now * 1_000);
  assert.deepEqual(streak.note(ACCEPTED, 160_000), ['info', 'the heartbeat recovered after 160 s']);
  assert.equal(streak.note(ACCEPTED, 180_000), undefined);
});

test('the status decides', () => {
  const kinds = {
    200: 'accepted', 202: 'accepted', 301: 'declined', 400: 'declined', 404: 'missing', 407: 'failed', 408: 'failed',
    410: 'removed', 429: 'failed', 500: 'failed', 511: 'failed',
  };
  for (const [status, kind] of Object.entries(kinds)) assert.equal(judge(response(Number(status))).kind, kind, status);
});

test('only the words of the platform refuse a token', () => {
  for (const [status, body, refused] of [
    [401, '{"error":"invalid workspace auth token"}', true],
    [403, '{"error":"missing workspace auth token","code":7}', true],
    [401, '{}', false],
    [401, '{"error":7}', false],
    [401, '['.repeat(100_000), false],
    [403, '<html>Sign in to the auth token service</html>', false],
    [401, '', false],
  ]) {
    assert.equal(judge(response(status, body)).kind === 'refused', refused, body.slice(0, 50));
  }
});

test('a web page is no success', () => {
  assert.match(judge(response(200, '<!doctype html>', false)).why, /in front of the platform/);
  assert.equal(judge(response(200, '', false)).kind, 'accepted');
});

test('what opens a workspace', () => {
  assert.equal(opens(response(200)), true);
  assert.equal(opens(response(401, '{"error":"invalid workspace auth token"}')), false);
  assert.equal(opens(response(502)), undefined);
  assert.equal(opens({ tag: 'overflowed' }), true);
});

test('a token is taken out of a register', () => {
  const read = (body) => readRegister(new TextEncoder().encode(body));
  const found = read('{"status":"registered","auth_token":"canary","platform_inbound_secret":"s"}');
  assert.equal(new TextDecoder().decode(found.body), '{"status":"registered","platform_inbound_secret":"s"}');
  assert.equal(found.issued.reveal(), 'canary');
  assert.doesNotMatch(`${JSON.stringify(found)} ${found.issued}`, /canary/);
  for (const body of ['', 'ok', '[]', '{"auth_token":"canary"', '\0']) assert.equal(read(body).body.length, 0, body);
  for (const token of ['""', 'null', '7', '"two words"']) assert.equal(read(`{"auth_token":${token}}`).issued, undefined);
});
