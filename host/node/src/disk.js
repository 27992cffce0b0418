// Reads and replaces files so that a crash leaves the old one or the new one, and nobody else can look in.

import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { geteuid } from 'node:process';

const { O_APPEND, O_CREAT, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

export const OWNER_ONLY = 0o600;
/** Whatever is at a path is opened without waiting for anything, such as the other end of a pipe. */
export const NO_LINK = O_NONBLOCK | O_NOCTTY | O_NOFOLLOW;
const OWNER_ONLY_DIRECTORY = 0o700;
const [PREFIX, SUFFIX] = ['.molecule-mcp-', '.tmp'];
// A temporary file lives for milliseconds; another process may be writing a younger one.
const LEFT_BEHIND_MS = 60_000;
// Copies show what went wrong, and hold messages.
const COPY_KEPT_MS = 7 * 24 * 3_600_000;
const CHUNK_BYTES = 1 << 20;

/** Why there is nothing to read. The text follows the name of the file. */
export class Unreadable extends Error {
  constructor(message, isAbsent = false) {
    super(message);
    this.isAbsent = isAbsent;
  }
}

/** Reads `path` if it is a regular file of at most `limit` bytes: its content and status. Rejects with `Unreadable`. */
export async function read(path, limit, { followLinks = false } = {}) {
  let file;
  try {
    file = await fs.open(path, O_RDONLY | (followLinks ? NO_LINK & ~O_NOFOLLOW : NO_LINK));
  } catch (cause) {
    throw unreadable(cause);
  }
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new Unreadable('is not a regular file');
    const chunks = [];
    let length = 0;
    while (length <= limit) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, limit + 1 - length));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) break;
      chunks.push(chunk.subarray(0, bytesRead));
      length += bytesRead;
    }
    if (length > limit) throw new Unreadable(`is larger than ${limit} bytes`);
    return { content: Buffer.concat(chunks), status };
  } finally {
    await file.close();
  }
}

function unreadable(cause) {
  switch (cause.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new Unreadable('does not exist', true);
    case 'ELOOP':
      return new Unreadable('is a link, which is not followed');
    case 'ENXIO':
    case 'ENODEV':
      return new Unreadable('is not a regular file');
    case 'EACCES':
    case 'EPERM':
      return new Unreadable('cannot be read: permission denied');
    default:
      return new Unreadable(`could not be read: ${cause.message}`);
  }
}

/** The text of a file without a byte order mark and white space around it; undefined unless it is UTF-8. */
export function textOf({ content }) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content).trim();
  } catch {
    return undefined;
  }
}

/** The one word of visible ASCII that is all there is in a file. */
export function wordOf(file) {
  const text = textOf(file);
  return text && /^[!-~]+$/.test(text) ? text : undefined;
}

/** Whether nobody else can read or change a file. */
export function isPrivate({ status }) {
  return status.uid === geteuid() && (status.mode & 0o077) === 0;
}

/** Makes the file, or replaces it as a whole, links included; gives the status of the new one. */
export async function replace(path, content) {
  const directory = dirname(path);
  await makeDirectory(directory);
  const temporary = join(directory, `${PREFIX}${randomBytes(8).toString('hex')}${SUFFIX}`);
  const file = await fs.open(temporary, O_WRONLY | O_CREAT | O_EXCL | NO_LINK, OWNER_ONLY);
  let status;
  try {
    try {
      await file.chmod(OWNER_ONLY).catch(() => {});
      await file.writeFile(content);
      await file.sync();
      status = await file.stat();
    } finally {
      await file.close();
    }
    await fs.rename(temporary, path);
  } catch (cause) {
    await fs.unlink(temporary).catch(() => {});
    throw cause;
  }
  await syncDirectory(directory);
  return status;
}

/** Removes `path`, if it is there. */
export async function remove(path) {
  try {
    await fs.unlink(path);
  } catch (cause) {
    if (cause.code === 'ENOENT') return;
    throw cause;
  }
  await syncDirectory(dirname(path));
}

/** Makes `path` and what is missing above it, open to nobody else, whatever the umask. */
export async function makeDirectory(path) {
  if (await isDirectory(path)) return;
  if (dirname(path) !== path) await makeDirectory(dirname(path));
  try {
    await fs.mkdir(path, OWNER_ONLY_DIRECTORY);
  } catch (cause) {
    if (cause.code === 'EEXIST' && (await isDirectory(path))) return;
    throw cause;
  }
  await fs.chmod(path, OWNER_ONLY_DIRECTORY).catch(() => {});
  // A parent that may be entered and not read cannot be synced, and is no reason to keep nothing.
  await syncDirectory(dirname(path)).catch(() => {});
}

async function isDirectory(path) {
  return fs.stat(path).then((status) => status.isDirectory(), () => false);
}

/** Makes sure of the names in a directory, where its file system can. */
export async function syncDirectory(path) {
  const directory = await fs.open(path, O_RDONLY);
  try {
    await directory.sync();
  } catch (cause) {
    if (!['EINVAL', 'ENOTSUP'].includes(cause.code)) throw cause;
  } finally {
    await directory.close();
  }
}

/** Whether two statuses are those of one file, whatever its name. */
export function isSame(one, other) {
  return one !== undefined && one.dev === other.dev && one.ino === other.ino;
}

/** Removes what a crash left behind; failing at that harms nobody. */
export async function sweep(directory) {
  for (const name of await fs.readdir(directory).catch(() => [])) {
    if (name.startsWith(PREFIX) && name.endsWith(SUFFIX)) await removeIfOlder(join(directory, name), LEFT_BEHIND_MS);
  }
}

async function removeIfOlder(path, ms) {
  const status = await fs.lstat(path).catch(() => undefined);
  const isOwn = status?.isFile() && status.uid === geteuid();
  if (isOwn && Date.now() - status.mtimeMs >= ms) await fs.unlink(path).catch(() => {});
}

/** The files of `workspace` on `platform` in `directory`, which the native host names alike. */
export function pathsOf(directory, platform, workspace) {
  const digest = createHash('sha256').update(`${platform}\n${workspace}`).digest('hex').slice(0, 16);
  const named = (end) => join(directory, `.mcp_inbox_${digest}.${end}`);
  return {
    directory,
    // Shared with other programs, which know no other name.
    cursor: join(directory, '.mcp_inbox_cursor'),
    // What the cursor file is named where a process acts for several workspaces; read, and never written.
    formerCursor: join(directory, `.mcp_inbox_cursor_${workspace.slice(0, 8)}`),
    secret: join(directory, '.platform_inbound_secret'),
    journal: named('journal'),
    lock: named('lock'),
    // The fifo through which another process asks for the lock.
    requests: named('requests'),
    // What damaged journals were, the newest first.
    copies: [named('damaged-1'), named('damaged-2')],
  };
}

/** A journal's place in a directory. What is appended goes to the very file that was read or made. */
export class JournalFile {
  #path;
  #copies;
  #status;
  #file;

  constructor({ journal, copies }) {
    [this.#path, this.#copies] = [journal, copies];
  }

  /** Removes copies of damaged journals that are a week old. */
  async removeOldCopies() {
    for (const copy of this.#copies) await removeIfOlder(copy, COPY_KEPT_MS);
  }

  async read(limit) {
    await this.close();
    try {
      const { content, status } = await read(this.#path, limit);
      this.#status = status;
      return content;
    } catch (why) {
      if (why.isAbsent) return undefined;
      throw why;
    }
  }

  async truncate(length) {
    const { file } = await this.#open();
    await file.truncate(length);
  }

  async append(end, content) {
    const { file, size } = await this.#open();
    if (size !== end) throw new Error('another program has changed it');
    await file.appendFile(content);
  }

  async sync() {
    // What was appended is in this file, whatever its path names by now.
    const file = this.#file ?? (await this.#open()).file;
    await file.datasync();
  }

  async replace(content) {
    await this.close();
    this.#status = await replace(this.#path, content);
  }

  async putAside() {
    const [newest, older] = this.#copies;
    const current = await fs.lstat(this.#path).catch(absent);
    if (!current) return;
    const kept = await fs.lstat(newest).catch(absent);
    if (kept && isSame(kept, current)) return;
    if (kept) await fs.rename(newest, older);
    // Not every file system has second names. Then there is no journal for a moment, which costs repeats.
    await fs.link(this.#path, newest).catch(() => fs.rename(this.#path, newest));
    // Its week begins here.
    await fs.lutimes(newest, new Date(), new Date()).catch(() => {});
  }

  /** Lets go of the file. */
  async close() {
    const file = this.#file;
    [this.#file, this.#status] = [undefined, undefined];
    await file?.close();
  }

  /** The file, if its path still names it, and its length. */
  async #open() {
    let named;
    try {
      if (!this.#file) {
        this.#file = await fs.open(this.#path, O_WRONLY | O_APPEND | NO_LINK);
        await this.#file.chmod(OWNER_ONLY).catch(() => {});
        // A process that ended in the middle of replacing it may have left its name unsynced.
        await syncDirectory(dirname(this.#path));
      }
      named = await fs.lstat(this.#path);
    } catch (cause) {
      throw cause.code === 'ENOENT' ? new Error('somebody has removed it') : cause;
    }
    const status = await this.#file.stat();
    if (!isSame(this.#status, status) || !isSame(status, named)) throw new Error('another program has replaced it');
    return { file: this.#file, size: status.size };
  }
}

function absent(cause) {
  if (cause.code === 'ENOENT') return undefined;
  throw cause;
}
