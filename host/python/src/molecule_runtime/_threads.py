"""Work that blocks, on threads that do not keep the process from ending."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")
_Job = Callable[[], None]


async def in_thread(work: Callable[[], _T]) -> _T:
    """Does it on a thread of its own. Giving up the waiting does not end the work."""
    job, done = _job(work)
    threading.Thread(target=job, name="molecule-exchange", daemon=True).start()
    return await done


class Worker:
    """One thread that does one thing after the other."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], _T]) -> _T:
        """Does it in its turn, and to its end, also if the waiting is given up."""
        job, done = _job(work)
        self._jobs.put(job)
        return await done

    def close(self, last: _Job) -> None:
        """Does all that was asked for, and `last`."""
        self._jobs.put(last)
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _job(work: Callable[[], _T]) -> tuple[_Job, asyncio.Future[_T]]:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def tell(settle: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            settle(value)

    def job() -> None:
        try:
            result = work()
        except BaseException as cause:
            told: tuple[Callable[[Any], None], Any] = (done.set_exception, cause)
        else:
            told = (done.set_result, result)
        try:
            loop.call_soon_threadsafe(tell, *told)
        except RuntimeError:
            # The loop has ended, and nobody waits any more.
            pass

    return job, done
