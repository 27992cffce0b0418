// Tells the component in Node what it was told in the stories of the native host, and compares all that it says.
//
//     replay.mjs DIR PACKAGE      DIR holds the transcripts, which the stories leave where MOLECULE_TRANSCRIPTS says

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [directory, installed] = process.argv.slice(2);
const { Guest } = await import(pathToFileURL(resolve(installed, 'src/guest.js')));

// Names of cases in place of values of their own.
const ENUMS = new Set(['level', 'method']);
// 64 bits wide.
const LONG = new Set(['bytes', 'oldest_secs', 'retry_after_ms', 'seed', 'server_time_ms']);
const log = { error() {}, warn() {}, info() {} };

const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const kebab = (name) => name.replace(/(?!^)[A-Z]/g, '-$&').toLowerCase();
const pascal = (name) => name.replace(/(?:^|-)(.)/g, (_, letter) => letter.toUpperCase());

/** What a transcript holds, as the component takes it. */
function given(value, name = '') {
  if (value === null) return undefined;
  if (name === 'body') return new TextEncoder().encode(value);
  if (typeof value === 'number') return LONG.has(name) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((each) => given(each, name));
  if (typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [camel(key), given(each, key)]));
}

function outcome(value) {
  if (typeof value === 'string') return { tag: kebab(value) };
  const [[name, payload]] = Object.entries(value);
  return { tag: kebab(name), val: name === 'Heard' ? BigInt(payload) : given(payload) };
}

/** What the component says, as a transcript holds it. */
function shown(value, name = '') {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (Array.isArray(value)) return value.map((each) => shown(each));
  if (typeof value === 'string') return ENUMS.has(name) ? pascal(value) : value;
  if (typeof value !== 'object') return value;
  if ('tag' in value) return value.val === undefined ? pascal(value.tag) : { [pascal(value.tag)]: shown(value.val) };
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [snake(key), shown(each, key)]));
}

/** Of a record, fields that are absent are none. */
function whole(value) {
  if (Array.isArray(value)) return value.map(whole);
  if (value === null || typeof value !== 'object') return value;
  const fields = Object.entries(value).filter(([, each]) => each !== null);
  return Object.fromEntries(fields.map(([key, each]) => [key, whole(each)]));
}

function say(guest, { asked, dialogue, now }) {
  const [name, at] = [BigInt(dialogue), BigInt(now)];
  if (asked === 'Cancel') return { effects: guest.call('dialogues', 'cancel', name, at), next: undefined };
  const [[kind, what]] = Object.entries(asked);
  switch (kind) {
    case 'Tool':
      return guest.call('tools', 'open', name, what.name, what.arguments, at);
    case 'Inbox':
      return guest.call('inbox', 'open', name, what.workspace, given(what.saved), at);
    case 'Settle':
      return guest.call('inbox', 'settle', name, what, at);
    case 'Files':
      return guest.call('inbox', 'openFiles', name, what.workspace, what.lane, at);
    case 'Secrets':
      return guest.call('secrets', 'open', name, what.workspace, given(what.body, 'body'), at);
    case 'Wake':
      return guest.call('wake', 'open', name, given(what), at);
    case 'Resume':
      return guest.call('dialogues', 'resume', name, outcome(what), at);
    default:
      throw new Error(`a transcript holds ${kind}`);
  }
}

let count = 0;
const files = readdirSync(directory).filter((name) => name.endsWith('.json')).sort();
for (const file of files) {
  const { settings, exchanges } = JSON.parse(readFileSync(join(directory, file), 'utf8'));
  const guest = await Guest.load(given(settings), log);
  for (const [place, exchange] of exchanges.entries()) {
    const { effects, next } = say(guest, exchange);
    const said = whole([shown(effects), shown(next)]);
    assert.deepEqual(said, whole([exchange.effects, exchange.next]), `${file}, exchange ${place}`);
  }
  count += exchanges.length;
}
assert.ok(files.length > 50 && count > 1_000, `only ${files.length} transcripts with ${count} turns`);
console.log(`${files.length} transcripts, ${count} turns, all the same`);
