"""The runtime as programs use it: `Runtime` where calls wait, `AsyncRuntime` under asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ._core import Closed, Core, Options
from ._guest import GuestDown
from ._values import Record

# The longest wait of one call.
_WAIT_SECS = 60
# After a call that gave neither a message nor a pause.
_AFTER_TROUBLE_SECS = 1.0


@dataclass(frozen=True)
class Answer:
    """What a tool answers."""

    # Text blocks, in order, at least one.
    texts: tuple[str, ...]
    # Whether the tool failed; the text then says what to do next.
    is_error: bool
    # The same facts, if `ToolOptions.structured` asks for them.
    structured: Any = None

    @property
    def text(self) -> str:
        """All text blocks."""
        return "\n".join(self.texts)


@dataclass(frozen=True)
class Tool:
    """What a model is shown of a tool."""

    name: str
    title: str
    description: str
    # JSON Schema of its arguments.
    input_schema: dict[str, Any]
    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


@dataclass(frozen=True)
class Message:
    """A message to the workspace."""

    # Its id, with which it is popped.
    activity_id: str
    # `canvas_user`, `peer_agent` or `delegation_result`.
    kind: str
    # The workspace that sent it; empty if a person did.
    peer_id: str
    # What it says, in the words of the sender. They are data, and no instruction.
    text: str
    # When the platform took it, in ISO 8601.
    created_at: str
    # All else that `wait_for_message` says of it.
    more: dict[str, Any] = field(default_factory=dict)


class Runtime:
    """The tools of a workspace, its presence and its inbox, for programs without asyncio.

        with Runtime(platform=..., workspace=..., token_file=...) as runtime:
            print(runtime.call_tool("list_peers").text)

    Its methods may be called from any thread.
    """

    def __init__(self, platform: str, workspace: str, **options: Any) -> None:
        """Takes the fields of `Options`. Raises `ValueError` if one of them is wrong, and does nothing else."""
        self._core = Core(Options(platform, workspace, **options))

    def __enter__(self) -> Runtime:
        """Loads the component, which is compiled once a machine, and begins to be present and to fetch messages."""
        self._core.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all work, and waits for that."""
        self._core.close()

    @property
    def refusal(self) -> str | None:
        """Why the platform does not take the token, if it does not; it is asked again once there is another one."""
        return self._core.refusal

    def tools(self) -> list[Tool]:
        """All tools, always in the same order."""
        return [_tool(spec) for spec in self._core.specs()]

    def instructions(self) -> str:
        """What an agent must know to use the tools, for the model's instructions."""
        return self._core.instructions()

    def call_tool(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Answer:
        """Calls a tool; a call that takes longer than `timeout` seconds is cancelled.

        Raises `TimeoutError`; `GuestDown` when the component stopped, after which the call may be made again although
        what it asked for may have been done; `Closed`.
        """
        dialogue = self._core.begin(name, arguments)
        at_once = _at_once(dialogue.turn)
        if at_once is not None:
            return at_once
        going_on = self._core.go_on(dialogue)
        try:
            return _answer(going_on.result(timeout))
        except concurrent.futures.TimeoutError:
            raise TimeoutError(f"{name} has not answered within {timeout} s") from None
        except concurrent.futures.CancelledError:
            raise Closed from None
        finally:
            # Whatever has ended the waiting, also an interrupt from the keyboard.
            going_on.cancel()

    def messages(self) -> Iterator[Message]:
        """The messages, oldest first, without end. A message is removed from the inbox when the next one is asked for,
        so that one that was not handled comes again, also after a crash. Ends when the runtime is closed."""
        given: str | None = None
        while True:
            try:
                if given is not None:
                    # One that could not be removed comes again, as it does after a crash.
                    self.call_tool("inbox_pop", {"activity_id": given})
                    given = None
                waited = self.call_tool("wait_for_message", {"timeout_secs": _WAIT_SECS}).texts[0]
            except Closed:
                return
            except GuestDown:
                time.sleep(_AFTER_TROUBLE_SECS)
                continue
            message = _message(waited)
            if message is not None:
                given = message.activity_id
                yield message
            elif not _is_timeout(waited):
                time.sleep(_AFTER_TROUBLE_SECS)


class AsyncRuntime:
    """The tools of a workspace, its presence and its inbox, for programs with asyncio.

    Presence and inbox run on a thread of their own, so that a program that computes does not go offline.
    """

    def __init__(self, platform: str, workspace: str, **options: Any) -> None:
        """Takes the fields of `Options`. Raises `ValueError` if one of them is wrong, and does nothing else."""
        self._core = Core(Options(platform, workspace, **options))

    async def __aenter__(self) -> AsyncRuntime:
        """As `Runtime.__enter__`."""
        await asyncio.to_thread(self._core.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all work, and waits for that."""
        await asyncio.to_thread(self._core.close)

    @property
    def refusal(self) -> str | None:
        """As `Runtime.refusal`."""
        return self._core.refusal

    def tools(self) -> list[Tool]:
        """All tools, always in the same order."""
        return [_tool(spec) for spec in self._core.specs()]

    def instructions(self) -> str:
        """What an agent must know to use the tools, for the model's instructions."""
        return self._core.instructions()

    async def call_tool(self, name: str, arguments: Mapping[str, Any] | None = None) -> Answer:
        """Calls a tool. Cancelling the task cancels the call. Raises `GuestDown` and `Closed` as `Runtime.call_tool`."""
        dialogue = self._core.begin(name, arguments)
        at_once = _at_once(dialogue.turn)
        if at_once is not None:
            return at_once
        going_on = self._core.go_on(dialogue)
        try:
            return _answer(await asyncio.wrap_future(going_on))
        except asyncio.CancelledError:
            if self._core.is_closed and going_on.cancelled():
                raise Closed from None
            raise

    async def messages(self) -> AsyncIterator[Message]:
        """As `Runtime.messages`."""
        given: str | None = None
        while True:
            try:
                if given is not None:
                    await self.call_tool("inbox_pop", {"activity_id": given})
                    given = None
                waited = (await self.call_tool("wait_for_message", {"timeout_secs": _WAIT_SECS})).texts[0]
            except Closed:
                return
            except GuestDown:
                await asyncio.sleep(_AFTER_TROUBLE_SECS)
                continue
            message = _message(waited)
            if message is not None:
                given = message.activity_id
                yield message
            elif not _is_timeout(waited):
                await asyncio.sleep(_AFTER_TROUBLE_SECS)


def _at_once(turn: Record) -> Answer | None:
    """The answer of a call that needs nothing."""
    tag, finish = turn.next
    is_over = tag == "finish" and finish.tag == "answer" and not turn.effects
    return _answer(finish.payload) if is_over else None


def _answer(answer: Record) -> Answer:
    structured = None if answer.structured is None else json.loads(answer.structured)
    return Answer(tuple(answer.text), answer.is_error, structured)


def _tool(spec: Record) -> Tool:
    return Tool(
        name=spec.name,
        title=spec.title,
        description=spec.description,
        input_schema=json.loads(spec.input_schema),
        read_only=spec.read_only,
        destructive=spec.destructive,
        idempotent=spec.idempotent,
        open_world=spec.open_world,
    )


def _message(text: str) -> Message | None:
    """The message that an answer of `wait_for_message` is, if it is one."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not {"activity_id", "kind", "text"} <= found.keys():
        return None
    named = {name: str(found.pop(name, "")) for name in ("activity_id", "kind", "peer_id", "text", "created_at")}
    return Message(**named, more=found)


def _is_timeout(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("timeout") is True
