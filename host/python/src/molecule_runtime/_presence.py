"""Registers the workspace and keeps it alive. Waits for its platform and for nothing else."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import _rules
from ._clock import Clock
from ._credentials import Credentials, Token
from ._http import Http
from ._lock import one_line
from ._rules import Answer, Plan, Streak
from ._threads import in_thread
from ._values import Record

_log = logging.getLogger("molecule_runtime")

_REGISTER_LIMITS = Record(first_byte_ms=10_000, total_ms=10_000, body_bytes=1 << 20)
_BEAT_LIMITS = Record(first_byte_ms=8_000, total_ms=8_000, body_bytes=64 << 10)
_LOOK_LIMITS = Record(first_byte_ms=5_000, total_ms=5_000, body_bytes=1 << 20)
# How often the source of a refused token is looked at.
_LOOK_AGAIN_MS = 60_000
_INTEGER = 2**31 - 1


@dataclass(frozen=True)
class AgentCard:
    """What other workspaces see of the workspace."""

    name: str
    description: str | None = None
    skills: list[str] = field(default_factory=list)


@dataclass
class Busy:
    """What the workspace is busy with."""

    active_tasks: int = 0
    current_task: str = ""


class Presence:
    """Registers and beats. `learn` is shown the body of every success, and must not wait."""

    def __init__(
        self,
        workspace: str,
        card: AgentCard,
        http: Http,
        credentials: Credentials,
        clock: Clock,
        busy: Busy,
        learn: Callable[[bytes], None],
    ) -> None:
        self._workspace = workspace
        self._card = card
        self._http = http
        self._credentials = credentials
        self._clock = clock
        self._busy = busy
        self._learn = learn
        self._start = clock.now()
        self._plan = Plan(self._start)
        self._streak = Streak(workspace, credentials.source)
        # What came with a register, until it is known what it is good for.
        self._issued: Token | None = None

    async def run(self) -> str:
        """Registers, and beats until it is cancelled; ends only if the platform refuses a register before one has
        succeeded, and says so."""
        while True:
            step, due = self._plan.next()
            await self._clock.until(due)
            if step == "beat":
                await self._beat()
            else:
                refused = await self._register()
                if refused:
                    return refused
            await self._settle_issued()

    async def another_token(self) -> None:
        """Returns once the source of the token holds another one than now; looks every minute."""
        refused = self._credentials.token
        while self._credentials.token == refused:
            await self._clock.until(self._clock.now() + _LOOK_AGAIN_MS)
            await in_thread(self._credentials.reload)

    async def _register(self) -> str | None:
        card = {"name": self._card.name}
        if self._card.description is not None:
            card["description"] = self._card.description
        skills = [{"name": name} for name in self._card.skills]
        body = {
            "id": self._workspace,
            "url": "",
            "agent_card": {**card, "skills": skills},
            "delivery_mode": "poll",
        }
        answer = await self._post("register", body, _REGISTER_LIMITS)
        if answer.kind == "refused":
            source, workspace = self._credentials.source, self._workspace
            return (
                f"the platform refused the register (HTTP {answer.status}): the token from {source} is not valid for "
                f"workspace {workspace}; regenerate it in the Tokens tab of the canvas and update {source}"
            )
        if answer.kind == "accepted":
            self._registered(answer.body)
        else:
            why = {
                "missing": "HTTP 404: check the platform's address",
                "removed": "HTTP 410: the workspace was removed from the platform",
            }.get(answer.kind, answer.why)
            _log.warning("workspace %s is not registered, it will be tried again: %s", self._workspace, why)
        self._plan.registered(answer, self._clock.now(), random.random())
        return None

    def _registered(self, body: bytes) -> None:
        _log.info("workspace %s is registered", self._workspace)
        registered = read_register(body)
        if registered.mode not in (None, "poll"):
            _log.warning(
                "the platform delivers the messages of workspace %s by `%s` instead of `poll`: they will not reach the "
                "inbox",
                self._workspace,
                one_line(registered.mode or ""),
            )
        self._learn(registered.body)
        self._issued = registered.issued

    async def _beat(self) -> None:
        uptime = max(0, self._clock.now() - self._start) // 1_000
        # Whatever a beat leaves out is reset on the platform, so each tells everything.
        body = {
            "workspace_id": self._workspace,
            "error_rate": 0.0,
            "sample_error": "",
            "active_tasks": min(self._busy.active_tasks, _INTEGER),
            "uptime_seconds": min(uptime, _INTEGER),
            # The platform's store refuses the whole beat for this one character.
            "current_task": self._busy.current_task.replace("\0", ""),
        }
        answer = await self._post("heartbeat", body, _BEAT_LIMITS)
        now = self._clock.now()
        line = self._streak.note(answer, now)
        if line is not None:
            _log.log(*line)
        self._plan.beaten(answer, now, random.random())
        if answer.kind == "accepted":
            self._learn(answer.body)

    async def _settle_issued(self) -> None:
        """Finds out what a token is good for that came with a register although one was sent. Some platforms issue one
        to everybody, and every platform issues useless ones for deleted workspaces."""
        issued, workspace, source = self._issued, self._workspace, self._credentials.source
        if issued is None:
            return
        opened = _rules.opens(await self._http.send(self._look()))
        if opened:
            _log.info("the platform issued a further token for workspace %s, which is not needed", workspace)
            self._issued = None
        if opened is not False:
            return
        opened = _rules.opens(await self._http.send_with(issued, self._look()))
        if opened is None:
            return
        self._issued = None
        if not opened:
            _log.warning(
                "the platform refuses the token from %s, and issued one that opens nothing: workspace %s was deleted, or "
                "all its tokens were revoked; look for it in the canvas, make a token in its Tokens tab and put it into %s",
                source,
                workspace,
                source,
            )
            return
        self._credentials.adopt(issued)
        _log.warning(
            "the token from %s was revoked, as were all others of workspace %s; the platform issued another one, which is "
            "used until this program ends: make a token in the Tokens tab of the canvas and put it into %s, because the "
            "next start will be refused",
            source,
            workspace,
            source,
        )

    def _look(self) -> Record:
        """The smallest request for which a token has to be the workspace's own."""
        path = ["workspaces", self._workspace, "activity"]
        return _request("get", path, None, _LOOK_LIMITS, [("limit", "1")])

    async def _post(self, endpoint: str, body: Mapping[str, object], limits: Record) -> Answer:
        content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
        request = _request("post", ["registry", endpoint], content, limits, [])
        return _rules.judge(await self._http.send(request))


def _request(
    method: str, path: list[str], body: bytes | None, limits: Record, query: list[tuple[str, str]]
) -> Record:
    return Record(workspace=0, method=method, path=path, query=query, identify=False, body=body, limits=limits)


@dataclass(frozen=True)
class Registered:
    """What is to be known of a successful register."""

    # The answer without any token.
    body: bytes = b""
    mode: str | None = None
    # A token that came although one was sent.
    issued: Token | None = None


def read_register(body: bytes) -> Registered:
    """Looks at the body of a successful register, which may be anything."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return Registered()
    if not isinstance(answer, dict):
        return Registered()
    try:
        token = answer.pop("auth_token", None)
        issued = Token(token) if isinstance(token, str) else None
    except ValueError:
        issued = None
    mode = answer.get("delivery_mode")
    content = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    return Registered(content, mode if isinstance(mode, str) else None, issued)
