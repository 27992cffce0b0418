// A file of records that are only ever added: the same bytes as the native host's.
//
// What a record means is the component's business. A line is
//
//     <CRC-32C of everything after the first blank, 8 hex digits> <number, from 1> <record>\n
//
// The numbers rise by one, so a missing, doubled or displaced line is noticed, and the lines that check can be put back
// into order.
//
//     unread ── read ──► open ◄── rewritten ── broken
//                          └─ a write or sync failed ─▲

/** The largest message of the platform, escaped. */
export const RECORD_BYTES = 40 << 20;
/** What fits the memory of the component twice, with all that can wait in it. */
export const JOURNAL_BYTES = 96 << 20;

const SUM_BYTES = 9;
const LARGEST = 2n ** 64n - 1n;
const [BREAK, NUL] = [10, 0];
const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const TABLES = tables();

function tables() {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
    tables[0][byte] = sum;
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let of = 1; of < 8; of++) {
      const before = tables[of - 1][byte];
      tables[of][byte] = (before >>> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

/** The CRC-32C of `bytes`, eight at a time. */
export function crc32c(bytes) {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  let sum = ~0;
  let at = 0;
  for (const end = bytes.length - 7; at < end; at += 8) {
    sum ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    sum =
      t7[sum & 255] ^ t6[(sum >>> 8) & 255] ^ t5[(sum >>> 16) & 255] ^ t4[sum >>> 24] ^
      t3[bytes[at + 4]] ^ t2[bytes[at + 5]] ^ t1[bytes[at + 6]] ^ t0[bytes[at + 7]];
  }
  for (; at < bytes.length; at++) sum = (sum >>> 8) ^ t0[(sum ^ bytes[at]) & 255];
  return ~sum >>> 0;
}

/**
 * Reads the lines of a journal. Any bytes will do; nothing is trusted that does not check.
 *
 * `records` are those that check, in the order of their numbers, `damagedAfter` how many of them stand before the first
 * damage (undefined if nothing is missing), `torn` the bytes at the end that belong to no whole line, and `next` the
 * number that the next line gets, a bigint.
 */
export function recover(content) {
  let lines = [];
  let broken = false;
  let start = 0;
  for (let end = content.indexOf(BREAK); end >= 0; end = content.indexOf(BREAK, start)) {
    const line = checked(content.subarray(start, end));
    if (line) lines.push(line);
    else broken = true;
    start = end + 1;
  }
  const rest = content.subarray(start);
  // No line has a NUL: what holds one is not the beginning of a line.
  broken ||= rest.includes(NUL);
  // Doubled blocks give doubled lines, displaced ones numbers out of order.
  lines.sort((one, other) => (one.number < other.number ? -1 : one.number > other.number ? 1 : 0));
  lines = lines.filter(({ number, record }, at) => {
    const before = lines[at - 1];
    return !before || before.number !== number || before.record !== record;
  });
  const inSequence = sequence(lines);
  const last = lines.at(-1)?.number ?? 0n;
  return {
    records: lines.map(({ record }) => record),
    damagedAfter: broken || inSequence < lines.length ? inSequence : undefined,
    torn: rest.length,
    next: last < LARGEST ? last + 1n : LARGEST,
  };
}

/** How many lines have the numbers from 1 on, each one once. */
function sequence(lines) {
  let expected = 0;
  while (expected < lines.length && lines[expected].number === BigInt(expected + 1)) expected++;
  // Two different lines with the same number: nobody knows which one is the right one.
  const doubled = expected > 0 && lines[expected]?.number === lines[expected - 1].number;
  return doubled ? expected - 1 : expected;
}

/** Number and record of a line that checks. */
function checked(line) {
  if (line.length < SUM_BYTES) return undefined;
  const payload = line.subarray(SUM_BYTES);
  if (!line.subarray(0, SUM_BYTES).equals(sum(payload))) return undefined;
  let text;
  try {
    text = STRICT.decode(payload);
  } catch {
    return undefined;
  }
  const blank = text.indexOf(' ');
  const digits = text.slice(0, blank);
  if (blank < 0 || !/^\+?[0-9]+$/.test(digits)) return undefined;
  const number = BigInt(digits.replace('+', ''));
  return number <= LARGEST ? { number, record: text.slice(blank + 1) } : undefined;
}

function sum(payload) {
  return Buffer.from(`${crc32c(payload).toString(16).padStart(8, '0')} `, 'ascii');
}

/** The lines of `records`, the first of which gets the number `first`. */
export function framed(records, first) {
  let number = BigInt(first);
  const lines = [];
  for (const record of records) {
    const payload = Buffer.from(`${number++} ${record}`, 'utf8');
    if (payload.length > RECORD_BYTES + 21 || /[\n\0]/.test(record)) {
      throw new Error('a record is too long, or has a line break or a NUL');
    }
    lines.push(sum(payload), payload, Buffer.of(BREAK));
  }
  return Buffer.concat(lines);
}

/**
 * A journal on a disk, which is one file that may not exist: `read(limit)` gives its bytes or undefined, `truncate(length)`
 * cuts it, `append(end, bytes)` adds to it, `sync()` makes sure of what was added, `replace(bytes)` makes it anew and
 * makes sure of that, `putAside()` keeps a copy. Each rejects if it fails.
 */
export class Journal {
  #open;
  #closed = 'has to be read first';
  #broken = false;

  constructor(disk) {
    this.disk = disk;
  }

  /** Reads the file, and changes nothing. A journal that broke stays so: what can be read is not what is on the disk. */
  async read() {
    let content;
    try {
      content = await this.disk.read(JOURNAL_BYTES);
    } catch (cause) {
      if (!this.#broken) [this.#open, this.#closed] = [undefined, `has to be rewritten, because it ${cause.message}`];
      throw cause;
    }
    const found = recover(content ?? Buffer.alloc(0));
    if (!this.#broken) {
      const end = (content?.length ?? 0) - found.torn;
      this.#open = { exists: content !== undefined, end, torn: found.torn > 0, next: found.next };
    }
    return found;
  }

  /**
   * Adds records, in order; with `sync` they survive a power cut when this resolves. If they could not be written or
   * synced, the journal takes nothing more until it was rewritten.
   */
  async append(records, sync) {
    const open = this.#open;
    if (!open) throw new Error(`it ${this.#closed}`);
    const lines = framed(records, open.next);
    notTooLong(open.end + lines.length);
    try {
      await this.#add(open, lines, sync);
    } catch (cause) {
      this.#break(cause);
      throw cause;
    }
    const next = open.next + BigInt(records.length);
    this.#open = { exists: true, end: open.end + lines.length, torn: false, next };
  }

  /** Puts `records` in place of everything: afterwards the file is the old one or the new one. */
  async rewrite(records, keepCopy) {
    const lines = framed(records, 1);
    notTooLong(lines.length);
    try {
      if (keepCopy) await this.disk.putAside();
      await this.disk.replace(lines);
    } catch (cause) {
      this.#break(cause);
      throw cause;
    }
    this.#open = { exists: true, end: lines.length, torn: false, next: BigInt(records.length + 1) };
    this.#broken = false;
  }

  async #add(open, lines, sync) {
    if (!open.exists) return this.disk.replace(lines);
    if (open.torn) await this.disk.truncate(open.end);
    await this.disk.append(open.end, lines);
    return sync ? this.disk.sync() : undefined;
  }

  #break(cause) {
    this.#open = undefined;
    this.#broken = true;
    this.#closed = `has to be rewritten, because it could not be written: ${cause.message}`;
  }
}

function notTooLong(length) {
  if (length > JOURNAL_BYTES) throw new Error('it is full, and has to be rewritten');
}
