// What a journal keeps, and that its bytes are those of the native host.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Journal, crc32c, framed, recover } from '../src/journal.js';

const vectors = JSON.parse(readFileSync(new URL('../../../tests/languages/journal.json', import.meta.url), 'utf8'));

/** A file in memory that fails at will. */
class FakeDisk {
  calls = [];
  fails = undefined;

  constructor(content) {
    this.content = content;
  }

  #call(name) {
    this.calls.push(name);
    if (this.fails === name) throw new Error('on purpose');
  }

  async read() {
    this.#call('read');
    return this.content;
  }

  async truncate(length) {
    this.#call('truncate');
    this.content = this.content.subarray(0, length);
  }

  async append(end, content) {
    this.#call('append');
    assert.equal(end, this.content.length);
    this.content = Buffer.concat([this.content, content]);
  }

  async sync() {
    this.#call('sync');
  }

  async replace(content) {
    this.#call('replace');
    this.content = content;
  }

  async putAside() {
    this.#call('putAside');
  }
}

// The same file is read by the tests of each host.
for (const { what, base64, records, damaged_after: damagedAfter, torn, next } of vectors.recovered) {
  test(`recovered: ${what}`, () => {
    const found = recover(Buffer.from(base64, 'base64'));
    assert.deepEqual(found, { records, damagedAfter: damagedAfter ?? undefined, torn, next: BigInt(next) });
  });
}

test('what is written', () => {
  for (const { records, first, base64 } of vectors.framed) assert.equal(framed(records, first).toString('base64'), base64);
});

test('a checksum is that of the standard, for every length', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  const bitwise = (bytes) => {
    let sum = ~0;
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
    }
    return ~sum >>> 0;
  };
  for (let length = 0; length < 40; length++) {
    const bytes = Buffer.from(Array.from({ length }, (_, at) => (at * 97 + length * 13) & 255));
    assert.equal(crc32c(bytes), bitwise(bytes), `${length} bytes`);
  }
});

test('only what has to survive a power cut is synced', async () => {
  const journal = new Journal(new FakeDisk(framed(['a'], 1)));
  await journal.read();
  await journal.append(['b'], false);
  await journal.append(['c'], true);

  assert.deepEqual(journal.disk.calls, ['read', 'append', 'append', 'sync']);
  assert.deepEqual(recover(journal.disk.content).records, ['a', 'b', 'c']);
});

test('a cut at any byte costs nothing but the torn line', async () => {
  const whole = framed(['one', 'two', 'three'], 1);
  for (let cut = 0; cut <= whole.length; cut++) {
    const journal = new Journal(new FakeDisk(whole.subarray(0, cut)));
    const before = (await journal.read()).records;
    await journal.append(['next'], true);
    const { records, damagedAfter, torn } = recover(journal.disk.content);
    assert.deepEqual([records, damagedAfter, torn], [[...before, 'next'], undefined, 0], `cut at ${cut}`);
  }
});

test('after a failed sync nothing is taken until it is rewritten', async () => {
  const journal = new Journal(new FakeDisk(framed(['a'], 1)));
  await journal.read();
  journal.disk.fails = 'sync';
  await assert.rejects(journal.append(['b'], true));
  journal.disk.fails = undefined;
  await journal.read();
  await assert.rejects(journal.append(['c'], true), /has to be rewritten/);

  await journal.rewrite(['d'], true);
  await journal.append(['e'], true);
  assert.deepEqual(recover(journal.disk.content).records, ['d', 'e']);
});

test('a record that would break a line is refused and changes nothing', async () => {
  const journal = new Journal(new FakeDisk(framed(['a'], 1)));
  await assert.rejects(journal.append(['a'], true), /read first/);
  await journal.read();
  for (const record of ['two\nlines', 'a\0b']) await assert.rejects(journal.append([record], true));
  await journal.append(['b'], true);
  assert.deepEqual(recover(journal.disk.content).records, ['a', 'b']);
});
