"""The Python MCP SDK against the binary, in both eras of the protocol."""

import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import TextContent

INBOX = {"inbox_peek", "inbox_pop", "wait_for_message"}
SNAPSHOT = Path(__file__).parents[1] / "all/surface/snapshots/surface__shown__tools.snap"
# Each tool with its marks, as the snapshot of the component has them.
TOOLS = dict(re.findall(r"^# (\w+) \(.*?^marks: (.*?)$", SNAPSHOT.read_text(), re.DOTALL | re.MULTILINE))
ERAS = [("legacy", "2025-11-25"), ("auto", "2026-07-28")]
failures = 0


def check(name: str, holds: bool, seen: object = "") -> None:
    """Prints one line, and what was seen instead if the check does not hold."""
    global failures
    print(f"{'ok  ' if holds else 'FAIL'}  python {name}", flush=True)
    if not holds:
        failures += 1
        print(f"      saw {seen!r}", flush=True)


def server(**more: str) -> StdioServerParameters:
    names = ["CONFIGS_DIR", "MOLECULE_WORKSPACE_TOKEN", "PLATFORM_URL", "WORKSPACE_ID"]
    environment = {name: os.environ[name] for name in names}
    return StdioServerParameters(command=os.environ["MOLECULE_MCP"], env=environment | more)


def text(result: Any) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


def user_says(words: str) -> str:
    """A person writes on the canvas; the id of the message."""
    request = urllib.request.Request(
        os.environ["PLATFORM_URL"] + "/_test/user-message",
        data=json.dumps({"workspace_id": os.environ["WORKSPACE_ID"], "text": words}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["id"]


async def session(mode: str, version: str) -> None:
    notes: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        notes.append(done)

    async with Client(server(), mode=mode) as client:
        check(f"{version}: connects", client.protocol_version == version, client.protocol_version)
        check(f"{version}: knows the server", client.server_info.name == "molecule", client.server_info)
        check(f"{version}: reads instructions", "inbox_pop" in (client.instructions or ""), client.instructions)

        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        check(f"{version}: lists all tools", set(tools) == set(TOOLS), sorted(tools))
        reads = sorted(name for name, tool in tools.items() if tool.annotations.read_only_hint)
        expected = sorted(name for name, marks in TOOLS.items() if "read-only" in marks)
        check(f"{version}: knows what only reads", reads == expected, reads)

        peers = await client.call_tool("list_peers", progress_callback=progress)
        check(f"{version}: calls a tool", os.environ["ECHO_PEER_ID"] in text(peers) and not peers.is_error, peers)
        check(f"{version}: sees text alone", peers.structured_content is None, peers)
        reply = await client.call_tool(
            "delegate_task", {"workspace_id": os.environ["ECHO_PEER_ID"], "task": "Hear me"}
        )
        check(f"{version}: delegates", "You said: Hear me" in text(reply), reply)
        failed = await client.call_tool("delegate_task", {"workspace_id": "../x", "task": "no"})
        check(f"{version}: sees that a tool failed", failed.is_error and bool(text(failed)), failed)

        with anyio.move_on_after(0.2) as patience:
            await client.call_tool("wait_for_message", {"timeout_secs": 300})
        peek = await client.call_tool("inbox_peek")
        check(f"{version}: cancels a wait and goes on", patience.cancelled_caught and json.loads(text(peek))["messages"] == [], peek)

        said = user_says(f"Hello in {version}")
        message = await client.call_tool("wait_for_message", {"timeout_secs": 30}, progress_callback=progress)
        check(f"{version}: waits for a message", said in text(message), message)
        popped = await client.call_tool("inbox_pop", {"activity_id": said})
        check(f"{version}: forgets it", json.loads(text(popped))["removed"] is True, popped)

        if mode == "legacy":
            await client.send_ping()
            check(f"{version}: pings", True)
        else:
            async with client.listen(tools_list_changed=True):
                again = await client.call_tool("list_peers")
                check(f"{version}: listens beside calls", not again.is_error, again)


async def structured(mode: str, version: str) -> None:
    async with Client(server(MOLECULE_MCP_STRUCTURED="1"), mode=mode) as client:
        tools = (await client.list_tools()).tools
        plain = [tool.name for tool in tools if tool.output_schema is None]
        check(f"{version}: every tool has an output schema", not plain, plain)
        # The SDK itself holds the content against the schema.
        for tool in ["list_peers", "inbox_peek", "get_workspace_info"]:
            result = await client.call_tool(tool)
            check(f"{version}: {tool} is structured", isinstance(result.structured_content, dict), result)


async def main() -> None:
    for mode, version in ERAS:
        for part in [session, structured]:
            try:
                await part(mode, version)
            except* (MCPError, Exception) as errors:
                check(f"{version}: {part.__name__} ends well", False, errors.exceptions)


anyio.run(main)
sys.exit(0 if failures == 0 else 1)
