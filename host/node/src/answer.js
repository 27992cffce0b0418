// Reads an answer within its limits.

import { oneLine } from './log.js';

// All header names and values of an answer together.
const HEAD_BYTES = 64 << 10;
// Enough to say what went wrong; whatever answers an error with more is not the platform.
const ERROR_BODY_BYTES = 16 << 10;
// The platform says 0 in the last second of its window.
const [RETRY_AT_LEAST_MS, RETRY_AT_MOST_MS] = [1_000, 300_000];
const ADDRESS_CHARS = 200;

/**
 * Reads `response`, of which at most `bodyBytes` are wanted: `responded` or `overflowed`. Rejects if it is not worth
 * reading, or breaks off.
 */
export async function readAnswer(response, bodyBytes, platform) {
  const why = objection(response);
  if (why) throw new Error(why);
  const status = response.statusCode;
  const { location } = response.headers;
  if (status >= 300 && status < 400 && location !== undefined) {
    response.resume();
    const body = new TextEncoder().encode(redirect(platform, location));
    return { tag: 'responded', val: { ...headOf(response), json: false, body } };
  }
  const isError = status < 200 || status >= 300;
  const limit = isError ? Math.min(bodyBytes, ERROR_BODY_BYTES) : bodyBytes;
  if (!isError && Number(response.headers['content-length'] ?? 0) > limit) return { tag: 'overflowed' };
  const chunks = [];
  let length = 0;
  try {
    for await (const chunk of response) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > limit) break;
    }
  } catch (cause) {
    throw new Error(`the answer broke off: ${cause.message}`);
  }
  if (length > limit && !isError) return { tag: 'overflowed' };
  const body = new Uint8Array(Buffer.concat(chunks).subarray(0, limit));
  return { tag: 'responded', val: { ...headOf(response), body } };
}

function objection({ statusCode, headers, rawHeaders }) {
  if (statusCode < 200 || statusCode >= 600) return `the answer has the status ${statusCode}`;
  if (rawHeaders.reduce((bytes, text) => bytes + text.length, 0) > HEAD_BYTES) return 'the head of the answer is too large';
  if ('content-length' in headers && 'transfer-encoding' in headers) return 'the answer has two lengths';
  // Nothing was asked to compress it, and expanding it could fill the memory.
  const encoding = (headers['content-encoding'] ?? '').trim().toLowerCase();
  return ['', 'identity'].includes(encoding) ? undefined : 'the answer is compressed, which was not asked for';
}

function headOf({ statusCode, headers }) {
  const serverTime = headers.date === undefined ? NaN : Date.parse(headers.date);
  return {
    status: statusCode,
    json: isJson(headers['content-type']),
    retryAfterMs: retryAfterMs(headers['retry-after'], serverTime),
    serverTimeMs: Number.isNaN(serverTime) ? undefined : BigInt(serverTime),
  };
}

/** Whether a content type is JSON's. */
export function isJson(kind = '') {
  const essence = kind.split(';')[0].trim().toLowerCase();
  return essence === 'application/json' || (essence.includes('/') && essence.endsWith('+json'));
}

/** `Retry-After` in seconds or as a date, cut to what is sensible; undefined if it is neither. */
export function retryAfterMs(text = '', serverTime = NaN) {
  const value = text.trim();
  let asked;
  if (/^[0-9]+$/.test(value)) asked = Number(value) * 1_000;
  else if (/^[A-Za-z]{3,}, /.test(value)) asked = Date.parse(value) - (Number.isNaN(serverTime) ? Date.now() : serverTime);
  if (asked === undefined || Number.isNaN(asked)) return undefined;
  return BigInt(Math.max(RETRY_AT_LEAST_MS, Math.min(RETRY_AT_MOST_MS, asked)));
}

/** Where a redirect leads, as a sentence. No user, password, query or fragment. */
function redirect(platform, location) {
  let shown = 'something that is no address';
  try {
    const leads = new URL(location, platform);
    shown = `${leads.protocol}//${leads.host}${leads.pathname}`.slice(0, ADDRESS_CHARS);
  } catch {
    // It is said as it is.
  }
  return `redirected to ${oneLine(shown)}, which is not followed: the platform's address has to name the one that answers by itself`;
}
