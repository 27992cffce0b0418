// The address of the platform, written as every host of the component writes it.

import { BlockList, isIP } from 'node:net';

const NEAR = new BlockList();
for (const [network, bits] of [['127.0.0.0', 8], ['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['169.254.0.0', 16], ['0.0.0.0', 32]]) {
  NEAR.addSubnet(network, bits, 'ipv4');
}
for (const [network, bits] of [['::1', 128], ['::', 128], ['fc00::', 7], ['fe80::', 10]]) NEAR.addSubnet(network, bits, 'ipv6');

/** The URL of a platform. Throws a `TypeError` if `text` is no http or https address without user, query and fragment. */
export function parsePlatform(text) {
  const wrong = new TypeError(`the platform ${JSON.stringify(text)} is no http or https address`);
  let url;
  try {
    url = new URL(String(text).trim().replace(/\/+$/, ''));
  } catch {
    throw wrong;
  }
  const isBare = !url.username && !url.password && !url.search && !url.hash && !/[?#]/.test(text);
  if (!['http:', 'https:'].includes(url.protocol) || !url.hostname || !isBare) throw wrong;
  return url;
}

/** As it stands in the names of files, and in what the component is told. */
export function written(platform) {
  return platform.href.replace(/\/+$/, '');
}

/** Whether it is on this machine or a private network, so that a token may travel without encryption. */
export function isNear({ hostname }) {
  const host = hostname.replace(/^\[|\]$/g, '');
  const version = isIP(host);
  if (version) return NEAR.check(host, version === 6 ? 'ipv6' : 'ipv4');
  return !host.includes('.') || host.endsWith('.localhost');
}

/** What a request names. Throws for segments that lead elsewhere. */
export function target(platform, path, query) {
  for (const segment of path) {
    if (['', '.', '..'].includes(segment)) throw new Error(`a part of the address is \`${segment}\`, which names nothing`);
  }
  const base = platform.pathname.replace(/\/+$/, '');
  const segments = path.map((segment) => `/${encodeURIComponent(segment).replace(/[!'()*]/g, encoded)}`).join('');
  const parameters = new URLSearchParams(query).toString();
  return base + segments + (parameters && `?${parameters}`);
}

function encoded(letter) {
  return `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
}
