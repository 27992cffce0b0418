// An agent that does what it is told, a JSON object a line, for `scenarios.py`: see there.

import { createInterface } from 'node:readline';

import { Closed, GuestDown, createRuntime } from 'molecule-runtime';

const { PLATFORM_URL, WORKSPACE_ID, TOKEN_FILE, STATE_DIR } = process.env;

function say(said) {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

async function does(runtime, messages, asked, signal) {
  switch (asked.do) {
    case 'call': {
      const { texts, isError } = await runtime.callTool(asked.tool, asked.arguments, { signal });
      return { text: texts, is_error: isError };
    }
    case 'next': {
      const { activityId, kind, peerId, text } = (await messages.next()).value;
      return { message: { activity_id: activityId, kind, peer_id: peerId, text } };
    }
    case 'tools':
      return { tools: runtime.tools().map((tool) => [tool.name, tool.title, tool.description, tool.inputSchema]) };
    case 'refusal':
      return { refusal: runtime.refusal ?? null };
    default:
      return { unknown: asked.do };
  }
}

async function answer(runtime, messages, asked, signal) {
  try {
    say({ id: asked.id, ...(await does(runtime, messages, asked, signal)) });
  } catch (cause) {
    if (signal.aborted) say({ id: asked.id, cancelled: true });
    else if (cause instanceof Closed) say({ id: asked.id, closed: true });
    else if (cause instanceof GuestDown) say({ id: asked.id, down: cause.message });
    else throw cause;
  }
}

const runtime = await createRuntime({
  platform: PLATFORM_URL,
  workspace: WORKSPACE_ID,
  tokenFile: TOKEN_FILE,
  stateDir: STATE_DIR,
  log: { info: (text) => console.error(text) },
});
const messages = runtime.messages();
const underWay = new Map();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  if (asked.do === 'close') break;
  if (asked.do === 'cancel') {
    underWay.get(asked.call).abort();
  } else {
    const call = new AbortController();
    underWay.set(asked.id, call);
    answer(runtime, messages, asked, call.signal);
  }
}
await runtime.close();
say({ ended: true });
