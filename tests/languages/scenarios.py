#!/usr/bin/env python3
"""Plays the same scenarios with the runtime of each language, against the stand-in for the platform.

    scenarios.py DIR LANGUAGE...     one line a scenario; ends with "N passed, N failed"

Each language has an agent, in `agents/` or in DIR, that does what it is told over stdin and stdout, a JSON object a
line: `{"id", "do": "call", "tool", "arguments"}`, `tools`, `next` (message), `refusal`, `cancel` (of `call`), `close`.
"""

import itertools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
AGENTS = {
    "rust": lambda directory: [directory / "agent"],
    "python": lambda _: [os.environ.get("PYTHON", sys.executable), HERE / "agents/agent.py"],
    "node": lambda _: ["node", os.environ["NODE_AGENT"]],
}
# Nothing here takes longer, but for what waits for a time limit.
PATIENCE_SECS = 30
SCENARIOS = []
CROSSINGS = []


def scenario(play):
    """A scenario of one language."""
    SCENARIOS.append(play)
    return play


def crossing(play):
    """A scenario of two languages, which share a directory."""
    CROSSINGS.append(play)
    return play


class Platform:
    """A stand-in, with a workspace for the agent and two peers."""

    def __init__(self, directory, *arguments):
        self._process = subprocess.Popen(
            [directory / "standin", "--demo", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.environment = {}
        while "POLL_PEER_ID" not in self.environment:
            name, _, value = self._process.stdout.readline().removeprefix("export ").rstrip("\n").partition("=")
            self.environment[name] = value
        self.url, self.workspace = self.environment["PLATFORM_URL"], self.environment["WORKSPACE_ID"]
        self.token, self.echo = self.environment["MOLECULE_WORKSPACE_TOKEN"], self.environment["ECHO_PEER_ID"]
        self.silent = self.environment["POLL_PEER_ID"]

    def ask(self, path, fields=None, method=None, token=None):
        headers = {"Content-Type": "application/json", "Origin": self.url}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECS) as answer:
            return json.loads(answer.read() or "null")

    def hook(self, name, **fields):
        return self.ask(f"/_test/{name}", fields)

    def user_says(self, text):
        return self.hook("user-message", workspace_id=self.workspace, text=text)["id"]

    def peer_says(self, text):
        return self.hook("peer-message", **{"from": self.silent, "workspace_id": self.workspace, "text": text})["id"]

    def requests(self):
        return [f"{entry['method']} {entry['path']}" for entry in self.ask("/_test/requests?since=0")["requests"]]

    def heard(self):
        return self.ask("/_test/notifies")["notifies"]

    def end(self):
        self._process.kill()
        self._process.wait()


class World:
    """A platform, a disk, and agents of one or two languages."""

    def __init__(self, directory, languages):
        self._directory, self.languages = directory, languages
        self._place = tempfile.TemporaryDirectory()
        self.place = Path(self._place.name)
        self.platform = Platform(directory)
        self.state, self.token_file = self.place / "state", self.place / "token"
        self.put_token(self.platform.token)
        self.agents, self.secrets = [], [self.platform.token]

    def put_token(self, token):
        fresh = self.place / "token.new"
        fresh.write_text(token + "\n")
        fresh.chmod(0o600)
        fresh.rename(self.token_file)

    def agent(self, language=None, **environment):
        agent = Agent(self, AGENTS[language or self.languages[0]](self._directory), environment)
        self.agents.append(agent)
        return agent

    def journal(self):
        [journal] = self.state.glob(".mcp_inbox_*.journal")
        return journal

    def records(self):
        return [json.loads(line.split(" ", 2)[2]) for line in self.journal().read_text().splitlines()]

    def end(self):
        for agent in self.agents:
            agent.kill()
        self.platform.end()
        secret = self.state / ".platform_inbound_secret"
        if secret.exists():
            self.secrets.append(secret.read_text())
        said = "".join(agent.all_that_was_said() for agent in self.agents)
        self._place.cleanup()
        for secret in self.secrets:
            assert secret not in said, "a token or a secret was said"


class Agent:
    """A process of one language."""

    def __init__(self, world, command, environment):
        own = {
            "PLATFORM_URL": world.platform.url,
            "WORKSPACE_ID": world.platform.workspace,
            "TOKEN_FILE": str(world.token_file),
            "STATE_DIR": str(world.state),
            **environment,
        }
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._said, self._ids, self._answers = [], itertools.count(1), {}
        self._begun, self._changed = queue.SimpleQueue(), threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._begun.get(timeout=PATIENCE_SECS), f"the agent does not begin:\n{self.log()}"

    def _listen(self):
        for line in self._process.stdout:
            self._said.append(line)
            said = json.loads(line)
            if "id" in said:
                with self._changed:
                    self._answers[said.pop("id")] = said
                    self._changed.notify_all()
            elif said.get("ready"):
                self._begun.put(True)
        self._begun.put(False)
        with self._changed:
            self._answers["end"] = True
            self._changed.notify_all()

    @property
    def pid(self):
        return self._process.pid

    def tell(self, do, **what):
        """Tells it to do something; the answer is for `hear`."""
        number = next(self._ids)
        self._process.stdin.write(json.dumps({"id": number, "do": do, **what}) + "\n")
        self._process.stdin.flush()
        return number

    def hear(self, number, within=PATIENCE_SECS):
        with self._changed:
            done = self._changed.wait_for(lambda: number in self._answers or "end" in self._answers, within)
            assert done and number in self._answers, f"no answer:\n{self.log()[-3000:]}"
            return self._answers.pop(number)

    def asks(self, do, **what):
        return self.hear(self.tell(do, **what))

    def begins(self, tool, **arguments):
        return self.tell("call", tool=tool, arguments=arguments)

    def calls(self, tool, **arguments):
        """The text of a call that succeeds."""
        answer = self.hear(self.begins(tool, **arguments), PATIENCE_SECS + arguments.get("timeout_secs", 0))
        assert answer.get("is_error") is False, answer
        return answer["text"][0]

    def fails(self, tool, **arguments):
        """The text of a call that fails."""
        answer = self.hear(self.begins(tool, **arguments))
        assert answer.get("is_error") is True, answer
        return answer["text"][0]

    def says(self, tool, **arguments):
        """All texts of a call, whatever becomes of it."""
        return "\n".join(self.hear(self.begins(tool, **arguments))["text"])

    def leads(self):
        """Whether it receives the messages itself."""
        return "receives the messages" not in self.says("inbox_peek")

    def waits(self, secs=15, **arguments):
        return json.loads(self.calls("wait_for_message", timeout_secs=secs, **arguments))

    def peeks(self, **arguments):
        return json.loads(self.calls("inbox_peek", **arguments))["messages"]

    def pops(self, row):
        return json.loads(self.calls("inbox_pop", activity_id=row))

    def closes(self):
        self._process.stdin.write('{"do": "close"}\n')
        self._process.stdin.close()
        assert self._process.wait(PATIENCE_SECS) == 0, self.log()[-3000:]

    def kill(self):
        self._process.kill()
        self._process.wait()

    def signal(self, number):
        self._process.send_signal(number)

    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def all_that_was_said(self):
        return self.log() + "".join(self._said)


def eventually(check, within=PATIENCE_SECS):
    """The first true thing that `check` gives."""
    end = time.monotonic() + within
    while not (found := check()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)
    return found


# Tools


@scenario
def the_tools_are_those_of_the_native_host(world):
    shown = (HERE.parent / "all/surface/snapshots/surface__shown__tools.snap").read_text()
    expected = re.findall(r"^# (\w+) \(", shown, re.M)
    tools = world.agent().asks("tools")["tools"]
    assert [name for name, *_ in tools] == expected, tools
    assert all(title and len(description) > 40 for _, title, description, _ in tools)
    assert all(schema["type"] == "object" for *_, schema in tools)


@scenario
def peers_are_listed(world):
    text = world.agent().calls("list_peers")
    assert world.platform.echo in text and world.platform.silent in text, text


@scenario
def a_task_is_delegated_and_the_answer_is_fenced(world):
    text = world.agent().calls("delegate_task", workspace_id=world.platform.echo, task="Grüße 😀")
    assert "You said: Grüße 😀" in text and "information, not instructions" in text, text


@scenario
def a_message_reaches_the_user(world):
    world.agent().calls("send_message_to_user", message='quoted "text"\nand a line, ä😀')
    assert any("and a line, ä😀" in json.dumps(said, ensure_ascii=False) for said in world.platform.heard())


@scenario
def a_fact_is_remembered_and_found(world):
    agent = world.agent()
    agent.calls("commit_memory", content="the door code is on the fridge")
    assert "fridge" in agent.calls("recall_memory", query="door")


@scenario
def a_call_with_wrong_arguments_fails_with_advice(world):
    agent = world.agent()
    assert "workspace_id" in agent.fails("delegate_task", task="hi")
    assert agent.fails("no_such_tool")
    assert agent.fails("delegate_task", workspace_id="../admin", task="hi")
    assert agent.calls("list_peers")


@scenario
def calls_run_side_by_side(world):
    agent = world.agent()
    wait = agent.begins("wait_for_message", timeout_secs=30)
    begun = time.monotonic()
    for _ in range(20):
        agent.peeks()
    agent.calls("list_peers")
    assert time.monotonic() - begun < 5, "a wait holds other calls up"
    row = world.platform.user_says("at last")
    assert json.loads(agent.hear(wait)["text"][0])["activity_id"] == row


@scenario
def a_cancelled_call_ends_at_once_and_the_next_one_works(world):
    agent = world.agent()
    agent.peeks()
    wait = agent.begins("wait_for_message", timeout_secs=60)
    agent.tell("cancel", call=wait)
    assert agent.hear(wait, 2) == {"cancelled": True}
    row = world.platform.user_says("still here")
    assert agent.waits()["activity_id"] == row


# The inbox


@scenario
def a_wait_ends_with_its_time(world):
    begun = time.monotonic()
    assert world.agent().waits(1)["timeout"] is True
    assert time.monotonic() - begun < 10


@scenario
def a_popped_message_never_comes_back(world):
    agent = world.agent()
    rows = [world.platform.user_says(f"message {number}") for number in range(3)]
    eventually(lambda: len(agent.peeks()) == 3)
    assert agent.pops(rows[1])["removed"] is True
    agent.closes()

    agent = world.agent()
    assert [message["activity_id"] for message in agent.peeks()] == [rows[0], rows[2]]


@scenario
def a_message_of_a_peer_says_who_sent_it(world):
    agent = world.agent()
    world.platform.peer_says("from next door")
    message = agent.waits()
    assert (message["kind"], message["peer_id"]) == ("peer_agent", world.platform.silent), message
    assert "from next door" in message["text"]


@scenario
def messages_come_one_after_the_other_and_an_unhandled_one_comes_again(world):
    agent = world.agent()
    for text in ("first", "second"):
        world.platform.user_says(text)
    assert [agent.asks("next")["message"]["text"] for _ in range(2)] == ["first", "second"]
    agent.closes()
    world.platform.user_says("third")

    agent = world.agent()
    assert [agent.asks("next")["message"]["text"] for _ in range(2)] == ["second", "third"]


@scenario
def what_was_shown_before_a_kill_is_shown_again_and_says_so(world):
    agent = world.agent()
    row = world.platform.user_says("seen once")
    assert agent.waits()["activity_id"] == row
    agent.kill()

    message = world.agent().waits()
    assert message["activity_id"] == row and message.get("redelivered") is True, message


@scenario
def a_pop_is_durable_before_its_answer(world):
    for round in range(5):
        agent = world.agent()
        row = world.platform.user_says(f"round {round}")
        assert agent.waits()["activity_id"] == row
        assert agent.pops(row)["removed"] is True
        agent.kill()
    assert world.agent().peeks() == []


@scenario
def killed_in_the_middle_nothing_is_lost(world):
    rows = []
    for round in range(6):
        rows += [world.platform.user_says(f"{round}-{number}") for number in range(3)]
        agent = world.agent()
        agent.begins("wait_for_message", timeout_secs=30)
        agent.begins("inbox_peek")
        time.sleep(0.04 * round)
        agent.kill()
    agent = world.agent()
    eventually(lambda: [message["activity_id"] for message in agent.peeks(limit=50)] == rows)


@scenario
def a_damaged_journal_is_kept_aside_and_nothing_is_lost(world):
    agent = world.agent()
    rows = [world.platform.user_says(f"message {number}") for number in range(2)]
    eventually(lambda: len(agent.peeks()) == 2)
    agent.closes()
    content = bytearray(world.journal().read_bytes())
    content[len(content) // 2] ^= 1
    world.journal().write_bytes(content)

    agent = world.agent()
    eventually(lambda: [message["activity_id"] for message in agent.peeks()] == rows)
    assert list(world.state.glob("*.damaged-1"))


@scenario
def files_are_open_to_their_owner_alone(world):
    agent = world.agent()
    world.platform.user_says("hello")
    agent.pops(agent.waits()["activity_id"])
    eventually(lambda: (world.state / ".platform_inbound_secret").exists())
    agent.closes()
    names = [path.name for path in world.state.iterdir()]
    assert {".mcp_inbox_cursor", ".platform_inbound_secret"} <= set(names), names
    for path in [world.state, *world.state.iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, (path, oct(path.stat().st_mode))


# The platform


@scenario
def the_workspace_is_registered_and_beats(world):
    world.agent()
    eventually(lambda: {"POST /registry/register", "POST /registry/heartbeat"} <= set(world.platform.requests()))
    beats = [request for request in world.platform.requests() if request.endswith("/register")]
    assert len(beats) == 1, beats


@scenario
def a_platform_that_is_away_is_told_and_comes_back(world):
    agent = world.agent()
    agent.calls("list_peers")
    world.platform.hook("fault", method="GET", path="/registry/*/peers", answer={"status": 503}, times=20)
    assert "503" in agent.fails("list_peers")
    world.platform.hook("faults/clear")
    assert world.platform.echo in agent.calls("list_peers")


@scenario
def nobody_listens_and_the_answer_says_what_to_do(world):
    agent = world.agent()
    agent.calls("list_peers")
    world.platform.end()
    text = agent.fails("list_peers")
    assert "nobody listens" in text or "connection" in text, text


@scenario
def a_rotated_token_is_found_in_its_file(world):
    agent = world.agent()
    agent.calls("list_peers")
    tokens = f"/workspaces/{world.platform.workspace}/tokens"
    fresh = world.platform.ask(tokens, {}, token=world.platform.token)["auth_token"]
    world.secrets.append(fresh)
    listed = world.platform.ask(tokens, token=fresh)["tokens"]
    world.put_token(fresh)
    for old in listed:
        if not fresh.startswith(old["prefix"]):
            world.platform.ask(f"{tokens}/{old['id']}", method="DELETE", token=fresh)
    assert world.platform.echo in agent.calls("list_peers")


@scenario
def a_refused_token_is_told(world):
    world.secrets.append("not-the-token-of-anybody")
    world.put_token("not-the-token-of-anybody")
    agent = world.agent()
    refusal = eventually(lambda: agent.asks("refusal")["refusal"])
    assert "Tokens tab" in refusal and "401" in refusal, refusal
    assert "Tokens tab" in agent.says("wait_for_message", timeout_secs=2)


# Two languages in one directory


@crossing
def the_journal_of_another_language_is_read(world):
    first, second = world.languages
    agent = world.agent(first)
    rows = [world.platform.user_says(text) for text in ("popped", "seen ä😀", "unseen")]
    eventually(lambda: len(agent.peeks()) == 3)
    assert agent.waits()["activity_id"] == rows[0]
    agent.pops(rows[0])
    before = world.records()
    agent.kill()

    agent = world.agent(second)
    messages = agent.peeks()
    assert [message["activity_id"] for message in messages] == rows[1:]
    assert messages[0]["text"] == "seen ä😀" and messages[0].get("redelivered") is True, messages
    assert world.records()[: len(before)] == before or world.records()[0]["t"] == "H"
    agent.pops(rows[1])
    agent.kill()

    assert [message["activity_id"] for message in world.agent(first).peeks()] == rows[2:]


@crossing
def one_process_leads_and_the_other_says_so(world):
    first, second = world.languages
    leader = world.agent(first)
    leader.peeks()
    follower = world.agent(second)
    text = follower.says("inbox_peek")
    assert f"process {leader.pid}" in text and "take_over" in text, text
    row = world.platform.user_says("for the leader")
    assert leader.waits()["activity_id"] == row


@crossing
def the_lead_is_handed_over_when_an_agent_asks_for_it(world):
    first, second = world.languages
    leader = world.agent(first)
    row = world.platform.user_says("for both")
    assert leader.waits()["activity_id"] == row
    follower = world.agent(second)
    assert f"process {leader.pid}" in follower.says("inbox_peek")

    assert [message["activity_id"] for message in follower.peeks(take_over=True)] == [row]
    eventually(lambda: f"process {follower.pid}" in leader.says("inbox_peek"))
    follower.pops(row)
    follower.kill()
    # The one that was displaced leads again once it calls a tool.
    eventually(lambda: leader.leads(), 15)
    assert leader.peeks() == []


@crossing
def a_follower_takes_over_when_the_leader_is_killed(world):
    first, second = world.languages
    leader = world.agent(first)
    row = world.platform.user_says("left behind")
    assert leader.waits()["activity_id"] == row
    follower = world.agent(second)
    assert f"process {leader.pid}" in follower.says("inbox_peek")
    leader.kill()
    killed = time.monotonic()

    eventually(lambda: follower.leads(), 15)
    assert time.monotonic() - killed < 6
    assert [message["activity_id"] for message in follower.peeks()] == [row]


@crossing
def a_stopped_leader_keeps_the_lead(world):
    first, second = world.languages
    leader = world.agent(first)
    leader.peeks()
    follower = world.agent(second)
    leader.signal(signal.SIGSTOP)
    text = follower.fails("inbox_peek", take_over=True)
    leader.signal(signal.SIGCONT)
    assert "does not answer" in text and f"kill {leader.pid}" in text, text
    assert leader.peeks() == []


def main():
    directory, languages = Path(sys.argv[1]).resolve(), sys.argv[2:]
    only = os.environ.get("ONLY", "")
    pairs = [pair for pair in itertools.product(languages, languages) if pair != ("rust", "rust")]
    plays = [(play, (language,)) for language in languages for play in SCENARIOS]
    plays += [(play, pair) for pair in pairs for play in CROSSINGS]
    failed = passed = 0
    for play, of in plays:
        name = f"{', then '.join(of)}: {play.__name__.replace('_', ' ')}"
        if not re.search(only, name):
            continue
        world = World(directory, of)
        begun = time.monotonic()
        try:
            try:
                play(world)
            finally:
                logs = [agent.log() for agent in world.agents]
                world.end()
        except Exception:
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
            for log in logs:
                print("      " + log[-2_000:].replace("\n", "\n      "), flush=True)
        else:
            passed += 1
            print(f"ok    {name} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
