"""The plugin in real hosts, against the stand-in: what each host shows, and what is promised of the inbox."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import served
from common import COMPONENTS, HERE, TOKEN, Grants, check, compiled, failures, said, user_says, user_sends_file, wasmtime_options

COMPONENT = COMPONENTS / "molecule-plugin.wasm"
ROUNDS = int(os.environ.get("ROUNDS", "20"))


@dataclass
class Answer:
    """What a function returned: the text that the host prints of it."""

    ok: bool
    text: str

    @property
    def ids(self) -> list[str]:
        return re.findall(r'activity.?id"?: ?"([^"]+)"', self.text, re.IGNORECASE)

    def count(self, words: str) -> int:
        return len(re.findall(words, self.text))


Begin = Callable[[Grants, str, list], subprocess.Popen]


@dataclass
class Host:
    """A host, and how it begins a call as a process of its own."""

    name: str
    begin: Begin
    read: Callable[[str], Answer]
    can_deny_network: bool = False

    def call(self, grants: Grants, function: str, *arguments: object) -> Answer:
        return self.end(self.begin(grants, function, list(arguments)))

    def end(self, process: subprocess.Popen) -> Answer:
        out, err = process.communicate(timeout=120)
        said.extend([out, err])
        if not out.strip():
            return Answer(False, f"no answer ({process.returncode}): {err[-1500:]}")
        return self.read(out)


def popen(command: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen:
    base = {name: os.environ[name] for name in ["PATH", "HOME", "NODE_PATH"] if name in os.environ}
    return subprocess.Popen(
        command, env=base | (environment or {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE
    )


def granted(grants: Grants) -> dict[str, str]:
    return grants.variables() | ({"STATE_ON_HOST": str(grants.state)} if grants.state else {})


def read_json(out: str) -> Answer:
    answer = json.loads(out)
    ok = "ok" in answer
    value = answer["ok" if ok else "err"]
    return Answer(ok, value if isinstance(value, str) else json.dumps(value))


def python() -> Host:
    script = [sys.executable, "python_host.py", str(COMPONENT)]
    subprocess.run([*script, "--compile", "[]"], check=True, cwd=HERE)
    return Host("wasmtime-py", lambda g, f, a: popen([*script, f, json.dumps(a)], granted(g)), read_json)


def node() -> Host:
    made = Path(tempfile.mkdtemp(dir=os.environ["NODE_HOST"]))
    jco = Path(os.environ["NODE_HOST"]) / "node_modules/.bin/jco"
    transpile = [str(jco), "transpile", str(COMPONENT), "--name", "plugin", "-o", str(made), "--quiet"]
    subprocess.run(transpile, check=True, stdout=subprocess.DEVNULL)
    (made / "package.json").write_text('{"type": "module"}')
    script = shutil.copy(HERE / "node_host.mjs", made / "node_host.mjs")
    return Host("jco", lambda g, f, a: popen(["node", script, str(made), f, json.dumps(a)], granted(g)), read_json)


def wave(value: object) -> str:
    """An argument as `wasmtime run --invoke` reads it."""
    return json.dumps(value, ensure_ascii=False)


def wasmtime() -> Host:
    def begin(grants: Grants, function: str, arguments: list) -> subprocess.Popen:
        call = f"{function}({', '.join(map(wave, arguments))})"
        command = [os.environ["WASMTIME"], "run", "--allow-precompiled", *wasmtime_options(grants), "--invoke", call]
        return popen([*command, str(compiled("molecule-plugin"))])

    def read(out: str) -> Answer:
        text = out.strip()
        return Answer(text.startswith("ok"), text.encode().decode("unicode_escape", "ignore"))

    return Host("wasmtime run --invoke", begin, read, can_deny_network=True)


def everything(host: Host) -> None:
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        grants = Grants(state)
        tools(host, grants)
        inbox(host, grants)
        killed(host, grants)
        side_by_side(host, grants)
        denied(host)
        seen = "".join(said) + "".join(file.read_text() for file in state.iterdir() if file.is_file())
        check(f"{host.name}: no output and no file has the token", TOKEN not in seen and len(seen) > 0)
        left = [file.name for file in state.iterdir() if "lock" in file.name or file.name.endswith(".new")]
        check(f"{host.name}: no lock is left behind", left == [], left)


def tools(host: Host, grants: Grants) -> None:
    peers = host.call(grants, "list-peers")
    check(f"{host.name}: lists peers", peers.ok and os.environ["ECHO_PEER_ID"] in peers.text, peers)
    info = host.call(grants, "get-workspace-info")
    check(f"{host.name}: knows itself", info.ok and os.environ["WORKSPACE_ID"] in info.text, info)
    check(f"{host.name}: is online while it is used", info.count("online") > 0, info)
    sent = host.call(grants, "send-message-to-user", "Hello from the plugin", [])
    check(f"{host.name}: writes to the user", sent.ok, sent)
    said = host.call(grants, "delegate-task", os.environ["ECHO_PEER_ID"], "Hear me")
    check(f"{host.name}: delegates", said.ok and "You said: Hear me" in said.text, said)
    failed = host.call(grants, "delegate-task", "../x", "no")
    check(f"{host.name}: says what is wrong with a call", not failed.ok and "Error" in failed.text, failed)


def inbox(host: Host, grants: Grants) -> None:
    begun = time.monotonic()
    nothing = host.call(grants, "wait-for-message", 0)
    check(f"{host.name}: looks without waiting", nothing.ok and nothing.ids == [], nothing)
    check(f"{host.name}: a look takes less than 5 s", time.monotonic() - begun < 5, time.monotonic() - begun)

    waiting = host.begin(grants, "wait-for-message", [60])
    time.sleep(1)
    begun = time.monotonic()
    beside = host.call(grants, "inbox-peek", 0, "", 0, 0)
    check(f"{host.name}: peeks beside a wait", beside.ok and time.monotonic() - begun < 5, (beside, time.monotonic() - begun))
    id = user_says("first words")
    message = host.end(waiting)
    check(f"{host.name}: a message ends the wait", message.ids == [id] and "first words" in message.text, message)

    for _ in range(6):
        again = host.call(grants, "wait-for-message", 0)
        check(f"{host.name}: it comes back, and not as another session's", again.ids == [id] and redelivered(again) == 0, again)
    later = user_says("second words")
    both = host.call(grants, "inbox-peek", 0, "", 0, 0)
    check(f"{host.name}: peeks at all", both.ids == [id, later], both)
    part = host.call(grants, "inbox-peek", 0, later, 7, 3)
    check(f"{host.name}: reads a part", part.ok and '"wor"' in part.text, part)
    popped = host.call(grants, "inbox-pop", [id, later, "no-such"])
    check(f"{host.name}: pops for good", popped.ok and popped.count(r'durable"?: true') == 2, popped)
    rest = host.call(grants, "inbox-peek", 0, "", 0, 0)
    check(f"{host.name}: what is popped stays away", rest.ids == [], rest)
    user_sends_file("plan.txt", "words")
    file = host.call(grants, "wait-for-message", 30)
    check(f"{host.name}: a file of the user is told", "plan.txt" in file.text and len(file.ids) == 1, file)
    host.call(grants, "inbox-pop", file.ids)


def redelivered(answer: Answer) -> int:
    return answer.count(r'redelivered"?: true')


def killed(host: Host, grants: Grants) -> None:
    """Nothing is lost and nothing that was popped comes back, whenever a call is killed."""
    ids = [user_says(f"kept {number}") for number in range(3)]
    gone = host.call(grants, "inbox-pop", [ids[0]])
    if not gone.text.count("true"):
        host.call(grants, "inbox-peek", 0, "", 0, 0)
        gone = host.call(grants, "inbox-pop", [ids[0]])
    for delay in [0.02, 0.05, 0.1, 0.2, 0.4]:
        process = host.begin(grants, "wait-for-message", [30])
        time.sleep(delay)
        process.kill()
        process.communicate()
    begun = time.monotonic()
    there = host.call(grants, "inbox-peek", 0, "", 0, 0)
    took = time.monotonic() - begun
    check(f"{host.name}: killed calls lose nothing, and bring nothing back", there.ids == ids[1:], (gone, there))
    check(f"{host.name}: and hold up the next one for at most 15 s", took < 15, took)
    host.call(grants, "inbox-pop", ids)


def side_by_side(host: Host, grants: Grants) -> None:
    """Four pops at once: each says truly whether its message is gone for good."""
    back, durable, errors = [], 0, []
    for round in range(ROUNDS):
        ids = [user_says(f"round {round}, message {number}") for number in range(4)]
        shown = host.call(grants, "inbox-peek", 0, "", 0, 0)
        with ThreadPoolExecutor() as pool:
            pops = list(pool.map(lambda id: (id, host.call(grants, "inbox-pop", [id])), ids))
        gone = {id for id, pop in pops if pop.ok and pop.count(r'durable"?: true')}
        errors += [pop.text for _, pop in pops if not pop.ok]
        durable += len(gone)
        rest = host.call(grants, "inbox-peek", 50, "", 0, 0)
        back += [id for id in rest.ids if id in gone]
        missing = [id for id in ids if id not in gone and id not in rest.ids]
        check(f"{host.name}: round {round} loses nothing", shown.ids == ids and missing == [], (shown.ids, ids, missing)) if (
            shown.ids != ids or missing
        ) else None
        if rest.ids:
            host.call(grants, "inbox-pop", rest.ids)
    check(f"{host.name}: none of {durable} pops side by side comes back", back == [], back)
    check(f"{host.name}: all of {ROUNDS * 4} pops side by side are durable", durable == ROUNDS * 4, (durable, errors[:2]))


def denied(host: Host) -> None:
    """What the operator has not given is named, with what to do."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ["PLATFORM_URL", "WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN"]:
            answer = host.call(Grants(Path(directory), environment={name: ""}), "list-peers")
            check(f"{host.name}: without {name} it says so", not answer.ok and f"{name} is not set" in answer.text, answer)
        answer = host.call(Grants(None), "inbox-peek", 0, "", 0, 0)
        told = not answer.ok and "/state" in answer.text and "read and write" in answer.text
        check(f"{host.name}: without its directory it says so", told, answer)
        answer = host.call(Grants(None, environment={"MOLECULE_STATE_DIR": ""}), "inbox-peek", 0, "", 0, 0)
        check(f"{host.name}: without a directory of state it says so", "MOLECULE_STATE_DIR" in answer.text and not answer.ok, answer)
        answer = host.call(Grants(None, environment={"MOLECULE_STATE_DIR": ""}), "list-peers")
        check(f"{host.name}: the other tools need none", answer.ok, answer)
        nowhere = {"PLATFORM_URL": "http://127.0.0.1:1"}
        answer = host.call(Grants(Path(directory), environment=nowhere), "list-peers")
        check(f"{host.name}: a platform that is not there is named", "nobody listens" in answer.text and "127.0.0.1:1" in answer.text, answer)
        if host.can_deny_network:
            answer = host.call(Grants(Path(directory), network=False), "list-peers")
            check(f"{host.name}: without network it says so", not answer.ok and re.search("wasi:http|does not allow", answer.text), answer)


def wassette() -> Host:
    loaded = Path(tempfile.mkdtemp(dir=COMPONENTS))
    program = json.loads(os.environ["WASSETTE"])
    load = [*program, "component", "load", f"file://{COMPONENT}", "--component-dir", str(loaded)]
    subprocess.run(load, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def begin(grants: Grants, function: str, arguments: list) -> subprocess.Popen:
        environment = granted(grants) | {"WASSETTE": os.environ["WASSETTE"]}
        environment |= {"NETWORK": "127.0.0.1"} if grants.network else {}
        # There a directory has the name that it has outside.
        if grants.state and environment.get("MOLECULE_STATE_DIR"):
            environment["MOLECULE_STATE_DIR"] = str(grants.state)
        return popen([sys.executable, "wassette_host.py", str(loaded), function, json.dumps(arguments)], environment)

    return Host("Wassette", begin, read_json, can_deny_network=True)


HOSTS = {"wasmtime-py": python, "wasmtime": wasmtime, "jco": node, "wassette": wassette}

[_, chosen] = sys.argv
if chosen == "served":
    served.everything()
else:
    everything(HOSTS[chosen]())
# Another status than that of a script that breaks off.
sys.exit(3 if failures else 0)
