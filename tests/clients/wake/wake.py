"""Real clients are woken by molecule-mcp: idle, busy, before the first prompt, flooded, told wrong.

    wake.py DIR PROGRAMS    one line a check; DIR holds molecule-mcp and standin, PROGRAMS claude and codex
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from clients import Bypassing, ClaudeCode, Client, Codex
from model import NOTICE
from standin import Platform, unread

ROUNDS = int(os.environ.get("WAKE_ROUNDS", "10"))
failures = 0


def check(name: str, holds: bool, seen: object = "") -> None:
    global failures
    print(f"{'ok  ' if holds else 'FAIL'}  wake {name}", flush=True)
    if not holds:
        failures += 1
        print(f"      saw {str(seen)[-2_000:]!r}", flush=True)


def last_words(request) -> str:
    """The newest entry of a request to a model."""
    _, _, asked = request
    entries = asked.get("messages") or asked.get("input") or []
    users = [entry for entry in entries if entry.get("role") in ("user", "system")]
    return json.dumps(users[-2:]) if users else ""


def carries_notice(request) -> bool:
    return bool(NOTICE.search(last_words(request)))


def woken(client: Client, platform: Platform, text: str, seconds: float = 20):
    """Somebody writes to an idle agent; seconds until its model was asked, and the request."""
    since = len(client.model)
    stored = platform.user_says(text)
    found = client.model.wait_for(carries_notice, since, seconds)
    return (found[1][0] - stored, found[1]) if found else (None, None)


def before_the_first_prompt(client: Client, platform: Platform) -> None:
    check(f"{client.name}: it starts", client.is_idle(), client.terminal.text())
    check(f"{client.name}: the server comes online", platform.is_online(), client.terminal.text())
    # What the client does after its first screen.
    time.sleep(2)
    took, request = woken(client, platform, "the first message")
    check(f"{client.name}: a message before the first prompt wakes it", took is not None, client.terminal.text())
    if request is None:
        return
    words = last_words(request)
    check(f"{client.name}: the notice names the tool", "mcp__molecule__inbox_peek" in words, words)
    check(f"{client.name}: no word of the sender is in it", "first message" not in words, words)
    answered = platform.is_answered("the first message")
    check(f"{client.name}: it reads, answers and pops", answered, platform.answers() + client.terminal.text())


def idle(client: Client, platform: Platform) -> None:
    times = []
    for number in range(ROUNDS):
        text = f"message {number}"
        # Two rings are 5 s apart, and the limit of a minute is raised for this.
        time.sleep(5.2)
        took, _ = woken(client, platform, text)
        if took is None or not platform.is_answered(text):
            check(f"{client.name}: message {number} wakes it and is answered", False, client.terminal.text())
            return
        times.append(took)
    waiting = platform.until(lambda: unread(client.server["command"], platform, client.state) == 0, 10)
    check(f"{client.name}: {ROUNDS} messages were answered and popped, one after the other", waiting)
    times.sort()
    median, worst = statistics.median(times) * 1_000, times[-1] * 1_000
    print(f"      message stored → model asked: p50 {median:.0f} ms, worst {worst:.0f} ms of {ROUNDS}", flush=True)
    limit = {"claude-code": 150, "codex": 250}[client.name]
    check(f"{client.name}: half of them within {limit} ms", median <= limit, times)


def busy(client: Client, platform: Platform) -> None:
    time.sleep(5.2)
    since = len(client.model)
    client.terminal.types("please be busy")
    check(f"{client.name}: it is busy", client.model.wait_for(lambda _: True, since) is not None)
    time.sleep(1)
    took, _ = woken(client, platform, "while busy", 40)
    check(f"{client.name}: a message to a busy agent comes with its next request", took is not None, client.terminal.text())
    check(f"{client.name}: and is answered", platform.is_answered("while busy", 40), client.terminal.text())


def flood(client: Client, platform: Platform) -> None:
    time.sleep(5.2)
    since = len(client.model)
    begun = time.time()
    for number in range(1_000):
        platform.user_says(f"flood {number}")
    time.sleep(max(0.0, 58 - (time.time() - begun)))
    requests = client.model.requests[since:]
    found = (NOTICE.search(json.dumps(asked)) for _, _, asked in requests)
    notices = {notice.group() for notice in found if notice}
    check(f"{client.name}: a flood of 1,000 messages costs at most the limit's rings", 0 < len(notices) <= 6, notices)


def two_sessions(kind, programs: str, binary: str, directory: str) -> None:
    platform = Platform(directory)
    first = kind(programs, binary, platform)
    try:
        first.is_idle()
        platform.is_online()
        second = kind(programs, binary, platform, first.state)
        try:
            second.is_idle()
            time.sleep(6)
            since = len(second.model)
            took, _ = woken(first, platform, "to the two")
            check(f"{kind.name}: of two sessions the one that leads is woken", took is not None, first.terminal.text())
            check(f"{kind.name}: and the other is not", not any(map(carries_notice, second.model.requests[since:])))
        finally:
            second.close()
    finally:
        first.close()
        platform.close()


def told_wrong(programs: str, binary: str, directory: str) -> None:
    """Claude Code, whose server is told something that is not so of the session."""
    for name, variable, value in [
        ("without its socket the file of the session leads to it", "CLAUDE_CODE_MESSAGING_SOCKET", "/nowhere/gone.sock"),
        ("a wrong token is no obstacle for its own child", "CLAUDE_CODE_MESSAGING_TOKEN", "wrong"),
    ]:
        platform = Platform(directory)
        client = ClaudeCode(programs, binary, platform, **{variable: value})
        try:
            client.is_idle()
            platform.is_online()
            time.sleep(2)
            took, _ = woken(client, platform, "told wrong")
            check(f"claude-code: {name}", took is not None, client.terminal.text())
        finally:
            client.close()
            platform.close()


def bypass(programs: str, binary: str, directory: str) -> None:
    """Claude Code that asks for no permission: what a stranger sends it would show to its user first."""
    platform = Platform(directory)
    client = Bypassing(programs, binary, platform)
    try:
        # It wants to be told once that this is meant.
        if client.terminal.shows("Yes, I accept", 10):
            client.terminal.presses("\x1b[B")
            client.terminal.types("")
        platform.is_online()
        time.sleep(3)
        took, _ = woken(client, platform, "bypassing")
        check("claude-code: its child wakes it in the mode without permissions, too", took is not None, client.terminal.text())
    finally:
        client.close()
        platform.close()


def of(kind, programs: str, binary: str, directory: str) -> None:
    platform = Platform(directory)
    client = kind(programs, binary, platform, MOLECULE_WAKE_PER_MINUTE="60")
    try:
        before_the_first_prompt(client, platform)
        idle(client, platform)
        busy(client, platform)
    finally:
        client.close()
        shutil.rmtree(client.home, ignore_errors=True)
        platform.close()


def flooded(kind, programs: str, binary: str, directory: str) -> None:
    platform = Platform(directory)
    client = kind(programs, binary, platform)
    try:
        client.is_idle()
        platform.is_online()
        time.sleep(2)
        flood(client, platform)
    finally:
        client.close()
        shutil.rmtree(client.home, ignore_errors=True)
        platform.close()


def main() -> int:
    directory, programs = sys.argv[1:3]
    only = sys.argv[3:] or ["claude", "codex", "two", "gone", "bypass", "flood"]
    binary = f"{Path(directory).resolve()}/molecule-mcp"
    for program in ("claude", "codex"):
        found = subprocess.run([f"{programs}/{program}", "--version"], capture_output=True, text=True)
        print(f"      {program} {found.stdout.strip()}", flush=True)
    if "claude" in only:
        of(ClaudeCode, programs, binary, directory)
    if "codex" in only:
        of(Codex, programs, binary, directory)
    if "two" in only:
        two_sessions(ClaudeCode, programs, binary, directory)
    if "gone" in only:
        told_wrong(programs, binary, directory)
    if "bypass" in only:
        bypass(programs, binary, directory)
    if "flood" in only:
        flooded(ClaudeCode, programs, binary, directory)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
