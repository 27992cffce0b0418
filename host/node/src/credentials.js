// The workspace's token: held here, shown to nobody, unknown to the component.

import { geteuid } from 'node:process';

import * as disk from './disk.js';

const LONGEST = 16 << 10;
const FILE_BYTES = 64 << 10;
// What stands where a token was meant to be: a shell would have replaced it, configurations hand it on as it is.
const PLACEHOLDERS = [
  [/\$\{[^}]+\}/, '${NAME}'],
  [/(?<![A-Za-z0-9$_\\])\$[A-Z_][A-Z0-9_]+|^\$[A-Za-z_]/, '$NAME'],
  [/(?<![A-Za-z0-9])%[A-Za-z_][A-Za-z0-9_]{2,}%/, '%NAME%'],
  [/<[A-Za-z][^<>]{0,59}>/, '<…>'],
];

/** A bearer token: 1 to 16,384 visible ASCII characters. Prints as `[token]`. */
export class Token {
  #text;

  /**
   * Throws if `text` could not stand in a header, or cannot be a token. The message follows the name of where it stands,
   * and does not show it.
   */
  constructor(text) {
    text = text.trim();
    if (!text) throw new Error('is empty');
    for (const [pattern, shape] of PLACEHOLDERS) {
      if (pattern.test(text)) {
        throw new Error(`still holds ${shape} in place of the token, and nothing has replaced it: write the token itself`);
      }
    }
    if (/\s/.test(text)) throw new Error('contains internal whitespace, but one token and nothing else is expected');
    if (text.length > LONGEST) throw new Error(`is longer than ${LONGEST} characters, which no token is`);
    if (!/^[!-~]+$/.test(text)) throw new Error('contains a character that is not visible ASCII, which no token does');
    this.#text = text;
  }

  /** The token itself, for the `Authorization` header and nothing else. */
  reveal() {
    return this.#text;
  }

  equals(other) {
    return other !== undefined && this.#text === other.#text;
  }

  toString() {
    return '[token]';
  }

  toJSON() {
    return '[token]';
  }
}

/** The token in use, and its source: the program, or a file that is read again after a 401. */
export class Credentials {
  #file;
  #log;
  // The token of the source that opens nothing any more.
  #givenUp;

  /** Rejects if there is no token. */
  static async from({ token, tokenFile }, log) {
    if ((token === undefined) === (tokenFile === undefined)) {
      throw new TypeError('a runtime needs a token or a tokenFile, and not both');
    }
    const credentials = new Credentials();
    [credentials.#file, credentials.#log] = [tokenFile, log];
    try {
      credentials.token = tokenFile === undefined ? new Token(token) : await credentials.#read();
    } catch (why) {
      throw new TypeError(`${credentials.source} ${why.message}`);
    }
    return credentials;
  }

  /** Where the token came from, as it reads after "the token from". */
  get source() {
    return this.#file ?? 'the program';
  }

  /** Uses `token` from here on, which came from elsewhere: that of the source opens nothing any more. */
  adopt(token) {
    [this.#givenUp, this.token] = [this.token, token];
  }

  /**
   * Looks at the source again, and uses the token that it holds. A file that is gone or no longer holds a token changes
   * nothing.
   */
  async reload() {
    if (this.#file === undefined) return;
    try {
      const token = await this.#read();
      if (!token.equals(this.#givenUp)) this.token = token;
    } catch (why) {
      this.#log.warn(`the token stays as it is, because ${this.#file} ${why.message}`);
    }
  }

  async #read() {
    // Links are followed: mounted secrets are links.
    const file = await disk.read(this.#file, FILE_BYTES, { followLinks: true });
    const { uid, mode } = file.status;
    const shown = (mode & 0o7777).toString(8).padStart(4, '0');
    if (uid !== geteuid()) {
      if (mode & 0o022) throw new Error('belongs to another user and can be changed by others: run chmod 600, or chown, on it');
      this.#log.warn(`token file ${this.#file} belongs to another user`);
    } else if (!disk.isPrivate(file)) {
      this.#log.warn(`token file ${this.#file} is open to other users (mode ${shown}): run chmod 600 ${this.#file}`);
    }
    const text = disk.textOf(file);
    if (text === undefined) throw new Error('is not valid UTF-8');
    return new Token(text);
  }
}
