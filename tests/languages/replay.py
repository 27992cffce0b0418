#!/usr/bin/env python3
"""Tells the component in Python what it was told in the stories of the native host, and compares all that it says.

    replay.py DIR      DIR holds the transcripts, which the stories leave where MOLECULE_TRANSCRIPTS says
"""

import json
import re
import sys
from pathlib import Path

from molecule_runtime._guest import Guest
from molecule_runtime._values import Case, Record

# Names of cases in place of values of their own.
ENUMS = {"level", "method"}


def given(value, name=""):
    """What a transcript holds, as the component takes it."""
    if isinstance(value, dict):
        return Record(**{key: given(each, key) for key, each in value.items()})
    if isinstance(value, list):
        return [given(each) for each in value]
    return value.encode() if name == "body" and value is not None else value


def outcome(value):
    if isinstance(value, str):
        return Case(kebab(value))
    [(name, payload)] = value.items()
    return Case(kebab(name), given(payload))


def shown(value, name=""):
    """What the component says, as a transcript holds it."""
    if isinstance(value, Record):
        return {key: shown(each, key) for key, each in vars(value).items()}
    if isinstance(value, Case):
        return pascal(value.tag) if value.payload is None else {pascal(value.tag): shown(value.payload)}
    if isinstance(value, (list, tuple)):
        return [shown(each) for each in value]
    if isinstance(value, bytes):
        return value.decode()
    return pascal(value) if name in ENUMS else value


def kebab(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def pascal(name):
    return "".join(part.capitalize() for part in name.split("-"))


def say(guest, exchange):
    """The effects and the next of one exchange."""
    dialogue, now = exchange["dialogue"], exchange["now"]
    asked = exchange["asked"]
    if asked == "Cancel":
        return guest.call("dialogues.cancel", dialogue, now), None
    [(kind, what)] = asked.items()
    turn = {
        "Tool": lambda: guest.call("tools.open", dialogue, what["name"], what["arguments"], now),
        "Inbox": lambda: guest.call("inbox.open", dialogue, what["workspace"], given(what["saved"]), now),
        "Settle": lambda: guest.call("inbox.settle", dialogue, what, now),
        "Files": lambda: guest.call("inbox.open-files", dialogue, what["workspace"], what["lane"], now),
        "Secrets": lambda: guest.call("secrets.open", dialogue, what["workspace"], what["body"].encode(), now),
        "Wake": lambda: guest.call("wake.open", dialogue, given(what), now),
        "Resume": lambda: guest.resume(dialogue, outcome(what), now),
    }[kind]()
    return turn.effects, turn.next


def replay(file):
    transcript = json.loads(file.read_text())
    settings = given(transcript["settings"])
    settings.seed = tuple(settings.seed)
    settings.permissions.allowed_actions = [tuple(pair) for pair in settings.permissions.allowed_actions]
    guest = Guest(settings)
    for place, exchange in enumerate(transcript["exchanges"]):
        effects, following = say(guest, exchange)
        said = [shown(effects), following and shown(following)]
        expected = [exchange["effects"], exchange["next"]]
        assert said == expected, f"{file.name}, exchange {place}:\n  {said}\n  {expected}"
    guest.close()
    return len(transcript["exchanges"])


def main():
    files = sorted(Path(sys.argv[1]).glob("*.json"))
    count = sum(replay(file) for file in files)
    assert len(files) > 50 and count > 1_000, f"only {len(files)} transcripts with {count} turns"
    print(f"{len(files)} transcripts, {count} turns, all the same")


main()
