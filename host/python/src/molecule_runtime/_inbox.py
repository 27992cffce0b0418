"""Keeps the inbox of a workspace open, also after the component had to be started again.

    token is taken --> lock taken --> told what is on disk --> fetching --> stopped --> pause
                      ^   |  ^                                |   |                      |
                      |   |  `----------- lock lost ----------'   | handed over          |
                      2 s v                                       v                      |
             another process has it <-- tool called, 10 min -- displaced <- begins anew -'

A process is displaced when the program of another one has asked for the lead. It leaves the lead to others that begin
meanwhile, until it calls a tool itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from ._clock import Count
from ._driver import WORKSPACE, Driver, race
from ._files import Files, Unlocked
from ._guest import GuestDown
from ._lock import Leader, Lock, Requests
from ._values import Record

_log = logging.getLogger("molecule_runtime")

_FIRST_PAUSE_SECS = 1.0
# A message that stops the component each time it is read costs one restart a minute.
_LONGEST_PAUSE_SECS = 60.0
# Takes over within 6 s of the end of another process, with time for reading the disk.
_LOCK_AGAIN_SECS = 2.0
# So many messages that are dealt with one after the other change the cursor file once.
_SETTLE_AFTER_SECS = 0.5
# A lock is lost when its file is removed, which nothing tells.
_LOCK_CHECK_SECS = 60.0
_FILE_LANES = 3
_DISPLACED_SECS = 600.0
# How often it is written down for others that the program calls tools.
_NOTE_CALLS_SECS = 15.0


class Standing:
    """Whether the platform takes the token, and why not."""

    def __init__(self) -> None:
        self.refusal: str | None = None
        self._changes = Count()

    def change(self, refusal: str | None) -> None:
        """Tells those who wait."""
        self.refusal = refusal
        self._changes.add_one()

    async def until(self, is_refused: bool) -> None:
        """Returns once the token is refused, or once it is not."""
        while (self.refusal is not None) != is_refused:
            await self._changes.over(self._changes.value)


class Inbox:
    """Fetches the messages while this process leads, the platform takes the token, and the component runs."""

    def __init__(self, driver: Driver, files: Files, standing: Standing, calls: Count, fetch: bool) -> None:
        self._driver = driver
        self._files = files
        self._standing = standing
        # Rises with each call of a tool.
        self._calls = calls
        self._fetch = fetch
        # What the operator knows.
        self._said: object = None
        # Until when the lead is left to others, and what was called by then.
        self._displaced: tuple[float, int] | None = None

    async def keep_open(self) -> None:
        """Never ends."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECS
        while True:
            opened = loop.time()
            stops = self._driver.guest.stops
            # Where nothing is fetched, nothing else would notice the stop.
            with suppress(GuestDown):
                await race(self._open(), self._driver.stops.over(stops))
            if loop.time() - opened >= _LONGEST_PAUSE_SECS:
                pause = _FIRST_PAUSE_SECS
            _log.warning("the inbox is opened again in %d s", pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECS)

    async def _open(self) -> None:
        """Ends only if the component stops."""
        secret = await self._files.read_secret()
        if secret is not None:
            self._driver.guest.call("secrets.remember", WORKSPACE, secret)
        while True:
            await self._wait_for_the_token()
            await race(self._keep(), self._standing.until(True))
            await self._files.resign()

    async def _wait_for_the_token(self) -> None:
        guest = self._driver.guest
        while (refusal := self._standing.refusal) is not None:
            guest.call("setup.refused", WORKSPACE, refusal)
            await self._standing.until(False)
            guest.call("setup.refused", WORKSPACE, "")

    async def _keep(self) -> None:
        if not self._fetch:
            await asyncio.Event().wait()
        while True:
            await self._stay_displaced()
            await self._follow()
            process = await self._lead()
            if process is None:
                _log.warning("the lock of the inbox was removed or lost, and the inbox is opened again")
                # No pop may act on what was known before the journal is read again.
                self._driver.guest.call("inbox.follow", WORKSPACE, "another process")
            else:
                await self._hand_over(process)

    async def _stay_displaced(self) -> None:
        """Ends when this process may lead again although it was displaced."""
        if self._displaced is None:
            return
        until, called = self._displaced
        told: str | None = None
        while asyncio.get_running_loop().time() < until and self._calls.value == called:
            told = self._tell(str(await self._files.leader() or ""), told)
            await race(self._calls.over(called), asyncio.sleep(_LOCK_AGAIN_SECS))
        self._displaced = None

    async def _follow(self) -> None:
        """Ends when no other process leads any more."""
        told: str | None = None
        while True:
            self._files.led.clear()
            lead = await self._files.lead()
            self._say(lead)
            if not isinstance(lead, Leader):
                return
            told = self._tell(str(lead), told)
            await race(self._files.led.wait(), asyncio.sleep(_LOCK_AGAIN_SECS))

    def _tell(self, leader: str, told: str | None) -> str:
        """Tells the component who leads, unless it was `told` so the last time."""
        if told != leader:
            self._driver.guest.call("inbox.follow", WORKSPACE, leader)
        return leader

    def _say(self, lead: Lock | Leader | Unlocked) -> None:
        """Tells the operator what changed."""
        now: object = lead.who if isinstance(lead, Leader) else lead if isinstance(lead, Unlocked) else None
        before, self._said = self._said, now
        if before == now:
            return
        if isinstance(lead, Leader):
            _log.warning(
                "another process (%s) fetches the messages of this workspace; this one takes over when that one ends, or "
                "when its own agent asks for it (take_over)",
                lead.who,
            )
        elif isinstance(lead, Unlocked):
            _log.warning(
                "the inbox is not locked, so another process on this workspace shows the same messages: %s", lead
            )
        else:
            _log.warning("the other process has ended or handed over, and this one fetches the messages")

    async def _lead(self) -> int | None:
        """Fetches until another process may have taken the lock, or asks for it: then it is that one."""
        saved = await self._files.saved()
        requests = await self._files.requests()
        self._files.doubt.clear()
        tasks: list[Coroutine[Any, Any, int | None]] = [
            self._fetching(saved),
            self._settling(),
            self._noting_calls(),
            self._losing_the_lock(),
        ]
        if requests is not None:
            tasks.append(_next(requests))
        try:
            process: int | None = await race(*tasks)
            return process
        finally:
            if requests is not None:
                requests.close()

    async def _losing_the_lock(self) -> None:
        while await self._files.still_leads():
            await race(self._files.doubt.wait(), asyncio.sleep(_LOCK_CHECK_SECS))

    async def _fetching(self, saved: Record) -> None:
        """Fetches messages, and beside them looks after the files that come with them."""
        driver = self._driver
        reads = sum(map(len, saved.journal))
        opened = driver.open("inbox.open", WORKSPACE, saved, reads=reads)
        lanes = [driver.open("inbox.open-files", WORKSPACE, lane) for lane in range(_FILE_LANES)]
        await asyncio.gather(*(driver.drive(dialogue) for dialogue in [opened, *lanes]))

    async def _settling(self) -> None:
        """Has the cursor file follow what the agent deals with."""
        while True:
            await self._driver.handled.wait()
            self._driver.handled.clear()
            await asyncio.sleep(_SETTLE_AFTER_SECS)
            await self._driver.settle()

    async def _noting_calls(self) -> None:
        seen = 0
        while True:
            await self._calls.over(seen)
            seen = self._calls.value
            await self._files.note_call()
            await asyncio.sleep(_NOTE_CALLS_SECS)

    async def _hand_over(self, process: int) -> None:
        """Lets another process lead; a pop that is not on disk by then says that it is not."""
        # A slow disk is not waited for: the journal says the same as the cursor file.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._driver.settle(), _SETTLE_AFTER_SECS)
        self._driver.guest.call("inbox.follow", WORKSPACE, f"process {process}")
        called = self._calls.value
        await self._files.resign()
        _log.warning(
            "the agent of process %d has asked for the messages of this workspace, and gets them", process
        )
        self._displaced = asyncio.get_running_loop().time() + _DISPLACED_SECS, called


async def _next(requests: Requests) -> int:
    """The process that asks for the lead next."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(requests.handle, arrived.set)
    try:
        while True:
            await arrived.wait()
            arrived.clear()
            process = requests.next()
            if process is not None:
                return process
    finally:
        loop.remove_reader(requests.handle)
