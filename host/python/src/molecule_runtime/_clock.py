"""The clock that goes on while the machine sleeps."""

from __future__ import annotations

import asyncio
import time

_ALSO_ASLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# The timers of asyncio stand still while the machine sleeps.
_LOOK_EVERY_SECS = 5.0


def boot_ms() -> int:
    """Milliseconds of this clock, which all processes of the machine count alike."""
    return time.clock_gettime_ns(_ALSO_ASLEEP) // 1_000_000


class Clock:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._start = boot_ms()

    def now(self) -> int:
        """Milliseconds since the start."""
        return boot_ms() - self._start

    async def until(self, instant: int) -> None:
        """Returns at `instant`, or within 5 s of waking up after it."""
        while (left := (instant - self.now()) / 1_000) > 0:
            await asyncio.sleep(min(left, _LOOK_EVERY_SECS))


class Count:
    """A number that only rises, and those who wait for that. Lives on one event loop."""

    def __init__(self) -> None:
        self.value = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def raise_to(self, value: int) -> None:
        """Wakes those who wait, unless the number is an old one."""
        if value <= self.value:
            return
        self.value = value
        for each in self._waiting:
            if not each.done():
                each.set_result(None)

    def add_one(self) -> None:
        """Raises it by one."""
        self.raise_to(self.value + 1)

    async def over(self, seen: int) -> None:
        """Returns once it exceeds `seen`."""
        while self.value <= seen:
            changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(changed)
            try:
                await changed
            finally:
                self._waiting.discard(changed)
