// Requests against a server that says what it is told, byte for byte.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { isNear, parsePlatform, written } from '../src/address.js';
import { Credentials, Token } from '../src/credentials.js';
import { Http } from '../src/http.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}';
const log = { error() {}, warn() {}, info() {} };

/** Answers one request after the other with what is next: bytes, a function that says them, or `null` to hang up. */
async function serve(t, ...answers) {
  const requests = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const [head, body = ''] = data.toString().split('\r\n\r\n');
      requests.push({ head, body, line: head.split('\r\n')[0] });
      const answer = answers.shift();
      if (answer === null || answer === undefined) return socket.destroy();
      const said = typeof answer === 'function' ? answer(socket) : answer;
      if (said === undefined) return undefined;
      socket.write(said);
      if (!said.includes('Content-Length') || said.includes('broken')) socket.end();
      return undefined;
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => server.close());
  return { requests, url: `http://127.0.0.1:${server.address().port}` };
}

function request(more = {}) {
  const limits = { firstByteMs: 1_000, totalMs: 3_000, bodyBytes: 1_000, ...more.limits };
  return { workspace: 0, method: 'get', path: ['health'], query: [], identify: false, body: undefined, ...more, limits };
}

async function client(t, url, source = { token: 'tok-1' }) {
  const credentials = await Credentials.from(source, log);
  const http = new Http({ platform: parsePlatform(url), workspace: 'w-1', credentials, log });
  t.after(() => http.close());
  return http;
}

async function ask(t, answer, more) {
  const { url } = await serve(t, answer);
  return (await client(t, url)).send(request(more));
}

test('a request says who asks and nothing else', async (t) => {
  const { requests, url } = await serve(t, OK);
  const http = await client(t, `${url}/api/`);
  const body = new TextEncoder().encode('{"x":1}');
  const asked = { method: 'post', path: ['a/b?c', 'é \n', "!'()*"], query: [['q', 'a&b=c d']], identify: true, body };
  const { tag, val } = await http.send(request(asked));

  assert.deepEqual([tag, val.status, val.json], ['responded', 200, true]);
  const [{ line, head, body: sent }] = requests;
  assert.equal(line, 'POST /api/a%2Fb%3Fc/%C3%A9%20%0A/%21%27%28%29%2A?q=a%26b%3Dc+d HTTP/1.1');
  assert.equal(sent, '{"x":1}');
  for (const header of ['Authorization: Bearer tok-1', `Origin: ${url}`, 'X-Workspace-Id: w-1', 'Accept-Encoding: identity']) {
    assert.ok(head.includes(`\r\n${header}`), head);
  }
});

test('segments that lead elsewhere are refused', async (t) => {
  const http = await client(t, 'http://127.0.0.1:1');
  for (const segment of ['', '.', '..']) assert.equal((await http.send(request({ path: ['a', segment] }))).tag, 'refused');
});

test('a get that is cut off is repeated once and a post never', async (t) => {
  assert.equal((await (await client(t, (await serve(t, null, OK)).url)).send(request())).val.status, 200);
  const { requests, url } = await serve(t, null, OK);
  const { tag, val } = await (await client(t, url)).send(request({ method: 'post', body: new Uint8Array([123, 125]) }));
  assert.deepEqual([tag, val.maybeSent, requests.length], ['unreachable', true, 1]);
});

test('a rotated token is used after a 401', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'token-'));
  t.after(() => rmSync(place, { recursive: true }));
  const tokenFile = join(place, 'token');
  writeFileSync(tokenFile, 'first-token\n', { mode: 0o600 });
  const rotate = () => {
    writeFileSync(tokenFile, 'second-token');
    return 'HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}';
  };
  const { requests, url } = await serve(t, rotate, OK, OK);
  const http = await client(t, url, { tokenFile });
  assert.equal((await http.send(request())).val.status, 200);
  assert.equal((await http.send(request())).val.status, 200);
  const said = requests.map(({ head }) => /Bearer (\S+)/.exec(head)[1]);
  assert.deepEqual(said, ['first-token', 'second-token', 'second-token']);
});

test('a redirect is told and not followed', async (t) => {
  const location = 'https://user:canary@sso.example/x?next=canary#canary';
  const { val } = await ask(t, `HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
  const said = new TextDecoder().decode(val.body);
  assert.equal(val.status, 302);
  assert.match(said, /^redirected to https:\/\/sso\.example\/x, which is not followed/);
  assert.doesNotMatch(said, /canary/);
});

test('more than was wanted is not kept', async (t) => {
  const x = (count) => 'x'.repeat(count);
  assert.equal((await ask(t, `HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n${x(1_001)}`)).tag, 'overflowed');
  assert.equal((await ask(t, `HTTP/1.1 200 OK\r\n\r\n${x(1_001)}`)).tag, 'overflowed');
  assert.equal((await ask(t, `HTTP/1.1 200 OK\r\n\r\n${x(1_000)}`)).val.body.length, 1_000);
  const error = await ask(t, `HTTP/1.1 500 No\r\nContent-Length: 20000\r\n\r\n${x(20_000)}`, { limits: { bodyBytes: 1 << 20 } });
  assert.deepEqual([error.tag, error.val.body.length], ['responded', 16 << 10]);
});

test('an answer that breaks off is none', async (t) => {
  for (const answer of [
    'HTTP/1.1 200 OK\r\nX: broken\r\nContent-Length: 10\r\n\r\nhalf',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal',
  ]) {
    const { tag, val } = await ask(t, answer);
    assert.deepEqual([tag, val.maybeSent], ['unreachable', true], answer);
  }
});

test('a compressed answer is refused', async (t) => {
  const { tag, val } = await ask(t, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}');
  assert.equal(tag, 'unreachable');
  assert.match(val.reason, /compressed/);
});

test('how long to wait is cut to what is sensible', async (t) => {
  for (const [value, expected] of [
    ['5', 5_000n], ['0', 1_000n], ['99999999999999999999', 300_000n], ['-1', undefined], ['soon', undefined],
    ['Sun, 06 Nov 1994 08:50:07 GMT', 30_000n], ['Sun, 06 Nov 1994 08:00:00 GMT', 1_000n],
  ]) {
    const head = `HTTP/1.1 429 Slow\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: ${value}\r\nContent-Length: 0\r\n\r\n`;
    assert.equal((await ask(t, head)).val.retryAfterMs, expected, value);
  }
});

test('a platform that drips is given up in time', async (t) => {
  const drip = (socket) => {
    const timer = setInterval(() => socket.write('H'), 50);
    socket.on('close', () => clearInterval(timer));
  };
  const begun = performance.now();
  const { tag, val } = await ask(t, drip, { limits: { totalMs: 300 } });
  assert.equal(tag, 'unreachable');
  assert.equal(val.maybeSent, true);
  assert.ok(performance.now() - begun < 1_500);
});

test('nobody listens and nothing was sent', async (t) => {
  const { url } = await new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const found = `http://127.0.0.1:${server.address().port}`;
      server.close(() => resolve({ url: found }));
    });
  });
  const { val } = await (await client(t, url)).send(request({ method: 'post', body: new Uint8Array([1]) }));
  assert.equal(val.maybeSent, false);
  assert.match(val.reason, /nobody listens at 127\.0\.0\.1:/);
});

test('a port without tls is told and gets no token', async (t) => {
  const { requests, url } = await serve(t, 'HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n');
  const { tag, val } = await (await client(t, url.replace('http:', 'https:'))).send(request());
  assert.deepEqual([tag, val.maybeSent], ['unreachable', false]);
  assert.match(val.reason, /no secure connection/);
  assert.ok(requests.every(({ head }) => !head.includes('tok-1')));
});

test('an abort ends the exchange with its reason', async (t) => {
  const { url } = await serve(t, () => undefined);
  const http = await client(t, url);
  const reason = new Error('given up');
  const abort = new AbortController();
  const sent = http.send(request(), abort.signal);
  setTimeout(() => abort.abort(reason), 20);
  await assert.rejects(sent, reason);
});

test('one platform has one address', () => {
  for (const [text, expected] of [
    ['https://ACME.example.com:443/', 'https://acme.example.com'],
    ['http://h.example:80/api/', 'http://h.example/api'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
  ]) {
    assert.equal(written(parsePlatform(text)), expected);
  }
  for (const text of ['acme.example', 'ftp://h', 'https://user:pw@h', 'https://h?q', 'https://h#f', 'https://', 'https://h:x', '']) {
    assert.throws(() => parsePlatform(text), TypeError, text);
  }
});

test('a token travels without encryption only to what is near', () => {
  const near = ['http://localhost:1', 'http://10.0.0.1', 'http://[::1]', 'http://platform', 'http://a.localhost'];
  for (const url of near) assert.ok(isNear(parsePlatform(url)), url);
  for (const url of ['http://acme.example', 'http://8.8.8.8']) assert.ok(!isNear(parsePlatform(url)), url);
});

test('a token is one word of visible ascii', () => {
  assert.equal(new Token(' tok-1\r\n').reveal(), 'tok-1');
  for (const text of ['', ' \t\n', 'two words', 'tök', 'a\0b', '${TOKEN}', '$TOKEN', '%TOKEN%', '<your token>', 't'.repeat(16_385)]) {
    assert.throws(() => new Token(text), Error, text);
  }
});
