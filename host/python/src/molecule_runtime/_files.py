"""The files of a workspace: the cursor of the inbox, its journal, and the inbound secret.

Changes happen one after the other, on a thread of their own. Who follows changes neither cursor nor journal: another
process keeps them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from . import _disk, _lock
from ._disk import JournalFile, Paths, Unreadable
from ._journal import Journal
from ._lock import Leader, Lock, Requests
from ._threads import Worker
from ._values import Case, Record

_log = logging.getLogger("molecule_runtime")
_T = TypeVar("_T")

_CURSOR_BYTES = 256
_SECRET_BYTES = 64 << 10
# How long the lead is waited for, once it was asked for: longer than the request is good.
_HANDED_OVER_SECS = 6.0
# How often the lock is tried meanwhile, so that no other process is faster.
_TRY_AGAIN_SECS = 0.01
_ADVICE = {
    errno.EFBIG: "; raise the limit on the size of files (ulimit -f)",
    errno.ENOSPC: "; make room there",
    errno.EDQUOT: "; make room there",
    errno.EACCES: "; let this user write there, or use another state_dir",
    errno.EPERM: "; let this user write there, or use another state_dir",
    errno.EROFS: "; let this user write there, or use another state_dir",
}


class Unlocked(str):
    """Why there can be no lock; this process leads all the same."""


class Files:
    """The files of a workspace in one directory; with none, nothing is kept."""

    def __init__(self, paths: Paths | None) -> None:
        self._writer = Writer(paths) if paths else None
        self._thread = Worker("molecule-files")
        # Told when a change has found that the lock may be another process's by now.
        self.doubt = asyncio.Event()
        # Told when this process has got the lead because its program asked for it.
        self.led = asyncio.Event()

    async def store(self, change: Case) -> Case:
        """Carries out a change: `stored` once it would survive a crash, else `store-failed` or `refused`. It goes on
        to its end also if the waiting for it is given up."""
        if self._writer is None:
            return Case("store-failed", "nothing is kept: give the runtime a state_dir")
        outcome: Case = await self._write(lambda writer: writer.change(change))
        if self._writer.in_doubt_of_lock:
            self.doubt.set()
        return outcome

    async def saved(self) -> Record:
        """What is on disk, for the process that leads the inbox."""
        nothing = Record(cursor=None, journal=[], damaged_after=None)
        return nothing if self._writer is None else await self._write(Writer.saved)

    async def lead(self) -> Lock | Leader | Unlocked:
        """Takes the lock of the inbox, if nobody else has it."""
        if self._writer is None:
            return Unlocked("nothing is kept: give the runtime a state_dir")
        return await self._write(Writer.lead)

    async def take_over(self) -> str | None:
        """Asks the process that leads to hand over, and leads; says why, if that one does not."""
        leader = await self._other_leader()
        if leader is None:
            return None
        asked = await self._write(Writer.request_lead)
        if asked is not True:
            why = f" ({asked})" if isinstance(asked, str) else ""
            return _silent(leader, f"cannot be asked to hand over{why}")
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _HANDED_OVER_SECS
        while loop.time() < give_up:
            await asyncio.sleep(_TRY_AGAIN_SECS)
            other = await self._other_leader()
            if other is None:
                return None
            if other.who != leader.who:
                return f"{other.who} was faster, and leads now"
        return _silent(leader, "does not answer: it may be stopped, or hang")

    async def _other_leader(self) -> Leader | None:
        lead = await self.lead()
        if isinstance(lead, Leader):
            return lead
        self.led.set()
        return None

    async def requests(self) -> Requests | None:
        """The requests of other processes for the lead. None if there can be none."""
        return None if self._writer is None else await self._write(Writer.requests)

    async def resign(self) -> None:
        """Gives the lock back, once each change that has begun is made."""
        if self._writer is not None:
            await self._write(Writer.resign)

    async def leader(self) -> Leader | None:
        """The process that leads, if another one does."""
        return None if self._writer is None else await self._write(Writer.leader)

    async def note_call(self) -> None:
        """Writes down for other processes that the program calls a tool."""
        if self._writer is not None:
            await self._write(Writer.note_call)

    async def still_leads(self) -> bool:
        """Whether nobody else can have changed the files since `lead`."""
        self.doubt.clear()
        return self._writer is None or await self._write(Writer.still_leads)

    async def read_secret(self) -> str | None:
        """The secret on disk; none if there is no such file, or anything else in it."""
        return None if self._writer is None else await self._write(Writer.read_secret)

    def close(self) -> None:
        """Gives everything back, once each change that has begun is made."""
        self._thread.close(self._writer.resign if self._writer else lambda: None)

    async def _write(self, work: Callable[[Any], _T]) -> _T:
        return await self._thread.run(lambda: work(self._writer))


def _silent(leader: Leader, how: str) -> str:
    return (
        f"{leader.who} {how}. While it lives it could still write, so nothing was taken from it: {leader.end_it}, and "
        "this process takes over by itself within 6 s"
    )


class Writer:
    """Changes the files, one after the other: not to be used by two threads at once."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._file = JournalFile(paths)
        self._journal = Journal(self._file)
        self._lock: Lock | None = None
        self._follows = False
        # What this process has wanted the cursor file to hold last: a change that failed may have been made.
        self._wanted: str | None = None
        self._swept = False
        # The last change failed, so that a file that looks right may not survive a crash.
        self._in_doubt = False
        self.in_doubt_of_lock = False
        self._told: str | None = None

    def lead(self) -> Lock | Leader | Unlocked:
        """Takes the lock, if nobody else has it."""
        if self._lock and self._lock.counts:
            return self._lock
        self._let_go()
        try:
            taken = _lock.take(self._paths.lock)
        except OSError as cause:
            self._follows = False
            return Unlocked(f"{self._paths.lock}: {_reason(cause)}")
        self._follows = isinstance(taken, Leader)
        self._lock = taken if isinstance(taken, Lock) else None
        return taken

    def still_leads(self) -> bool:
        """Whether nobody else can have changed the files. A lock whose file was removed is taken anew."""
        self.in_doubt_of_lock = False
        if self._follows:
            return False
        if self._lock and self._lock.counts:
            return True
        nobody_came = self._lock is None or self._lock.is_removed
        return not isinstance(self.lead(), Leader) and nobody_came

    def resign(self) -> None:
        """Gives the lock back. What was written is on the disk then, as far as that can be made sure."""
        try:
            self._file.sync()
        except OSError:
            # The next leader reads what there is.
            pass
        self._file.close()
        self._journal = Journal(self._file)
        self._let_go()
        self._follows = True

    def requests(self) -> Requests | None:
        """Receives the requests of other processes for the lead; nothing where there is no lock to ask for."""
        if self._lock is None:
            return None
        try:
            return Requests(self._paths.requests)
        except OSError as cause:
            _log.info("no other process can ask for the inbox: %s", cause)
            return None

    def request_lead(self) -> bool | str:
        """Asks the process that leads for the lead: whether it could be asked, or why not."""
        try:
            return _lock.request(self._paths.requests)
        except OSError as cause:
            return str(cause)

    def leader(self) -> Leader | None:
        """The process that leads, if another one does."""
        return _lock.holder(self._paths.lock)

    def note_call(self) -> None:
        """Writes down that the program calls a tool."""
        if self._lock:
            self._lock.note_call()

    def saved(self) -> Record:
        """What is on disk."""
        self._sweep()
        cursor = self._read_cursor()
        try:
            found = self._journal.read()
        except OSError as cause:
            why = f"{self._paths.journal} {cause}"
            if self._told != why:
                _log.warning("%s: messages that it holds may come again", why)
            self._told = why
            return Record(cursor=cursor, journal=[], damaged_after=0)
        return Record(cursor=cursor, journal=found.records, damaged_after=found.damaged_after)

    def read_secret(self) -> str | None:
        """The secret; a warning if others can read it."""
        path = self._paths.secret
        found = _read(path, _SECRET_BYTES)
        if found and not found.is_private:
            mode = found.status.st_mode & 0o7777
            _log.warning("%s is open to other users (mode %04o): run chmod 600 %s", path, mode, path)
        return found.word() if found else None

    def change(self, change: Case) -> Case:
        """Carries out a change of the interface `types`."""
        if change.tag != "inbound-secret":
            if self._follows:
                return Case("store-failed", "another process keeps the inbox")
            if self._lock and not self._lock.counts:
                self.in_doubt_of_lock = True
                why = f"{self._paths.lock} was removed: leave it alone while the program runs"
                return Case("store-failed", why)
        self._sweep()
        path = {"cursor": self._paths.cursor, "inbound-secret": self._paths.secret}.get(
            change.tag, self._paths.journal
        )
        try:
            return self._carry_out(change, path)
        except OSError as cause:
            return Case("store-failed", f"{path}: {_reason(cause)}")

    def _carry_out(self, change: Case, path: Path) -> Case:
        asked = change.payload
        if change.tag == "append":
            self._journal.append(asked.records, asked.sync)
        elif change.tag == "rewrite":
            self._file.remove_old_copies()
            self._journal.rewrite(asked.records, asked.keep_copy)
        elif change.tag == "inbound-secret":
            self._replace(path, asked)
        elif change.tag == "cursor":
            return self._move_cursor(path, asked)
        else:
            return Case("refused", f"this host knows no change of the kind {change.tag}")
        return Case("stored")

    def _move_cursor(self, path: Path, asked: Record) -> Case:
        try:
            held = _disk.read(path, _CURSOR_BYTES).word()
        except OSError:
            held = None
        if held is not None and held not in (asked.known, asked.id, self._wanted):
            why = f"{path} was changed by another program: let only one program use this directory"
            return Case("refused", why)
        self._wanted = asked.id
        if asked.id is None:
            self._note(lambda: _disk.remove(path))
        else:
            self._replace(path, asked.id)
        return Case("stored")

    def _replace(self, path: Path, content: str) -> None:
        wanted = content.encode()
        try:
            found = _disk.read(path, _SECRET_BYTES)
            is_done = found.content == wanted and found.is_private
        except OSError:
            is_done = False
        if self._in_doubt or not is_done:
            self._note(lambda: _disk.replace(path, wanted))

    def _note(self, change: Callable[[], object]) -> None:
        self._in_doubt = True
        change()
        self._in_doubt = False

    def _read_cursor(self) -> str | None:
        paths = self._paths
        path = paths.cursor if os.path.exists(paths.cursor) else paths.former_cursor
        found = _read(path, _CURSOR_BYTES)
        return found.word() if found else None

    def _let_go(self) -> None:
        if self._lock:
            self._lock.release()
            self._lock = None

    def _sweep(self) -> None:
        """Removes what earlier processes left behind."""
        if not self._swept:
            self._swept = True
            _disk.sweep(self._paths.directory)
            self._file.remove_old_copies()


def _read(path: Path, limit: int) -> _disk.SmallFile | None:
    try:
        return _disk.read(path, limit)
    except Unreadable as why:
        if not why.absent:
            _log.warning("%s %s, and is ignored", path, why)
        return None


def _reason(cause: OSError) -> str:
    return (cause.strerror or str(cause)) + _ADVICE.get(cause.errno or 0, "")
