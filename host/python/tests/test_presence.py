"""When to register and beat, and how an answer of the registry is read."""

import json
import logging
import unittest

from molecule_runtime._presence import read_register
from molecule_runtime._rules import Answer, Plan, Streak, judge, opens
from molecule_runtime._values import Case, Record

START = 1_000
FAILED = Answer("failed", why="no answer")
ACCEPTED = Answer("accepted")


def response(status, body="{}", is_json=True, retry_after_ms=None):
    body = body.encode()
    return Case("responded", Record(status=status, json=is_json, retry_after_ms=retry_after_ms, body=body))


def registered():
    plan = Plan(START)
    plan.registered(ACCEPTED, START, 0.5)
    return plan


class Plans(unittest.TestCase):
    def test_the_register_comes_before_the_first_beat(self):
        plan = Plan(START)
        self.assertEqual(plan.next(), ("register", START))
        plan.registered(ACCEPTED, START + 70, 0.5)
        self.assertEqual(plan.next(), ("beat", START))

    def test_slots_are_counted_from_the_start_and_not_from_the_answer(self):
        plan = registered()
        for answered, due in [(30, 20_000), (20_900, 40_000), (47_000, 60_000), (60_000, 80_000)]:
            plan.beaten(ACCEPTED, START + answered, 0.5)
            self.assertEqual(plan.next(), ("beat", START + due))

    def test_a_lost_beat_is_tried_again_within_its_slot(self):
        plan, now, pauses = registered(), START, []
        for _ in range(6):
            plan.beaten(FAILED, now, 0.5)
            pauses.append(plan.next()[1] - now)
            now = plan.next()[1]
        self.assertEqual(pauses, [1_000, 2_000, 4_000, 4_000, 4_000, 4_000])
        plan.beaten(FAILED, START + 18_000, 0.5)
        self.assertEqual(plan.next()[1], START + 20_000)

    def test_a_wish_to_be_left_alone_is_granted_up_to_a_minute(self):
        for asked, granted in [(5_000, 5_000), (45_000, 45_000), (120_000, 60_000)]:
            plan = registered()
            plan.beaten(Answer("failed", retry_after_ms=asked), START, 0.5)
            self.assertEqual(plan.next()[1], START + granted)

    def test_a_failed_register_is_tried_again_ever_more_slowly(self):
        plan, pauses = Plan(START), []
        for _ in range(8):
            plan.registered(FAILED, START, 0.5)
            pauses.append(plan.register - START)
        self.assertEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])


class Words(unittest.TestCase):
    def test_refusals_are_said_and_then_said_aloud(self):
        streak = Streak("w-1", "the file")
        said = [(count, streak.note(Answer("refused", status=401), 0)) for count in range(1, 51)]
        spoken = [(count, line[0]) for count, line in said if line]
        self.assertEqual(
            spoken,
            [(1, logging.WARNING), (2, logging.WARNING), (3, logging.ERROR), (23, logging.ERROR), (43, logging.ERROR)],
        )

    def test_an_outage_is_said_three_times_and_its_end_once(self):
        streak = Streak("w-1", "the file")
        said = [line for now in range(100) if (line := streak.note(FAILED, now * 1_000))]
        self.assertEqual(len(said), 7)
        self.assertEqual(streak.note(ACCEPTED, 160_000), (logging.INFO, "the heartbeat recovered after 160 s"))
        self.assertIsNone(streak.note(ACCEPTED, 180_000))


class Answers(unittest.TestCase):
    def test_the_status_decides(self):
        for status, kind in [
            (200, "accepted"), (202, "accepted"), (404, "missing"), (410, "removed"), (301, "declined"),
            (400, "declined"), (429, "failed"), (408, "failed"), (500, "failed"), (407, "failed"), (511, "failed"),
        ]:  # fmt: skip
            self.assertEqual(judge(response(status)).kind, kind, status)
        self.assertEqual(judge(response(429)).retry_after_ms, 0)

    def test_only_the_words_of_the_platform_refuse_a_token(self):
        for status, body, refused in [
            (401, '{"error":"invalid workspace auth token"}', True),
            (403, '{"error":"missing workspace auth token","code":7}', True),
            (401, "{}", False),
            (401, '{"error":7}', False),
            (401, "[" * 100_000, False),
            (403, "<html>Sign in to the auth token service</html>", False),
            (401, "", False),
        ]:
            answer = judge(response(status, body))
            self.assertEqual(answer.kind == "refused", refused, body[:50])

    def test_a_web_page_is_no_success(self):
        answer = judge(response(200, "<!doctype html>", is_json=False))
        self.assertIn("in front of the platform", answer.why)
        self.assertEqual(judge(response(200, "", is_json=False)).kind, "accepted")

    def test_what_opens_a_workspace(self):
        self.assertIs(opens(response(200)), True)
        self.assertIs(opens(response(401, '{"error":"invalid workspace auth token"}')), False)
        self.assertIsNone(opens(response(502)))
        self.assertIs(opens(Case("overflowed")), True)

    def test_a_token_is_taken_out_of_a_register(self):
        found = read_register(b'{"status":"registered","auth_token":"canary","platform_inbound_secret":"s"}')
        self.assertEqual(found.body, b'{"status":"registered","platform_inbound_secret":"s"}')
        self.assertEqual(found.issued.reveal(), "canary")
        self.assertNotIn("canary", repr(found))
        for body in (b"", b"ok", b"[]", b'{"auth_token":"canary"', b"\0", b"[" * 100_000):
            self.assertEqual(read_register(body).body, b"")
        for token in ("", None, 7, "two words"):
            self.assertIsNone(read_register(json.dumps({"auth_token": token}).encode()).issued)
