"""Files of a workspace: names, modes, the lock, and who may change what."""

import asyncio
import os
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from molecule_runtime import _disk, _lock
from molecule_runtime._disk import Paths
from molecule_runtime._files import Files, Writer
from molecule_runtime._lock import Leader, Lock, Requests
from molecule_runtime._values import Case, Record


class InADirectory(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)
        self.paths = Paths.of(self.place / "state", "https://acme.example.com", "w")


class Names(InADirectory):
    def test_they_are_those_of_the_native_host(self):
        # printf 'https://acme.example.com\nw' | sha256sum
        self.assertEqual(self.paths.journal.name, ".mcp_inbox_e5494d5acbbeb8b7.journal")
        self.assertEqual(self.paths.secret.name, ".platform_inbound_secret")


class Changes(InADirectory):
    def setUp(self):
        super().setUp()
        self.writer = Writer(self.paths)

    def append(self, *records):
        return self.writer.change(Case("append", Record(records=list(records), sync=True)))

    def cursor(self, known, row):
        return self.writer.change(Case("cursor", Record(known=known, id=row)))

    def test_files_are_open_to_this_user_alone_whatever_the_umask(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.assertIsInstance(self.writer.lead(), Lock)
        self.writer.saved()
        for outcome in (self.append("a"), self.cursor(None, "row-1"), self.writer.change(Case("inbound-secret", "s"))):
            self.assertEqual(outcome, Case("stored"))
        for path in [*self.paths.directory.iterdir(), self.paths.directory]:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path)

    def test_a_cursor_that_another_program_has_moved_is_left_alone(self):
        self.cursor(None, "row-1")
        self.paths.cursor.write_text("row-9")

        outcome = self.cursor("row-1", "row-2")

        self.assertEqual(outcome.tag, "refused")
        self.assertEqual(self.paths.cursor.read_text(), "row-9")

    def test_a_journal_that_was_replaced_takes_nothing(self):
        self.writer.saved()
        self.append("a")
        _disk.replace(self.paths.journal, self.paths.journal.read_bytes())

        outcome = self.append("b")

        self.assertEqual(outcome.tag, "store-failed")
        self.assertIn("another program has replaced it", outcome.payload)

    def test_who_follows_changes_nothing_but_the_secret(self):
        other = _lock.take(self.paths.lock)
        self.addCleanup(other.release)
        self.assertIsInstance(self.writer.lead(), Leader)

        self.assertEqual(self.append("a").tag, "store-failed")
        self.assertEqual(self.writer.change(Case("inbound-secret", "s")), Case("stored"))

    def test_a_removed_lock_stops_changes_until_it_is_taken_anew(self):
        self.writer.lead()
        self.writer.saved()
        self.paths.lock.unlink()

        self.assertIn("was removed", self.append("a").payload)
        self.assertTrue(self.writer.still_leads())
        self.assertEqual(self.append("a"), Case("stored"))

    def test_a_file_that_cannot_be_written_says_what_to_do(self):
        (self.place / "state").write_text("no directory")

        self.assertIn("File exists", self.writer.lead())


class Locks(InADirectory):
    def test_another_process_is_told_from_this_one_by_the_kernel(self):
        taken = _lock.take(self.paths.lock)
        script = (
            "import fcntl, os, sys\n"
            "handle = os.open(sys.argv[1], os.O_RDWR)\n"
            "try: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "except BlockingIOError: print('held')\n"
            "else: print('free')\n"
        )
        look = lambda: subprocess.check_output([sys.executable, "-c", script, self.paths.lock], text=True).strip()
        self.assertEqual(look(), "held")
        leader = _lock.take(self.paths.lock)
        self.assertTrue(str(leader).startswith(f"process {os.getpid()}, since 2"), leader)
        self.assertEqual(_lock.holder(self.paths.lock), leader)

        taken.release()

        self.assertEqual(look(), "free")
        self.assertIsNone(_lock.holder(self.paths.lock))

    def test_a_leader_is_told_with_the_time_of_its_last_call(self):
        taken = _lock.take(self.paths.lock)
        self.assertIn("no tool so far", str(_lock.holder(self.paths.lock)))
        taken.note_call()
        self.assertIn("within the last minute", str(_lock.holder(self.paths.lock)))
        taken.sign("2026-01-01T00:00:00Z")
        self.assertRegex(str(_lock.holder(self.paths.lock)), r"\d+ min ago")
        self.paths.lock.write_text("words\nof another version")
        self.assertEqual(str(_lock.holder(self.paths.lock)), "words of another version")
        taken.release()

    def test_a_leader_hears_who_asks_and_without_a_leader_nothing_is_asked(self):
        self.paths.directory.mkdir()
        self.assertFalse(_lock.request(self.paths.requests))
        requests = Requests(self.paths.requests)
        self.assertIsNone(requests.next())
        self.assertTrue(_lock.request(self.paths.requests))
        self.assertEqual(requests.next(), os.getpid())
        requests.close()
        self.assertFalse(_lock.request(self.paths.requests))

    def test_a_request_is_good_until_its_deadline(self):
        for requests, now, process in [
            (b"7 100\n", 100, 7),
            (b"7 100\n", 101, None),
            (b"7 300\n8 200\n9 100\n", 150, 8),
            (b"\n7\nx 100\n7 x\n-1 100\n\xff \xff\n", 0, None),
        ]:
            self.assertEqual(_lock.in_time(requests, now), process, requests)


class Reading(InADirectory):
    def test_what_is_no_file_is_refused_without_waiting(self):
        fifo, link, large = (self.place / name for name in ("fifo", "link", "large"))
        os.mkfifo(fifo)
        link.symlink_to(large)
        large.write_text("12345")
        for path in (self.place, fifo, Path("/dev/null")):
            with self.assertRaisesRegex(OSError, "not a regular file"):
                _disk.read(path, 100)
        with self.assertRaisesRegex(OSError, "is a link"):
            _disk.read(link, 100)
        with self.assertRaisesRegex(OSError, "larger than 4 bytes"):
            _disk.read(large, 4)
        self.assertEqual(_disk.read(link, 5, follow_links=True).content, b"12345")

    def test_without_a_directory_nothing_is_kept_and_that_is_said(self):
        async def store():
            files = Files(None)
            outcome = await files.store(Case("append", Record(records=["a"], sync=True)))
            files.close()
            return outcome

        self.assertEqual(asyncio.run(store()).tag, "store-failed")
