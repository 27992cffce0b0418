"""When to register and beat, and what to say about it. Pure: time and chance are arguments.

    start        +20 s        +40 s        +60 s
      | register   |            |            |
      `- beat      +- beat      +- beat x    +- beat
                                `- 1 s - 2 s - 4 s - 4 s: once more, while the slot lasts

Nothing runs beside anything else: a beat beside the first register makes the platform invent two inbound secrets.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from ._lock import one_line
from ._values import Case, Record

# The platform gives up on a workspace after 60 to 90 s of silence, so one beat may be lost.
SLOT_MS = 20_000
_RETRY_MS = 1_000
# So that the end of an outage is noticed soon.
_BEAT_PAUSE_MS = 4_000
# Beats keep the workspace alive meanwhile.
_REGISTER_PAUSE_MS = 60_000
# A beat is what keeps the workspace online, so no wish of the platform is granted for longer.
_OBEYED_MS = 60_000
# Refusals in a row until it is said aloud, and between two repetitions.
_LOUD_AT = 3
_LOUD_EVERY = 20
# Characters of an unexpected answer that a person is shown.
_SHOWN = 200

Line = tuple[int, str]


@dataclass(frozen=True)
class Answer:
    """How a beat or a register went.

    `kind` is `accepted` (2xx of the platform itself), `declined` (the same request would be answered alike), `failed`
    (a later try may do better), `missing` (404), `refused` (401 or 403 in the words of the platform), or `removed`
    (410).
    """

    kind: str
    body: bytes = b""
    why: str = ""
    status: int = 0
    retry_after_ms: int | None = None


class Plan:
    """When what is due. Registers at `start`, and beats in slots counted from there."""

    def __init__(self, start: int) -> None:
        self._start = start
        # None once registered.
        self.register: int | None = start
        self._registers = 0
        self.beat = start
        # Tries in this slot.
        self._beats = 0
        # How often in a row the platform has asked to be left alone.
        self._put_off = 0

    def next(self) -> tuple[str, int]:
        """`register` or `beat`, and when. Of two that are due, the register comes first."""
        if self.register is not None and self.register <= self.beat:
            return "register", self.register
        return "beat", self.beat

    def registered(self, answer: Answer, now: int, chance: float) -> None:
        """Says how the register went. `chance` is from 0 to 1."""
        if answer.kind == "accepted":
            self.register = None
        elif answer.kind == "failed":
            pause = _pause_ms(self._registers, _REGISTER_PAUSE_MS, chance)
            self.register = now + max(pause, answer.retry_after_ms or 0)
        else:
            self.register = now + _REGISTER_PAUSE_MS
        self._registers += 1

    def beaten(self, answer: Answer, now: int, chance: float) -> None:
        """Says how a beat went. `chance` is from 0 to 1."""
        slot = self._start + (max(0, now - self._start) // SLOT_MS + 1) * SLOT_MS
        again, put_off = None, 0
        if answer.kind == "failed" and answer.retry_after_ms is not None:
            # A platform that asks for too little still gets more rest each time.
            pause = min(_pause_ms(self._put_off, SLOT_MS, chance), SLOT_MS)
            put_off = self._put_off + 1
            again = now + max(min(answer.retry_after_ms, _OBEYED_MS), pause)
        elif answer.kind == "failed":
            soon = now + _pause_ms(self._beats, _BEAT_PAUSE_MS, chance)
            again = soon if soon < slot else None
        self._put_off = put_off
        self._beats = 0 if again is None else self._beats + 1
        self.beat = slot if again is None else again


def _pause_ms(tries: int, longest: int, chance: float) -> int:
    """1, 2, 4 ... s up to `longest`, each between half and half as much again."""
    return int(min(_RETRY_MS << min(tries, 16), longest) * (0.5 + max(0.0, min(1.0, chance))))


class Streak:
    """Beats that failed in a row, and when to speak of them."""

    def __init__(self, workspace: str, source: str) -> None:
        self._workspace = workspace
        self._source = source
        self._since: int | None = None
        self._failed = self._refused = self._gone = 0

    def note(self, answer: Answer, now: int) -> Line | None:
        """What the operator should hear of the latest beat."""
        if answer.kind != "accepted":
            self._since = now if self._since is None else self._since
            return self._complain(answer)
        since, self._since = self._since, None
        self._failed = self._refused = self._gone = 0
        if since is None:
            return None
        return logging.INFO, f"the heartbeat recovered after {max(0, now - since) // 1_000} s"

    def _complain(self, answer: Answer) -> Line | None:
        if answer.kind == "refused":
            return self._complain_of_refusal(answer.status)
        if answer.kind == "missing":
            return self._complain_of_absence(
                "the platform, or something in front of it, does not know the workspace (HTTP 404)",
                "check the workspace id and the platform's address",
            )
        if answer.kind == "removed":
            return self._complain_of_absence(
                "the workspace was removed from the platform (HTTP 410)",
                "create another one in the canvas, and put its id and token into the configuration",
            )
        self._failed += 1
        if self._failed <= _LOUD_AT or _is_loud(self._failed):
            return logging.WARNING, f"heartbeat failed, it will be tried again: {answer.why}"
        return None

    def _complain_of_absence(self, what: str, advice: str) -> Line | None:
        self._gone += 1
        if self._gone % _LOUD_EVERY != 1:
            return None
        return logging.ERROR, f"heartbeat of workspace {self._workspace}: {what}; {advice}"

    def _complain_of_refusal(self, status: int) -> Line | None:
        self._refused += 1
        if self._refused < _LOUD_AT:
            return logging.WARNING, (
                f"heartbeat refused (HTTP {status}, {self._refused}/{_LOUD_AT}): the token from {self._source} may be "
                "revoked; it will be tried again, and the Tokens tab of the canvas issues another one"
            )
        if not _is_loud(self._refused):
            return None
        return logging.ERROR, (
            f"heartbeat refused {self._refused} times in a row (HTTP {status}): the token from {self._source} has been "
            f"revoked, probably because workspace {self._workspace} was deleted; calls to the platform will fail; "
            f"regenerate the token in the Tokens tab of the canvas and update {self._source}"
        )


def _is_loud(count: int) -> bool:
    """3, 23, 43 ..."""
    return count >= _LOUD_AT and (count - _LOUD_AT) % _LOUD_EVERY == 0


def judge(outcome: Case) -> Answer:
    """Judges what became of a register or a beat."""
    if outcome.tag == "responded":
        return _judge_response(outcome.payload)
    if outcome.tag == "unreachable":
        return Answer("failed", why=outcome.payload.reason)
    if outcome.tag == "overflowed":
        return Answer("failed", why="the answer is too large")
    return Answer("failed", why=str(outcome.payload or "no answer"))


def _judge_response(response: Record) -> Answer:
    status, after = response.status, response.retry_after_ms
    if 200 <= status < 300:
        if _is_page(response):
            return Answer("failed", why=_in_front(response))
        return Answer("accepted", body=response.body)
    if status in (401, 403, 407, 511):
        if refuses_the_token(response):
            return Answer("refused", status=status)
        return Answer("failed", why=_in_front(response), retry_after_ms=after)
    if status in (404, 410):
        return Answer("missing" if status == 404 else "removed")
    if status == 429:
        # Whoever says so means it, also without a pause of its own.
        return Answer("failed", why=_excerpt(response), retry_after_ms=after or 0)
    if status in (408, 425) or status >= 500:
        return Answer("failed", why=_excerpt(response), retry_after_ms=after)
    return Answer("declined", why=_excerpt(response))


def opens(outcome: Case) -> bool | None:
    """What a call that only the workspace itself may make says of the token it was made with; none if nothing."""
    # There is an answer, of which the rest does not matter.
    if outcome.tag == "overflowed":
        return True
    if outcome.tag != "responded":
        return None
    if refuses_the_token(outcome.payload):
        return False
    return True if outcome.payload.status == 200 and outcome.payload.json else None


def refuses_the_token(response: Record) -> bool:
    """Whether the platform itself refuses the token. The same status with other words comes from a login page, a
    firewall or a proxy, which say nothing of it."""
    if response.status not in (401, 403):
        return False
    try:
        return "auth token" in json.loads(response.body)["error"].lower()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False


def _is_page(response: Record) -> bool:
    return not response.json and response.body.lstrip().startswith(b"<")


def _in_front(response: Record) -> str:
    if not response.body.strip():
        said = "without a word"
    elif _is_page(response):
        said = "with a web page"
    else:
        said = f"with other words than the platform's ({_words(response)})"
    return (
        f"HTTP {response.status} {said}, so that something in front of the platform answered: look for a login page, a "
        "firewall or a proxy, and check the platform's address"
    )


def _excerpt(response: Record) -> str:
    return f"HTTP {response.status} {_words(response)}".rstrip()


def _words(response: Record) -> str:
    return one_line(response.body.decode(errors="replace").strip())[:_SHOWN]
