"""What the scripts of the hosts share."""

import json
import os
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
COMPONENTS = Path(os.environ["COMPONENTS"])
TOKEN = os.environ["MOLECULE_WORKSPACE_TOKEN"]
failures: list[str] = []
# Everything that a host has printed.
said: list[str] = []


def check(name: str, holds: bool, seen: object = "") -> None:
    """Prints one line, and what was seen instead if the check does not hold."""
    print(f"{'ok  ' if holds else 'FAIL'}  {name}", flush=True)
    if not holds:
        failures.append(name)
        print(f"      saw {seen!r}"[:2000], flush=True)


@dataclass
class Grants:
    """What the operator gives to the plugin."""

    state: Path | None
    network: bool = True
    environment: dict[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        names = ["PLATFORM_URL", "WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN"]
        given = {name: os.environ[name] for name in names}
        # The directory is named, also where it is not opened.
        return {name: value for name, value in (given | {"MOLECULE_STATE_DIR": "/state"} | self.environment).items() if value}


def wasmtime_options(grants: Grants) -> list[str]:
    """What wasmtime grants to a component."""
    options = [part for name, value in grants.variables().items() for part in ("--env", f"{name}={value}")]
    options += ["-S", "http"] if grants.network else []
    return options + (["--dir", f"{grants.state}::/state"] if grants.state else [])


def compiled(name: str) -> Path:
    """A component as wasmtime runs it without compiling."""
    target = COMPONENTS / f"{name}.cwasm"
    if not target.exists():
        subprocess.run([os.environ["WASMTIME"], "compile", str(COMPONENTS / f"{name}.wasm"), "-o", str(target)], check=True)
    return target


def echo() -> str:
    """The peer that answers."""
    return os.environ["ECHO_PEER_ID"]


def hook(name: str, **fields: object) -> dict:
    """Changes the platform, or looks at it."""
    request = urllib.request.Request(
        f"{os.environ['PLATFORM_URL']}/_test/{name}",
        data=json.dumps(fields).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def user_sends_file(name: str, content: str) -> None:
    """A file without a message of its own."""
    part = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n{content}\r\n--b--\r\n'
    request = urllib.request.Request(
        f"{os.environ['PLATFORM_URL']}/workspaces/{os.environ['WORKSPACE_ID']}/chat/uploads",
        data=part.encode(),
        headers={"Content-Type": "multipart/form-data; boundary=b", "Authorization": f"Bearer {TOKEN}"},
    )
    urllib.request.urlopen(request).close()


def user_says(words: str) -> str:
    return hook("user-message", workspace_id=os.environ["WORKSPACE_ID"], text=words)["id"]
