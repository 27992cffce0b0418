// Makes a module of JavaScript of the component.
//
//     packages.mjs COMPONENT DIRECTORY

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { transpile } from '@bytecodealliance/jco-transpile';

const [component, directory] = process.argv.slice(2);
const { files } = await transpile(component, {
  outDir: directory,
  name: 'component',
  instantiation: 'sync',
  nodejsCompat: false,
  wasiShim: false,
  minify: true,
});
rmSync(directory, { recursive: true, force: true });
for (const [path, content] of Object.entries(files)) {
  if (path.endsWith('.d.ts')) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}
