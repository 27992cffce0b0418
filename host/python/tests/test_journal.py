"""What a journal keeps, and that its bytes are those of the native host."""

import base64
import json
import unittest
from pathlib import Path

from molecule_runtime._journal import Journal, framed, recover

VECTORS = Path(__file__).parents[3] / "tests/languages/journal.json"


class FakeDisk:
    """A file in memory that fails at will."""

    def __init__(self, content=None):
        self.content = content
        self.calls = []
        self.fails = None

    def _call(self, name):
        self.calls.append(name)
        if self.fails == name:
            raise OSError("on purpose")

    def read(self, limit):
        self._call("read")
        return self.content

    def truncate(self, length):
        self._call("truncate")
        self.content = self.content[:length]

    def append(self, end, content):
        self._call("append")
        assert end == len(self.content)
        self.content += content

    def sync(self):
        self._call("sync")

    def replace(self, content):
        self._call("replace")
        self.content = content

    def put_aside(self):
        self._call("put_aside")


class Vectors(unittest.TestCase):
    """The same file is read by the tests of each host."""

    def test_what_is_recovered(self):
        for case in json.loads(VECTORS.read_text())["recovered"]:
            with self.subTest(case["what"]):
                found = recover(base64.b64decode(case["base64"]))
                self.assertEqual(
                    (found.records, found.damaged_after, found.torn, str(found.next)),
                    (case["records"], case["damaged_after"], case["torn"], case["next"]),
                )

    def test_what_is_written(self):
        for case in json.loads(VECTORS.read_text())["framed"]:
            self.assertEqual(framed(case["records"], case["first"]), base64.b64decode(case["base64"]))


class Changes(unittest.TestCase):
    def test_only_what_has_to_survive_a_power_cut_is_synced(self):
        journal = Journal(FakeDisk(framed(["a"], 1)))
        journal.read()

        journal.append(["b"], False)
        journal.append(["c"], True)

        self.assertEqual(journal.disk.calls, ["read", "append", "append", "sync"])
        self.assertEqual(recover(journal.disk.content).records, ["a", "b", "c"])

    def test_a_cut_at_any_byte_costs_nothing_but_the_torn_line(self):
        whole = framed(["one", "two", "three"], 1)
        for cut in range(len(whole) + 1):
            journal = Journal(FakeDisk(whole[:cut]))
            before = journal.read().records
            journal.append(["next"], True)

            found = recover(journal.disk.content)
            self.assertEqual((found.records, found.damaged_after, found.torn), ([*before, "next"], None, 0))

    def test_after_a_failed_sync_nothing_is_taken_until_it_is_rewritten(self):
        journal = Journal(FakeDisk(framed(["a"], 1)))
        journal.read()
        journal.disk.fails = "sync"
        with self.assertRaises(OSError):
            journal.append(["b"], True)
        journal.disk.fails = None
        journal.read()
        with self.assertRaisesRegex(OSError, "has to be rewritten"):
            journal.append(["c"], True)

        journal.rewrite(["d"], True)
        journal.append(["e"], True)

        self.assertEqual(recover(journal.disk.content).records, ["d", "e"])

    def test_a_record_that_would_break_a_line_is_refused_and_changes_nothing(self):
        journal = Journal(FakeDisk(framed(["a"], 1)))
        journal.read()
        for record in ("two\nlines", "a\0b"):
            with self.assertRaises(OSError):
                journal.append([record], True)
        journal.append(["b"], True)
        self.assertEqual(recover(journal.disk.content).records, ["a", "b"])

    def test_a_journal_is_read_first(self):
        with self.assertRaisesRegex(OSError, "read first"):
            Journal(FakeDisk()).append(["a"], True)
