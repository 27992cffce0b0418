"""The stand-in of the platform, and what people do on it."""

import json
import os
import subprocess
import time
import urllib.request


class Platform:
    """The stand-in, with a workspace of its own for each client."""

    def __init__(self, directory: str) -> None:
        self.process = subprocess.Popen([f"{directory}/standin"], stdout=subprocess.PIPE, text=True)
        self.environment = {}
        while "MOLECULE_WORKSPACE_TOKEN" not in self.environment:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("the stand-in does not start")
            name, _, value = line.removeprefix("export ").strip().partition("=")
            self.environment[name] = value
        self.url, self.workspace = self.environment["PLATFORM_URL"], self.environment["WORKSPACE_ID"]

    def hook(self, name: str, fields: dict | None = None):
        data = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(f"{self.url}/_test/{name}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def user_says(self, text: str) -> float:
        """A person writes; when that was on the platform."""
        self.hook("user-message", {"workspace_id": self.workspace, "text": text})
        return time.time()

    def answers(self) -> str:
        """Everything that the agent has said to the user."""
        return json.dumps(self.hook("notifies"))

    def is_answered(self, text: str, seconds: float = 20) -> bool:
        return self.until(lambda: f"answer to {text}" in self.answers(), seconds)

    def is_online(self, seconds: float = 30) -> bool:
        """Whether the server of the client has come, and listens to events."""
        return self.until(lambda: "events/stream" in json.dumps(self.hook("requests?since=0")), seconds)

    def until(self, holds, seconds: float) -> bool:
        end = time.time() + seconds
        while time.time() < end:
            if holds():
                return True
            time.sleep(0.05)
        return False

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def server(binary: str, platform: Platform, state: str, **more: str) -> dict:
    """How a client starts molecule-mcp."""
    return {"command": binary, "args": [], "env": {**platform.environment, "CONFIGS_DIR": state} | more}


def unread(binary: str, platform: Platform, state: str) -> int:
    """How many messages wait on disk."""
    environment = {**platform.environment, "CONFIGS_DIR": state, "PATH": os.environ["PATH"]}
    seen = subprocess.run([binary, "inbox", "--json"], env=environment, capture_output=True, text=True, check=True)
    return len(json.loads(seen.stdout)["staged"])
