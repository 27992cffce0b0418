"""Reads and replaces files so that a crash leaves the old one or the new one, and nobody else can look in."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from dataclasses import dataclass
from pathlib import Path

OWNER_ONLY = 0o600
_OWNER_ONLY_DIRECTORY = 0o700
_TEMPORARY = (".molecule-mcp-", ".tmp")
# A temporary file lives for milliseconds; another process may be writing a younger one.
_LEFT_BEHIND_SECS = 60
# Copies show what went wrong, and hold messages.
_COPY_KEPT_SECS = 7 * 24 * 3_600
# Whatever is at a path is opened without waiting for anything, such as the other end of a pipe.
FLAGS = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NO_LINK = FLAGS | os.O_NOFOLLOW


class Unreadable(OSError):
    """Why there is nothing to read. The text follows the name of the file."""

    absent = False


@dataclass
class SmallFile:
    """What a file held at one moment."""

    content: bytes
    status: os.stat_result

    def text(self) -> str | None:
        """The text without a byte order mark and without white space around it; none unless it is UTF-8."""
        try:
            return self.content.decode().lstrip("\ufeff").strip()
        except UnicodeDecodeError:
            return None

    def word(self) -> str | None:
        """The one word of visible ASCII that is all there is in the file."""
        text = self.text()
        return text if text and all("!" <= letter <= "~" for letter in text) else None

    @property
    def is_private(self) -> bool:
        """Whether nobody else can read or change it."""
        return self.is_own and not self.status.st_mode & 0o077

    @property
    def is_own(self) -> bool:
        """Whether it belongs to this user."""
        return self.status.st_uid == os.geteuid()


def read(path: Path, limit: int, follow_links: bool = False) -> SmallFile:
    """Reads `path` if it is a regular file of at most `limit` bytes. Raises `Unreadable`."""
    try:
        handle = os.open(path, os.O_RDONLY | (FLAGS if follow_links else _NO_LINK))
    except OSError as cause:
        raise _unreadable(cause) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise Unreadable("is not a regular file")
    with os.fdopen(handle, "rb", buffering=0) as file:
        content = bytearray()
        while len(content) <= limit and (chunk := file.read(min(1 << 20, limit + 1 - len(content)))):
            content += chunk
    if len(content) > limit:
        raise Unreadable(f"is larger than {limit} bytes")
    return SmallFile(bytes(content), status)


def _unreadable(cause: OSError) -> Unreadable:
    if cause.errno in (errno.ENOENT, errno.ENOTDIR):
        absent = Unreadable("does not exist")
        absent.absent = True
        return absent
    if cause.errno == errno.ELOOP:
        return Unreadable("is a link, which is not followed")
    if cause.errno in (errno.ENXIO, errno.ENODEV):
        return Unreadable("is not a regular file")
    if cause.errno in (errno.EACCES, errno.EPERM):
        return Unreadable("cannot be read: permission denied")
    return Unreadable(f"could not be read: {cause.strerror}")


def replace(path: Path, content: bytes) -> tuple[int, int]:
    """Makes the file, or replaces it as a whole, links included; returns what tells the new file from others."""
    make_directory(path.parent)
    temporary = path.parent / f"{_TEMPORARY[0]}{secrets.token_hex(8)}{_TEMPORARY[1]}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, OWNER_ONLY)
    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                os.fchmod(handle, OWNER_ONLY)
            write_all(file.fileno(), content)
            os.fsync(handle)
            identity = identity_of(os.fstat(handle))
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)
    return identity


def remove(path: Path) -> None:
    """Removes `path`, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        sync_directory(path.parent)


def write_all(handle: int, content: bytes) -> None:
    """Writes all of it, or raises."""
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def make_directory(path: Path) -> None:
    """Makes `path` and what is missing above it, open to nobody else, whatever the umask."""
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        os.mkdir(path, _OWNER_ONLY_DIRECTORY)
    except FileExistsError:
        if path.is_dir():
            return
        raise
    with contextlib.suppress(OSError):
        os.chmod(path, _OWNER_ONLY_DIRECTORY)
    # A parent that may be entered and not read cannot be synced, and is no reason to keep nothing.
    with contextlib.suppress(OSError):
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes sure of the names in a directory, where its file system can."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as cause:
        if cause.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Which file it is, whatever its name."""
    return status.st_dev, status.st_ino


def sweep(directory: Path) -> None:
    """Removes what a crash left behind; failing at that harms nobody."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            if name.startswith(_TEMPORARY[0]) and name.endswith(_TEMPORARY[1]):
                _remove_if_older(directory / name, _LEFT_BEHIND_SECS)


def _remove_if_older(path: Path, secs: float) -> None:
    with contextlib.suppress(OSError):
        found = path.lstat()
        is_own_file = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if is_own_file and time.time() - found.st_mtime >= secs:
            os.unlink(path)


@dataclass(frozen=True)
class Paths:
    """The files of one workspace, which the native host names alike."""

    directory: Path
    stem: str
    suffix: str

    @classmethod
    def of(cls, directory: Path, platform: str, workspace: str) -> Paths:
        """In `directory`, for `workspace` on `platform`."""
        digest = hashlib.sha256(f"{platform}\n{workspace}".encode()).hexdigest()
        return cls(directory, f".mcp_inbox_{digest[:16]}", workspace[:8])

    def _named(self, end: str) -> Path:
        return self.directory / f"{self.stem}.{end}"

    @property
    def cursor(self) -> Path:
        """Shared with other programs, which know no other name."""
        return self.directory / ".mcp_inbox_cursor"

    @property
    def former_cursor(self) -> Path:
        """What the cursor file is named where a process acts for several workspaces; read, and never written."""
        return self.directory / f".mcp_inbox_cursor_{self.suffix}"

    @property
    def secret(self) -> Path:
        return self.directory / ".platform_inbound_secret"

    @property
    def journal(self) -> Path:
        return self._named("journal")

    @property
    def lock(self) -> Path:
        return self._named("lock")

    @property
    def requests(self) -> Path:
        """The fifo through which another process asks for the lock."""
        return self._named("requests")

    @property
    def copies(self) -> tuple[Path, Path]:
        """What damaged journals were, the newest first."""
        return self._named("damaged-1"), self._named("damaged-2")


class JournalFile:
    """A journal's place in a directory. What is appended goes to the very file that was read or made."""

    def __init__(self, paths: Paths) -> None:
        self._path = paths.journal
        self._copies = paths.copies
        self._identity: tuple[int, int] | None = None
        self._file: int | None = None

    def remove_old_copies(self) -> None:
        """Removes copies of damaged journals that are a week old."""
        for copy in self._copies:
            _remove_if_older(copy, _COPY_KEPT_SECS)

    def read(self, limit: int) -> bytes | None:
        self.close()
        try:
            found = read(self._path, limit)
        except Unreadable as why:
            if why.absent:
                return None
            raise
        self._identity = identity_of(found.status)
        return found.content

    def truncate(self, length: int) -> None:
        handle, _ = self._open()
        os.ftruncate(handle, length)

    def append(self, end: int, content: bytes) -> None:
        handle, length = self._open()
        if length != end:
            raise OSError("another program has changed it")
        write_all(handle, content)

    def sync(self) -> None:
        # What was appended is in this file, whatever its path names by now.
        handle = self._file if self._file is not None else self._open()[0]
        getattr(os, "fdatasync", os.fsync)(handle)

    def replace(self, content: bytes) -> None:
        self.close()
        self._identity = replace(self._path, content)

    def put_aside(self) -> None:
        newest, older = self._copies
        try:
            current = identity_of(self._path.lstat())
        except FileNotFoundError:
            return
        with contextlib.suppress(FileNotFoundError):
            if identity_of(newest.lstat()) == current:
                return
            os.rename(newest, older)
        try:
            os.link(self._path, newest, follow_symlinks=False)
        except OSError:
            # Not every file system has second names. Then there is no journal for a moment, which costs repeats.
            os.rename(self._path, newest)
        # Its week begins here.
        with contextlib.suppress(OSError):
            os.utime(newest, follow_symlinks=False)

    def close(self) -> None:
        """Lets go of the file."""
        self._identity = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> tuple[int, int]:
        """The file, if its path still names it, and its length."""
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | _NO_LINK)
                with contextlib.suppress(OSError):
                    os.fchmod(self._file, OWNER_ONLY)
                # A process that ended in the middle of replacing it may have left its name unsynced.
                sync_directory(self._path.parent)
            named = identity_of(self._path.lstat())
        except FileNotFoundError:
            raise OSError("somebody has removed it") from None
        status = os.fstat(self._file)
        if self._identity != identity_of(status) or identity_of(status) != named:
            raise OSError("another program has replaced it")
        return self._file, status.st_size
