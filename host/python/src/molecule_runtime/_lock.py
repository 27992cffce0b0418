"""The right to fetch the messages of a workspace: one process at a time has it, of whatever host.

The lock is the kernel's and ends with the process; the text in its file says who has it, since when, and when its
program called a tool for the last time. If the file is removed, another process can lock the next one of that name: so
a lock counts only for as long as its path names its file.

    follower -- "<process> <deadline>\\n" --> fifo --> leader: stops, syncs, lets go of the lock
        `-- tries the lock until it is free, or the time is over <---------------'
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from . import _disk
from ._clock import boot_ms

# Somebody who only looks holds the lock for some microseconds.
_TRIES = 3
_AFTER_A_LOOKER_SECS = 0.01
_TEXT_BYTES = 400
# How long a request is good: a leader that is not stopped hands over in milliseconds.
_GOOD_FOR_MS = 4_000
_REQUEST_BYTES = 512
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Leader:
    """The process that has the lock, as its file says; for people."""

    who: str
    called: str = ""
    process: int | None = None

    def __str__(self) -> str:
        return f"{self.who}; {self.called}" if self.called else self.who

    @property
    def end_it(self) -> str:
        """What a person can do about it."""
        return "end it" if self.process is None else f"end it (kill {self.process})"


class Lock:
    """The lock, held until it is released or the process ends."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle
        self._since = _now()

    @property
    def counts(self) -> bool:
        """Whether its path names its file."""
        try:
            named = self._path.lstat()
        except OSError:
            return False
        return _disk.identity_of(named) == _disk.identity_of(os.fstat(self._handle))

    @property
    def is_removed(self) -> bool:
        """Whether nothing is at its path, so that nobody can have taken a lock there."""
        return not os.path.lexists(self._path)

    def sign(self, called: str | None = None) -> None:
        """Writes who holds it; a full disk is no reason not to hold it."""
        signature = {"pid": os.getpid(), "since": self._since, "called": called}
        text = json.dumps(signature, separators=(",", ":")).encode() + b"\n"
        with contextlib.suppress(OSError):
            os.fchmod(self._handle, _disk.OWNER_ONLY)
        with contextlib.suppress(OSError):
            # Write before truncating, so that readers never see an empty file.
            os.pwrite(self._handle, text, 0)
            os.ftruncate(self._handle, len(text))

    def note_call(self) -> None:
        """Writes down that the program calls a tool at this moment."""
        self.sign(_now())

    def release(self) -> None:
        """Lets others have it."""
        os.close(self._handle)


def take(path: Path) -> Lock | Leader:
    """Takes the lock, or tells who has it; makes the file and its directory. Raises `OSError` if there can be none."""
    _disk.make_directory(path.parent)
    for _ in range(_TRIES):
        handle = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            time.sleep(_AFTER_A_LOOKER_SECS)
            continue
        except OSError:
            os.close(handle)
            raise
        lock = Lock(path, handle)
        if lock.counts:
            lock.sign()
            return lock
        # Somebody has removed the file in between.
        lock.release()
    return _leader(path)


def holder(path: Path) -> Leader | None:
    """Who holds the lock, if that can be told. Changes nothing, and disturbs nobody who takes it."""
    try:
        handle = _open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _leader(path)
    except OSError:
        return None
    finally:
        os.close(handle)
    return None


def _open(path: Path, flags: int) -> int:
    handle = os.open(path, flags | os.O_NOFOLLOW | _disk.FLAGS, _disk.OWNER_ONLY)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("it is not a regular file")
    return handle


def _leader(path: Path) -> Leader:
    try:
        text = _disk.read(path, _TEXT_BYTES).text() or ""
    except OSError:
        text = ""
    try:
        # Behind it may be the rest of a longer one, until that is cut off.
        signature = json.loads(text.split("\n")[0])
        process, since, called = int(signature["pid"]), str(signature["since"]), signature.get("called")
    except (ValueError, TypeError, KeyError, AttributeError):
        return Leader(one_line(text) or "another process")
    return Leader(one_line(f"process {process}, since {since}"), _ago(called), process)


def _ago(called: object) -> str:
    try:
        minutes = (datetime.now(timezone.utc) - datetime.fromisoformat(str(called).replace("Z", "+00:00"))) / _MINUTE
    except (ValueError, TypeError):
        return "its client has called no tool so far"
    if minutes < 1:
        return "its client called a tool within the last minute"
    return f"its client called a tool {int(minutes)} min ago for the last time"


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def one_line(text: str) -> str:
    """`text` without anything that moves a terminal's cursor."""
    return "".join(" " if letter < " " or "\x7f" <= letter <= "\x9f" else letter for letter in text)


class Requests:
    """The requests of other processes for the lead, which arrive through a fifo that this makes."""

    def __init__(self, path: Path) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, _disk.OWNER_ONLY)
        self.handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | _disk.FLAGS)
        try:
            if not stat.S_ISFIFO(os.fstat(self.handle).st_mode):
                raise OSError("there is something else than a fifo")
            # With one writer that stays, the requests never end.
            self._writer = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | _disk.FLAGS)
        except OSError:
            os.close(self.handle)
            raise

    def next(self) -> int | None:
        """The process that asked last and still waits, if one has asked."""
        try:
            found = os.read(self.handle, _REQUEST_BYTES)
        except BlockingIOError:
            return None
        return in_time(found, boot_ms())

    def close(self) -> None:
        """Receives no more."""
        os.close(self.handle)
        os.close(self._writer)


def request(path: Path) -> bool:
    """Asks the process that reads the fifo at `path` for the lead; false if no process reads it."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | _disk.FLAGS)
    except OSError as cause:
        if cause.errno in (errno.ENOENT, errno.ENXIO):
            return False
        raise
    try:
        if not stat.S_ISFIFO(os.fstat(handle).st_mode):
            return False
        # In one piece: it is shorter than what a pipe takes at once.
        os.write(handle, b"%d %d\n" % (os.getpid(), boot_ms() + _GOOD_FOR_MS))
    finally:
        os.close(handle)
    return True


def in_time(requests: bytes, now: int) -> int | None:
    """The process that asked last, of those whose deadline has not passed."""
    for line in reversed(requests.split(b"\n")):
        process, _, deadline = line.partition(b" ")
        if process.isdigit() and deadline.isdigit() and int(deadline) >= now:
            return int(process)
    return None
