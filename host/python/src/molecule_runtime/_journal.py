"""A file of records that are only ever added: the same bytes as the native host's.

What a record means is the component's business. A line is

    <CRC-32C of everything after the first blank, 8 hex digits> <number, from 1> <record>\\n

The numbers rise by one, so a missing, doubled or displaced line is noticed, and the lines that check can be put back
into order.

    unread -- read --> open <-- rewritten -- broken
                         `- a write or sync failed -^
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from crc32c import crc32c

# The largest message of the platform, escaped.
RECORD_BYTES = 40 << 20
# What fits the memory of the component twice, with all that can wait in it.
JOURNAL_BYTES = 96 << 20
_SUM_BYTES = 9
_MOST_LINES = 2**64 - 1
_NUMBER = re.compile(r"\+?[0-9]+\Z", re.ASCII)


class Disk(Protocol):
    """What a journal needs of a disk: one file that may not exist. Each raises `OSError`."""

    def read(self, limit: int) -> bytes | None:
        """Everything in the file; none if there is no file."""

    def truncate(self, length: int) -> None:
        """Cuts the file that was read to `length` bytes."""

    def append(self, end: int, content: bytes) -> None:
        """Adds to the file that was read or replaced last, which has to end at `end`."""

    def sync(self) -> None:
        """Afterwards everything appended survives a power cut."""

    def replace(self, content: bytes) -> None:
        """Makes the file, or replaces it as a whole; afterwards that survives a power cut."""

    def put_aside(self) -> None:
        """Keeps a copy of the file for people, if there is one; called before `replace`."""


@dataclass
class Recovered:
    """What was found in a journal."""

    # The records that check, in the order of their numbers.
    records: list[str] = field(default_factory=list)
    # How many of them stand before the first damage; none if nothing is missing.
    damaged_after: int | None = None
    # Bytes at the end that belong to no whole line.
    torn: int = 0
    # The number that the next line gets.
    next: int = 1


def recover(content: bytes) -> Recovered:
    """Reads the lines of a journal. Any bytes will do; nothing is trusted that does not check."""
    *whole, rest = content.split(b"\n")
    checked = [_checked(line) for line in whole]
    # No line has a NUL: what holds one is not the beginning of a line.
    broken = None in checked or b"\0" in rest
    # Doubled blocks give doubled lines, displaced ones numbers out of order.
    lines = sorted((line for line in checked if line is not None), key=lambda line: line[0])
    lines = [line for place, line in enumerate(lines) if place == 0 or line != lines[place - 1]]
    in_sequence = _sequence([number for number, _ in lines])
    last = lines[-1][0] if lines else 0
    missing = broken or in_sequence < len(lines)
    return Recovered(
        records=[record for _, record in lines],
        damaged_after=in_sequence if missing else None,
        torn=len(rest),
        next=min(last + 1, _MOST_LINES),
    )


def _sequence(numbers: list[int]) -> int:
    """How many lines have the numbers from 1 on, each one once."""
    expected = 0
    while expected < len(numbers) and numbers[expected] == expected + 1:
        expected += 1
    # Two different lines with the same number: nobody knows which one is the right one.
    doubled = 0 < expected < len(numbers) and numbers[expected] == numbers[expected - 1]
    return expected - 1 if doubled else expected


def _checked(line: bytes) -> tuple[int, str] | None:
    """Number and record of a line that checks."""
    total, payload = line[:_SUM_BYTES], line[_SUM_BYTES:]
    if total != _sum(payload):
        return None
    try:
        number, blank, record = payload.decode().partition(" ")
    except UnicodeDecodeError:
        return None
    if not blank or not _NUMBER.match(number) or int(number) > _MOST_LINES:
        return None
    return int(number), record


def _sum(payload: bytes) -> bytes:
    return b"%08x " % crc32c(payload)


def framed(records: list[str], first: int) -> bytes:
    """The lines of `records`, the first of which gets the number `first`."""
    lines = []
    for number, record in enumerate(records, first):
        content = record.encode()
        if len(content) > RECORD_BYTES or b"\n" in content or b"\0" in content:
            raise OSError("a record is too long, or has a line break or a NUL")
        payload = b"%d %s" % (number, content)
        lines.append(_sum(payload) + payload + b"\n")
    return b"".join(lines)


@dataclass
class _Open:
    exists: bool
    # Where its last whole line ends.
    end: int
    # Whether something is behind that.
    torn: bool
    # The number that the next line gets.
    next: int


class Journal:
    """A journal on a disk."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._open: _Open | None = None
        self._closed = "has to be read first"
        self._broken = False

    def read(self) -> Recovered:
        """Reads the file, and changes nothing. A journal that broke stays so: what can be read is not what is on the
        disk. Raises `OSError` if the file cannot be read; the journal then takes nothing until it was rewritten."""
        try:
            content = self.disk.read(JOURNAL_BYTES)
        except OSError as cause:
            if not self._broken:
                self._open, self._closed = None, f"has to be rewritten, because it {cause}"
            raise
        found = recover(content or b"")
        if not self._broken:
            length = len(content or b"")
            self._open = _Open(content is not None, length - found.torn, found.torn > 0, found.next)
        return found

    def append(self, records: list[str], sync: bool) -> None:
        """Adds records, in order; with `sync` they survive a power cut when this returns. Raises `OSError`: if they
        could not be written or synced, the journal takes nothing more until it was rewritten."""
        found = self._open
        if found is None:
            raise OSError(f"it {self._closed}")
        lines = framed(records, found.next)
        _check_length(found.end + len(lines))
        try:
            self._add(found, lines, sync)
        except OSError as cause:
            self._break(cause)
            raise
        self._open = _Open(True, found.end + len(lines), False, found.next + len(records))

    def rewrite(self, records: list[str], keep_copy: bool) -> None:
        """Puts `records` in place of everything: afterwards the file is the old one or the new one. Raises `OSError`;
        the journal then takes nothing more until this succeeds."""
        lines = framed(records, 1)
        _check_length(len(lines))
        try:
            if keep_copy:
                self.disk.put_aside()
            self.disk.replace(lines)
        except OSError as cause:
            self._break(cause)
            raise
        self._open = _Open(True, len(lines), False, len(records) + 1)
        self._broken = False

    def _add(self, found: _Open, lines: bytes, sync: bool) -> None:
        if not found.exists:
            self.disk.replace(lines)
            return
        if found.torn:
            self.disk.truncate(found.end)
        self.disk.append(found.end, lines)
        if sync:
            self.disk.sync()

    def _break(self, cause: OSError) -> None:
        self._open, self._broken = None, True
        self._closed = f"has to be rewritten, because it could not be written: {cause}"


def _check_length(length: int) -> None:
    if length > JOURNAL_BYTES:
        raise OSError("it is full, and has to be rewritten")
