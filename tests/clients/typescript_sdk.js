// The TypeScript MCP SDK against the binary.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const own = ["CONFIGS_DIR", "MOLECULE_WORKSPACE_TOKEN", "PLATFORM_URL", "WORKSPACE_ID"];
const echo = process.env.ECHO_PEER_ID;
const snapshot = fileURLToPath(new URL("../all/surface/snapshots/surface__shown__tools.snap", import.meta.url));
const names = [...readFileSync(snapshot, "utf8").matchAll(/^# (\w+) \(/gm)].map((match) => match[1]);
let failures = 0;

/** Prints one line, and what was seen instead if the check does not hold. */
function check(name, holds, seen) {
  console.log(`${holds ? "ok  " : "FAIL"}  typescript: ${name}`);
  if (!holds) {
    failures += 1;
    console.log(`      saw ${JSON.stringify(seen)}`);
  }
}

async function connected(more) {
  const env = Object.fromEntries(own.map((name) => [name, process.env[name]]));
  const transport = new StdioClientTransport({ command: process.env.MOLECULE_MCP, env: { ...env, ...more } });
  const client = new Client({ name: "molecule-clients", version: "1" });
  await client.connect(transport);
  return client;
}

const text = (result) => result.content.map((block) => block.text).join("");
const call = (client, name, args = {}, options) =>
  client.callTool({ name, arguments: args }, undefined, options);

async function session() {
  const client = await connected();
  check("knows the server", client.getServerVersion().name === "molecule", client.getServerVersion());
  check("reads instructions", client.getInstructions()?.includes("inbox_pop"), client.getInstructions());
  check("pings", Object.keys(await client.ping()).length === 0);

  const { tools } = await client.listTools();
  const listed = tools.map((tool) => tool.name);
  check("lists all tools", listed.join() === names.join(), listed);

  const peers = await call(client, "list_peers", {}, { onprogress: () => {} });
  check("calls a tool with a progress token", text(peers).includes(echo) && !peers.isError, peers);
  check("sees text alone", peers.structuredContent === undefined, peers);
  const said = await call(client, "delegate_task", { workspace_id: echo, task: "Hear me" });
  check("delegates", text(said).includes("You said: Hear me"), said);
  const failed = await call(client, "send_message_to_user", {});
  check("sees that a tool failed", failed.isError && text(failed).includes("message"), failed);
  const unknown = await client.callTool({ name: "no_such_tool" }).catch((error) => error);
  check("hears that there is no such tool", unknown instanceof Error || unknown.isError, unknown);

  const patience = new AbortController();
  const wait = call(client, "wait_for_message", { timeout_secs: 300 }, { signal: patience.signal });
  const aborted = wait.then(() => "answered", () => "aborted");
  const meanwhile = await call(client, "inbox_peek");
  check("calls beside a wait", JSON.parse(text(meanwhile)).messages.length === 0, meanwhile);
  patience.abort("enough");
  check("aborts a wait", (await aborted) === "aborted", await aborted);
  check("goes on after that", !(await call(client, "inbox_peek")).isError);

  const start = Date.now();
  await client.close();
  // The SDK sends SIGTERM after 2 s to a server that does not end with its input.
  check("closes without a signal", Date.now() - start < 2000, Date.now() - start);
}

async function structured() {
  const client = await connected({ MOLECULE_MCP_STRUCTURED: "1" });
  const { tools } = await client.listTools();
  check("every tool has an output schema", tools.every((tool) => tool.outputSchema), tools);
  for (const name of ["list_peers", "inbox_peek", "get_workspace_info"]) {
    // The SDK itself holds the content against the schema.
    const result = await call(client, name);
    check(`${name} is structured`, typeof result.structuredContent === "object", result);
  }
  await client.close();
}

for (const part of [session, structured]) {
  await part().catch((error) => check(`${part.name} ends well`, false, String(error)));
}
process.exit(failures === 0 ? 0 : 1);
