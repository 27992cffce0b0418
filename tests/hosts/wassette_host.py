"""Calls one function of the plugin in Wassette, by MCP: the directory of the loaded component, NAME, then the arguments as JSON.

Prints the answer as JSON, {"ok": …} or {"err": …}. The policy grants what the environment names.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """A call that is killed takes its server along."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def policy() -> dict:
    """What this call may do; JSON is YAML."""
    state, network = os.environ.get("STATE_ON_HOST"), os.environ.get("NETWORK")
    keys = ["PLATFORM_URL", "WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN", "MOLECULE_STATE_DIR"]
    permissions: dict = {"environment": {"allow": [{"key": key} for key in keys if key in os.environ]}}
    if state:
        permissions["storage"] = {"allow": [{"uri": f"fs://{state}", "access": ["read", "write"]}]}
    if network:
        permissions["network"] = {"allow": [{"host": network}]}
    return {"version": "1.0", "description": "a test", "permissions": permissions}


def main() -> None:
    loaded, name, arguments = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    with tempfile.TemporaryDirectory() as directory:
        own = Path(directory)
        for file in loaded.iterdir():
            if file.is_file():
                shutil.copy(file, own)
        (own / "molecule-plugin.policy.yaml").write_text(json.dumps(policy()))
        command = [*json.loads(os.environ["WASSETTE"]), "run", "--component-dir", directory, "--disable-builtin-tools"]
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        granted = threading.Event()
        threading.Thread(target=watch, args=(server, granted), daemon=True).start()
        try:
            print(json.dumps(call(server, granted, name, arguments)))
        finally:
            server.kill()
            server.wait()


def watch(server: subprocess.Popen, granted: threading.Event) -> None:
    """Hands on what the server says, and notes when the policy holds, which is after the tool is listed."""
    for line in server.stderr:
        sys.stderr.write(line)
        if "Restored policy" in line:
            granted.set()


def call(server: subprocess.Popen, granted: threading.Event, name: str, arguments: list) -> dict:
    def send(**message: object) -> None:
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        server.stdin.flush()

    def answer(id: int) -> dict:
        for line in server.stdout:
            message = json.loads(line)
            if message.get("id") == id:
                return message
        sys.exit("the server has ended")

    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}
    send(id=1, method="initialize", params=client)
    answer(1)
    send(method="notifications/initialized")
    tool = None
    # It answers before it has loaded its components.
    for number in range(2, 2_000):
        send(id=number, method="tools/list", params={})
        tool = next((tool for tool in answer(number)["result"]["tools"] if tool["name"] == name), None)
        if tool:
            break
        time.sleep(0.01)
    if not tool:
        sys.exit(f"there is no tool {name}")
    if tool["description"].startswith("Auto-generated"):
        sys.exit("the tool has no description")
    if not granted.wait(10):
        sys.exit("the policy does not hold")
    names = list(tool["inputSchema"].get("properties", {}))
    ordered = ORDER.get(name, names)
    send(id=1_000_000, method="tools/call", params={"name": name, "arguments": dict(zip(ordered, arguments, strict=True))})
    message = answer(1_000_000)
    if "error" in message:
        return {"err": message["error"]["message"]}
    return json.loads(message["result"]["content"][0]["text"])


# A schema does not say in which order a function takes its parameters.
ORDER = {
    "delegate-task": ["workspace-id", "task"],
    "delegate-task-async": ["workspace-id", "task", "idempotency-key"],
    "inbox-peek": ["limit", "activity-id", "offset", "max-chars"],
    "send-message-to-user": ["message", "attachments"],
}

main()
