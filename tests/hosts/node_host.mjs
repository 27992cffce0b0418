// Calls one function of the plugin, made into an ES module by jco: DIRECTORY, NAME, then the arguments as JSON.
// Prints the answer as JSON, {"ok": …} or {"err": …}.

import { pathToFileURL } from "node:url";

import { _setEnv } from "@bytecodealliance/preview2-shim/cli";
import { _setPreopens } from "@bytecodealliance/preview2-shim/filesystem";

const [, , directory, name, json] = process.argv;
const granted = ["PLATFORM_URL", "WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN", "MOLECULE_STATE_DIR"];
_setEnv(Object.fromEntries(granted.filter((name) => name in process.env).map((name) => [name, process.env[name]])));
_setPreopens(process.env.STATE_ON_HOST ? { "/state": process.env.STATE_ON_HOST } : {});

const plugin = await import(pathToFileURL(`${directory}/plugin.js`));
const camel = name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
try {
  console.log(JSON.stringify({ ok: plugin[camel](...JSON.parse(json)) }));
} catch (error) {
  if (error.payload === undefined) throw error;
  console.log(JSON.stringify({ err: error.payload }));
}
