"""An agent that does what it is told, a JSON object a line, for `scenarios.py`: see there."""

import asyncio
import json
import logging
import os
import sys

from molecule_runtime import AsyncRuntime, Closed, GuestDown


def say(said):
    print(json.dumps(said), flush=True)


async def do(runtime, messages, asked):
    match asked["do"]:
        case "call":
            answer = await runtime.call_tool(asked["tool"], asked.get("arguments"))
            return {"text": answer.texts, "is_error": answer.is_error}
        case "next":
            message = await anext(messages)
            return {"message": {name: getattr(message, name) for name in ("activity_id", "kind", "peer_id", "text")}}
        case "tools":
            tools = runtime.tools()
            return {"tools": [[tool.name, tool.title, tool.description, tool.input_schema] for tool in tools]}
        case "refusal":
            return {"refusal": runtime.refusal}


async def answer(runtime, messages, asked):
    try:
        said = await do(runtime, messages, asked)
    except asyncio.CancelledError:
        said = {"cancelled": True}
    except Closed:
        said = {"closed": True}
    except GuestDown as down:
        said = {"down": str(down)}
    say({"id": asked["id"], **said})


async def main():
    environment = os.environ
    runtime = AsyncRuntime(
        environment["PLATFORM_URL"],
        environment["WORKSPACE_ID"],
        token_file=environment["TOKEN_FILE"],
        state_dir=environment["STATE_DIR"],
    )
    loop, under_way = asyncio.get_running_loop(), {}
    async with runtime:
        messages = runtime.messages()
        say({"ready": True})
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            if asked["do"] == "close":
                break
            if asked["do"] == "cancel":
                under_way[asked["call"]].cancel()
            else:
                under_way[asked["id"]] = asyncio.create_task(answer(runtime, messages, asked))
    say({"ended": True})


logging.basicConfig(level=logging.INFO, stream=sys.stderr)
asyncio.run(main())
