"""The one loop: carries out the component's turns.

Everything but `open` and `call` belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any, NamedTuple

from ._clock import Clock, Count
from ._files import Files
from ._guest import Guest, GuestDown
from ._http import Http
from ._lock import one_line
from ._presence import Busy
from ._values import Case, Record

_log = logging.getLogger("molecule_runtime")

_LEVELS = {"error": logging.ERROR, "info": logging.INFO, "warn": logging.WARNING}
# The one workspace of a runtime.
WORKSPACE = 0


class Dialogue(NamedTuple):
    """A dialogue that was opened."""

    name: int
    # Which instance of the component knows it.
    instance: int
    turn: Record


class Ports:
    """The powers that the component lacks."""

    def __init__(self, http: Http, files: Files, clock: Clock) -> None:
        self.http = http
        self.files = files
        self.clock = clock
        self.busy = Busy()
        self.arrivals = Count()
        self.hints = Count()
        self._reports: set[asyncio.Task[Case]] = set()

    def perform(self, effect: Case) -> None:
        """Carries out an effect: cannot fail, and does not block."""
        tag, asked = effect
        if tag == "arrived":
            self.arrivals.raise_to(asked.count)
        elif tag == "log":
            _log.log(_LEVELS.get(asked.level, logging.INFO), "%s", one_line(asked.text))
        elif tag == "look-again":
            self.hints.add_one()
        elif tag == "report":
            report = asyncio.get_running_loop().create_task(self.http.send(asked))
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)
        elif tag == "working":
            self.busy.active_tasks, self.busy.current_task = asked.active_tasks, asked.current_task
        elif tag == "ring":
            # The program that embeds this is never idle: it asks for messages itself.
            pass
        else:
            # Nothing here uses it, and no promise depends on it.
            _log.debug("the effect %s is not carried out", tag)

    async def carry_out(self, asked: Case) -> Case:
        """What became of the `next` of a turn that does not end the dialogue."""
        tag, what = asked
        if tag == "send":
            return await self.http.send(what)
        if tag == "store":
            return await self.files.store(what.change)
        if tag == "rest":
            await self._rest(what)
            return Case("rested")
        if tag == "listen":
            await self._earliest(self.hints.over(what.hints_over), what.until)
            return Case("heard", self.hints.value)
        if tag == "take-over":
            why = await self.files.take_over()
            return Case("rested") if why is None else Case("refused", why)
        if tag == "sweep":
            return Case("swept", [])
        if tag == "upload":
            return Case("refused", "this host sends no files")
        if tag == "fetch":
            return Case("refused", "this host keeps no files")
        return Case("refused", f"this host does not do {tag}")

    async def _rest(self, rest: Record) -> None:
        if rest.arrivals_over is None:
            await self.clock.until(rest.until)
        else:
            await self._earliest(self.arrivals.over(rest.arrivals_over), rest.until)

    async def _earliest(self, change: Any, until: int) -> None:
        await race(change, self.clock.until(until))


class Driver:
    """Opens dialogues and carries them out."""

    def __init__(self, guest: Guest, ports: Ports) -> None:
        self.guest = guest
        self.ports = ports
        self._loop = asyncio.get_running_loop()
        self._names = itertools.count(1)
        # Over all instances of the component, each of which begins at 0.
        self._arrivals = _Arrivals()
        self.stops = Count()
        self.handled = asyncio.Event()
        self._is_unsettled = False
        guest.on_stop = lambda: self._on_loop(self._stopped)

    def open(self, function: str, *arguments: Any, reads: int = 0) -> Dialogue:
        """Opens a dialogue, on any thread. Raises `GuestDown`."""
        name, instance = next(self._names), self.guest.stops
        turn = self.guest.call(function, name, *arguments, self.ports.clock.now(), reads=reads)
        return Dialogue(name, instance, turn)

    async def drive(self, dialogue: Dialogue) -> Record | None:
        """Carries out all turns, and gives the answer, if there is one. Cancelling it cancels the dialogue.

        Raises `GuestDown` when the component stopped, in this dialogue or in another one.
        """
        name, instance, turn = dialogue
        answer: Record | None = None
        is_over = False
        try:
            while True:
                for effect in turn.effects:
                    self._perform(instance, effect)
                tag, what = turn.next
                if tag == "finish":
                    is_over = True
                    return what.payload if what.tag == "answer" else answer
                if tag == "reply":
                    # Whoever called has the answer as soon as this returns.
                    answer, outcome = what, Case("replied")
                else:
                    outcome = await self._carry_out(instance, turn.next)
                if instance != self.guest.stops:
                    raise GuestDown("the sandboxed tool logic stopped: another call stopped it")
                turn = self.guest.resume(name, outcome, self.ports.clock.now())
        finally:
            if not is_over:
                self._give_up(name, instance)

    async def settle(self) -> None:
        """Brings the cursor file up to date, if messages were dealt with since that was done last."""
        if self._is_unsettled:
            self._is_unsettled = False
            await self.drive(self.open("inbox.settle", WORKSPACE))

    async def _carry_out(self, instance: int, asked: Case) -> Case:
        if asked.tag == "store":
            # To its end, so that no other change of the file overtakes it.
            return await self.ports.carry_out(asked)
        if asked.tag == "rest" and asked.payload.arrivals_over is not None:
            seen = self._arrivals.over_all(instance, asked.payload.arrivals_over)
            asked = Case("rest", Record(**{**vars(asked.payload), "arrivals_over": seen}))
        outcome = await race(self.ports.carry_out(asked), self.stops.over(instance))
        return outcome if isinstance(outcome, Case) else Case("refused", "the component stopped")

    def _perform(self, instance: int, effect: Case) -> None:
        if effect.tag == "arrived":
            count = self._arrivals.over_all(instance, effect.payload.count)
            self.ports.perform(Case("arrived", Record(count=count)))
        elif effect.tag == "handled":
            self._is_unsettled = True
            self.handled.set()
        # What another instance was busy with has ended with it.
        elif effect.tag != "working" or instance == self.guest.stops:
            self.ports.perform(effect)

    def _give_up(self, name: int, instance: int) -> None:
        if instance != self.guest.stops:
            return
        try:
            effects = self.guest.call("dialogues.cancel", name, self.ports.clock.now())
        except GuestDown:
            return
        for effect in effects:
            self._perform(instance, effect)

    def _stopped(self) -> None:
        # The next instance does not know what the one before was busy with.
        self.ports.busy.active_tasks, self.ports.busy.current_task = 0, ""
        self.stops.raise_to(self.guest.stops)

    def _on_loop(self, work: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            # The runtime has ended.
            pass


class _Arrivals:
    """How many messages have arrived, over all instances of the component."""

    def __init__(self) -> None:
        self._instance = 0
        self._before = 0
        self._all = 0

    def over_all(self, instance: int, count: int) -> int:
        if instance < self._instance:
            return self._all
        if instance > self._instance:
            self._instance, self._before = instance, self._all
        count += self._before
        self._all = max(self._all, count)
        return count


async def race(*coroutines: Any) -> Any:
    """The result of the one that ends first; the others are cancelled, and awaited."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
