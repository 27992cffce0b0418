"""Claude Code and Codex, each with the pretend model, a home of its own and molecule-mcp."""

import json
import os
import signal
import tempfile
from pathlib import Path

from model import Model
from standin import Platform, server
from terminal import Terminal

KEY = "sk-ant-api03-pretend-pretend-pretend-pretend"
WIDE = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}


class Client:
    """A client in a terminal. `home` is its own; `state` is where molecule-mcp keeps its files."""

    name = ""

    def __init__(self, programs: str, binary: str, platform: Platform, state: str | None = None, **more: str) -> None:
        self.programs, self.model = programs, Model()
        self.home = tempfile.mkdtemp(prefix="wake-")
        self.work = f"{self.home}/work"
        os.mkdir(self.work)
        self.state = state or f"{self.home}/state"
        self.server = server(binary, platform, self.state, **more)
        self.configure()
        self.terminal = self.start()

    def configure(self) -> None:
        raise NotImplementedError

    def start(self) -> Terminal:
        raise NotImplementedError

    def close(self) -> None:
        self.terminal.close()


class ClaudeCode(Client):
    name = "claude-code"

    def configure(self) -> None:
        work = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        self.write(".claude.json", {
            "hasCompletedOnboarding": True, "theme": "dark", "projects": {self.work: work},
            "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
            "mcpServers": {"molecule": {"type": "stdio", **self.server}},
        })
        self.write(".claude/settings.json", {"permissions": {"allow": ["mcp__molecule", "Bash(sleep:*)"]}})

    def write(self, name: str, content: dict) -> None:
        path = Path(self.home) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))

    def environment(self) -> dict[str, str]:
        return {
            **WIDE, "HOME": self.home, "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": self.model.url,
            "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }

    def start(self) -> Terminal:
        return Terminal([f"{self.programs}/claude"], self.environment(), self.work)

    def is_idle(self) -> bool:
        return self.terminal.shows("auto mode on")


class Bypassing(ClaudeCode):
    """The mode in which Claude Code asks for no permission."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "IS_SANDBOX": "1"}

    def start(self) -> Terminal:
        command = [f"{self.programs}/claude", "--dangerously-skip-permissions"]
        return Terminal(command, self.environment(), self.work)


class Codex(Client):
    name = "codex"

    def configure(self) -> None:
        home = Path(self.home) / ".codex"
        home.mkdir()
        environment = "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.server["env"].items())
        (home / "config.toml").write_text(f"""
model = "pretend"
model_provider = "pretend"
check_for_update_on_startup = false

[model_providers.pretend]
name = "pretend"
base_url = "{self.model.url}/v1"
wire_api = "responses"
env_key = "PRETEND_KEY"

[projects."{self.work}"]
trust_level = "trusted"

[mcp_servers.molecule]
command = "{self.server["command"]}"

[mcp_servers.molecule.env]
{environment}""")

    def start(self) -> Terminal:
        environment = {**WIDE, "HOME": self.home, "CODEX_HOME": f"{self.home}/.codex", "PRETEND_KEY": "pretend"}
        return Terminal([f"{self.programs}/codex"], environment, self.work)

    def is_idle(self) -> bool:
        return self.terminal.shows("Ask Codex to do anything")

    def close(self) -> None:
        super().close()
        # Its daemon outlives the terminal.
        for name in ("daemon-updater.pid", "daemon.pid"):
            try:
                text = (Path(self.home) / ".codex/app-server-daemon" / name).read_text()
                os.kill(pid(text), signal.SIGTERM)
            except (OSError, ValueError):
                pass


def pid(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(json.loads(text)["pid"])
