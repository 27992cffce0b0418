"""The components that serve MCP themselves, in wasmtime: `program` over stdio, `serve` over HTTP."""

import json
import os
import queue
import re
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from common import COMPONENTS, TOKEN, Grants, check, compiled, echo, said, user_says, wasmtime_options

STATELESS = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}
SNAPSHOT = Path(__file__).parents[1] / "all/surface/snapshots/surface__shown__tools.snap"
TOOLS = re.findall(r"^# (\w+) \(", SNAPSHOT.read_text(), re.MULTILINE)


class Stdio:
    """A client of the program: requests by number, answers in any order."""

    def __init__(self, grants: Grants) -> None:
        command = [os.environ["WASMTIME"], "run", "--allow-precompiled", *wasmtime_options(grants)]
        command.append(str(compiled("molecule-program")))
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
        )
        self.answers: dict[object, queue.Queue] = {None: queue.Queue()}
        self.count = 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            said.append(line)
            message = json.loads(line)
            self.answers.setdefault(message["id"], queue.Queue()).put(message)

    def begin(self, method: str, **params: object) -> int:
        self.count += 1
        self.answers[self.count] = queue.Queue()
        self.send({"jsonrpc": "2.0", "id": self.count, "method": method, "params": params})
        return self.count

    def send(self, message: dict) -> None:
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def end(self, number: int, timeout: float = 60) -> dict:
        return self.answers[number].get(timeout=timeout)

    def ask(self, method: str, **params: object) -> dict:
        return self.end(self.begin(method, **params))

    def call(self, name: str, **arguments: object) -> str:
        return text(self.ask("tools/call", name=name, arguments=arguments))


def text(message: dict) -> str:
    return "".join(block["text"] for block in message["result"]["content"])


def program() -> None:
    with tempfile.TemporaryDirectory() as directory:
        client = Stdio(Grants(Path(directory)))
        hello = client.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "t", "version": "1"})
        check("program: shakes hands", hello["result"]["protocolVersion"] == "2025-06-18", hello)
        client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        listed = [tool["name"] for tool in client.ask("tools/list", **STATELESS)["result"]["tools"]]
        check("program: lists the tools of the native program", listed == TOOLS, listed)
        check("program: calls a tool", echo() in client.call("list_peers"))
        check("program: delegates", "You said: Hear me" in client.call("delegate_task", workspace_id=echo(), task="Hear me"))

        wait = client.begin("tools/call", name="wait_for_message", arguments={"timeout_secs": 60})
        begun = time.monotonic()
        beside = json.loads(client.call("inbox_peek"))
        check("program: peeks beside a wait", beside["messages"] == [] and time.monotonic() - begun < 3, beside)
        id = user_says("to the program")
        message = json.loads(text(client.end(wait)))
        check("program: a message ends the wait", message["activity_id"] == id, message)
        popped = json.loads(client.call("inbox_pop", activity_id=id))
        check("program: pops for good", popped["removed"] is True and "durable" not in popped, popped)

        given_up = client.begin("tools/call", name="wait_for_message", arguments={"timeout_secs": 60})
        client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": given_up}})
        check("program: goes on after a wait was cancelled", json.loads(client.call("inbox_peek"))["messages"] == [])
        client.process.stdin.write("{\n")
        client.process.stdin.flush()
        check("program: answers what it cannot read", client.end(None, 5)["error"]["code"] == -32700)
        check("program: is online", "online" in client.call("get_workspace_info"))

        kept = user_says("kept over a kill")
        shown = json.loads(client.call("wait_for_message", timeout_secs=30))
        client.process.kill()
        client.process.wait()
        again = Stdio(Grants(Path(directory)))
        begun = time.monotonic()
        message = json.loads(again.call("wait_for_message", timeout_secs=60))
        check("program: a message outlives a kill, and says that it was shown", shown["activity_id"] == kept == message.get("activity_id") and message["redelivered"], message)
        check("program: a killed one holds up the next for at most 20 s", time.monotonic() - begun < 20, time.monotonic() - begun)
        again.call("inbox_pop", activity_id=kept)
        begun = time.monotonic()
        again.process.stdin.close()
        code = again.process.wait(timeout=10)
        check("program: ends with its input", code == 0 and time.monotonic() - begun < 5, (code, time.monotonic() - begun))
        said.append(again.process.stderr.read())
        left = [file.name for file in Path(directory).iterdir() if "lock" in file.name]
        check("program: leaves no lock", left == [], left)
    refused = subprocess.run(
        [os.environ["WASMTIME"], "run", "--allow-precompiled", "-S", "http", str(compiled("molecule-program"))],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]}, check=False,
    )
    check("program: without settings it says so", refused.returncode != 0 and "PLATFORM_URL is not set" in refused.stderr, refused)


def serve() -> None:
    bearer = "a-bearer-of-its-own-0123456789"
    with tempfile.TemporaryDirectory() as directory:
        grants = Grants(Path(directory), environment={"MOLECULE_SERVE_TOKEN": bearer})
        command = [os.environ["WASMTIME"], "serve", "--allow-precompiled", "-S", "cli", "--addr", "127.0.0.1:0", *wasmtime_options(grants)]
        server = subprocess.Popen(
            [*command, str(compiled("molecule-serve"))], stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
        )
        try:
            line = server.stderr.readline()
            address = re.search(r"http://[\d.:]+", line).group(0)
            threading.Thread(target=lambda: said.extend(server.stderr), daemon=True).start()
            requests(address, bearer)
        finally:
            server.kill()
            server.wait()


def requests(address: str, bearer: str) -> None:
    def post(body: object, path: str = "/mcp", **headers: str) -> tuple[int, dict]:
        given = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"} | headers
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(address + path, data=data, headers=given)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                content = answer.read()
                said.append(content.decode())
                return answer.status, json.loads(content or b"{}")
        except urllib.error.HTTPError as refused:
            return refused.code, {"error": refused.read().decode()}

    def call(name: str, **arguments: object) -> str:
        params = {"name": name, "arguments": arguments} | STATELESS
        return text(post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})[1])

    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": STATELESS}
    status, listed = post(listing)
    check("serve: lists the tools of the native program", status == 200 and [tool["name"] for tool in listed["result"]["tools"]] == TOOLS, listed)
    check("serve: says how long that holds", listed["result"]["ttlMs"] > 0 and listed["result"]["resultType"] == "complete")
    check("serve: calls a tool", echo() in call("list_peers"))
    # A directory that was never used begins with the messages of the last ten minutes.
    for message in json.loads(call("inbox_peek", limit=50))["messages"]:
        call("inbox_pop", activity_id=message["activity_id"])
    id = user_says("over HTTP")
    message = json.loads(call("wait_for_message", timeout_secs=30))
    check("serve: waits for a message", message["activity_id"] == id, message)
    popped = json.loads(call("inbox_pop", activity_id=id))
    check("serve: pops for good", popped["removed"] is True and "durable" not in popped, popped)
    check("serve: what is popped stays away", json.loads(call("inbox_peek"))["messages"] == [])
    for name, expected, headers in [
        ("without the bearer", 401, {"Authorization": "Bearer wrong-wrong-wrong"}),
        ("for a foreign page", 403, {"Origin": "https://evil.example"}),
        ("under a foreign name", 421, {"Host": "evil.example"}),
        ("for another type", 415, {"Content-Type": "text/plain"}),
    ]:
        status, _ = post(listing, **headers)
        check(f"serve: nothing {name}", status == expected, status)
    check("serve: nothing elsewhere", post(listing, path="/")[0] == 404)
    check("serve: nothing too large", post(b" " * (5 << 20))[0] in (400, 413))
    check("serve: a notification is taken", post({"jsonrpc": "2.0", "method": "notifications/initialized"})[0] == 202)


def everything() -> None:
    program()
    serve()
    check("program and serve: no output has the token", TOKEN not in "".join(said) and len(said) > 0)
