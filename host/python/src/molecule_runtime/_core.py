"""What runs for a workspace: a thread with an event loop of its own, so that a beat waits for no call and no program."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import re
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ._address import Platform
from ._clock import Clock, Count
from ._credentials import Credentials
from ._disk import Paths
from ._driver import WORKSPACE, Dialogue, Driver, Ports
from ._files import Files
from ._guest import Guest, GuestDown
from ._http import Http
from ._inbox import Inbox, Standing
from ._presence import AgentCard, Presence
from ._values import Record

_log = logging.getLogger("molecule_runtime")
_T = TypeVar("_T")

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_ORGANIZATION = re.compile(r"[!-~]{1,128}\Z")
# Before a task that a defect has ended is started again.
_AFTER_A_DEFECT_SECS = 5.0
# For the cursor file at the end.
_LAST_WRITE_SECS = 0.15


@dataclass(frozen=True)
class ToolOptions:
    """How tools answer, and what they may do."""

    # Whether the results of other tools tell of messages that wait.
    notice: bool = True
    # Whether messages that another implementation has fetched meanwhile are shown again.
    redeliver: bool = False
    # Whether answers also carry their facts as JSON.
    structured: bool = False
    # Whether the words of peers are shown without a fence.
    bare_peer_text: bool = False
    # Whether every delegation takes the platform's durable path.
    delegate_durably: bool = False
    # Seconds to poll for the result of a durable delegation.
    durable_budget_secs: int = 300
    # Seconds of waiting that the instructions recommend, 0 to 60.
    poll_timeout_secs: int = 2
    # Role names; any one of them suffices for an action.
    roles: tuple[str, ...] = ("operator",)
    # Roles whose actions are listed here, in place of the built-in ones.
    allowed_actions: Mapping[str, tuple[str, ...]] | None = None
    # 0 is the root of the organisation, which may write GLOBAL memory.
    tier: int = 1

    def settings(self, workspace: str, platform: str, inbox: bool) -> Record:
        """What the component is told."""
        return Record(
            seed=tuple(secrets.randbits(64) for _ in range(4)),
            workspaces=[Record(id=workspace, platform=platform)],
            inbox=inbox,
            redeliver=self.redeliver,
            notice=self.notice,
            structured=self.structured,
            bare_peer_text=self.bare_peer_text,
            delegate_durably=self.delegate_durably,
            durable_budget_secs=self.durable_budget_secs,
            poll_timeout_secs=self.poll_timeout_secs,
            permissions=Record(
                roles=list(self.roles),
                allowed_actions=[(role, list(actions)) for role, actions in (self.allowed_actions or {}).items()],
                tier=self.tier,
            ),
        )


@dataclass(frozen=True)
class Options:
    """What a runtime is made from."""

    platform: str
    workspace: str
    token: str | None = None
    token_file: str | Path | None = None
    state_dir: str | Path | None = None
    presence: bool = True
    inbox: bool = True
    card: AgentCard | None = None
    tools: ToolOptions = ToolOptions()
    organization: str | None = None
    certificates: str | Path | None = None
    allow_http: bool = False


class Closed(RuntimeError):
    """The runtime was closed."""

    def __init__(self) -> None:
        super().__init__("the runtime is closed")


class Core:
    """Tools, presence and inbox of a workspace, for callers on any thread."""

    def __init__(self, options: Options) -> None:
        """Checks everything, and does nothing else. Raises `ValueError`, or `OSError` for the certificates."""
        self._options = options
        platform = Platform.parse(options.platform)
        if platform.scheme == "http" and not platform.is_near and not options.allow_http:
            raise ValueError(
                f"the platform {platform} would get the token without encryption: use https, or allow_http=True"
            )
        if not _ID.match(options.workspace):
            raise ValueError(f"the workspace {options.workspace!r} is not 1 to 128 of A-Z a-z 0-9 _ -")
        if options.organization is not None and not _ORGANIZATION.match(options.organization):
            raise ValueError("the organization is not 1 to 128 visible ASCII characters")
        self._platform = platform
        token_file = None if options.token_file is None else Path(options.token_file).absolute()
        self._credentials = Credentials(options.token, token_file)
        certificates = None if options.certificates is None else Path(options.certificates)
        self._http = Http(platform, options.workspace, self._credentials, options.organization, certificates)
        self._thread: threading.Thread | None = None
        self._standing = Standing()
        self._calls = Count()
        self._closed = False

    @property
    def refusal(self) -> str | None:
        """Why the platform does not take the token, if it does not."""
        return self._standing.refusal

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def start(self) -> None:
        """Loads the component and begins to be present and to fetch messages."""
        if self._thread is not None or self._closed:
            raise RuntimeError("a runtime is started once")
        options = self._options
        settings = options.tools.settings(options.workspace, str(self._platform), options.inbox)
        self._guest = Guest(settings)
        begun: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(begun)), name="molecule-runtime", daemon=True
        )
        self._thread.start()
        begun.result()

    def begin(self, name: str, arguments: Mapping[str, Any] | None) -> Dialogue:
        """Begins a call of a tool. One that needs nothing is over then. Raises `GuestDown`, or `Closed`."""
        text = json.dumps(dict(arguments or {}), ensure_ascii=False)
        self._check_open()
        self._on_loop(self._calls.add_one)
        return self._driver.open("tools.open", name, text)

    def go_on(self, dialogue: Dialogue) -> concurrent.futures.Future[Record]:
        """Carries a call out to its answer. Cancelling the future cancels the call."""
        return self.submit(self._answer(dialogue))

    def submit(self, work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
        """Runs it on the loop of the runtime."""
        self._check_open()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def specs(self) -> list[Record]:
        """All tools."""
        self._check_open()
        return list(self._guest.call("tools.specs"))

    def instructions(self) -> str:
        """What an agent must know to use the tools."""
        self._check_open()
        return str(self._guest.call("tools.instructions"))

    def close(self) -> None:
        """Brings the cursor file up to date, within 150 ms, and ends all work. May be called again."""
        self._closed = True
        if self._thread is None or not self._thread.is_alive():
            return
        self._on_loop(self._ended.set)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _check_open(self) -> None:
        if self._thread is None:
            raise RuntimeError("the runtime is not started: use it in a with statement")
        if self._closed:
            raise Closed

    def _on_loop(self, work: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            raise Closed from None

    async def _answer(self, dialogue: Dialogue) -> Record:
        answer = await self._driver.drive(dialogue)
        if answer is None:
            raise GuestDown("the sandboxed tool logic stopped: the call was lost")
        return answer

    async def _run(self, begun: concurrent.futures.Future[None]) -> None:
        options = self._options
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        clock = Clock()
        files = Files(self._paths())
        ports = Ports(self._http, files, clock)
        self._driver = Driver(self._guest, ports)
        inbox = Inbox(self._driver, files, self._standing, self._calls, options.inbox)
        tasks = [asyncio.create_task(_restarted("the inbox", inbox.keep_open))]
        if options.presence:
            card = options.card or AgentCard(f"molecule-mcp-{options.workspace[:8]}")
            make = lambda: Presence(  # noqa: E731
                options.workspace, card, self._http, self._credentials, clock, ports.busy, self._learn
            )
            tasks.append(asyncio.create_task(_restarted("presence", lambda: self._keep_present(make))))
        begun.set_result(None)
        await self._ended.wait()
        try:
            await asyncio.wait_for(self._driver.settle(), _LAST_WRITE_SECS)
        except (asyncio.TimeoutError, GuestDown):
            # What the agent has dealt with is in the journal; the cursor is for other implementations.
            pass
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        files.close()
        self._http.close()
        self._guest.close()

    def _paths(self) -> Paths | None:
        directory = self._options.state_dir
        if directory is None:
            return None
        return Paths.of(Path(directory).absolute(), str(self._platform), self._options.workspace)

    async def _keep_present(self, make: Callable[[], Presence]) -> None:
        """Registers and beats; after a refusal again once there is another token."""
        while True:
            presence = make()
            refused = await presence.run()
            _log.error("%s", refused)
            self._standing.change(refused)
            await presence.another_token()
            self._standing.change(None)

    def _learn(self, body: bytes) -> None:
        """Shows the component what the platform answers. While it is busy with one body the next are dropped, because
        every beat brings them again."""
        lesson = getattr(self, "_lesson", None)
        if lesson is None or lesson.done():
            self._lesson = self._loop.create_task(self._teach(body))

    async def _teach(self, body: bytes) -> None:
        try:
            await self._driver.drive(self._driver.open("secrets.open", WORKSPACE, body, reads=len(body)))
        except GuestDown as down:
            _log.warning("the answer of the platform was not looked at: %s", down)


async def _restarted(name: str, make: Callable[[], Awaitable[None]]) -> None:
    """Does what `make` makes, and once more a moment later whenever a defect has ended it."""
    while True:
        try:
            await make()
        except Exception:
            _log.exception("%s starts again in %d s", name, _AFTER_A_DEFECT_SECS)
        await asyncio.sleep(_AFTER_A_DEFECT_SECS)
