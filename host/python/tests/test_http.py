"""Requests against a server that says what it is told, byte for byte."""

import asyncio
import socket
import tempfile
import threading
import time
import unittest
from contextlib import contextmanager
from pathlib import Path

from molecule_runtime._address import Platform
from molecule_runtime._credentials import Credentials, Token
from molecule_runtime._http import Http
from molecule_runtime._values import Record

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers one connection after the other with what is next; bytes are said after a request, `None` hangs up."""

    def __init__(self, *answers):
        self.requests = []
        self._answers = list(answers)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self._socket:
            while self._answers:
                connection, _ = self._socket.accept()
                with connection:
                    self._answer(connection)

    def _answer(self, connection):
        while self._answers and (request := self._request(connection)):
            self.requests.append(request)
            answer = self._answers.pop(0)
            if answer is None:
                return
            connection.sendall(answer() if callable(answer) else answer)
            if not callable(answer) and b"Content-Length" not in answer:
                return

    @staticmethod
    def _request(connection):
        found = b""
        while b"\r\n\r\n" not in found:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            found += chunk
        head, _, body = found.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        return lines[0], headers, body


def request(method="get", path=("health",), query=(), body=None, identify=False, total_ms=3_000, body_bytes=1_000):
    limits = Record(first_byte_ms=1_000, total_ms=total_ms, body_bytes=body_bytes)
    return Record(
        workspace=0, method=method, path=list(path), query=list(query), identify=identify, body=body, limits=limits
    )


def http(url, token="tok-1", token_file=None):
    return Http(Platform.parse(url), "w-1", Credentials(None if token_file else token, token_file))


def send(url, *requests, **options):
    async def all_of_them():
        client = http(url, **options)
        try:
            return [await client.send(each) for each in requests]
        finally:
            client.close()

    return asyncio.run(all_of_them())


class Requests(unittest.TestCase):
    def test_a_request_says_who_asks_and_nothing_else(self):
        server = Server(OK)
        [outcome] = send(
            server.url + "/api/",
            request("post", ["a/b?c", "é \n"], [("q", "a&b=c d")], b'{"x":1}', identify=True),
        )
        self.assertEqual((outcome.tag, outcome.payload.status, outcome.payload.json), ("responded", 200, True))
        line, headers, body = server.requests[0]
        self.assertEqual(line, "POST /api/a%2Fb%3Fc/%C3%A9%20%0A?q=a%26b%3Dc+d HTTP/1.1")
        self.assertEqual(body, b'{"x":1}')
        self.assertEqual(headers["authorization"], "Bearer tok-1")
        self.assertEqual(headers["origin"], server.url)
        self.assertEqual(headers["x-workspace-id"], "w-1")
        self.assertEqual(headers["accept-encoding"], "identity")
        self.assertEqual(headers["content-type"], "application/json")

    def test_a_connection_is_used_again(self):
        server = Server(OK, OK)
        send(server.url, request(), request())
        self.assertEqual(len(server.requests), 2)

    def test_segments_that_lead_elsewhere_are_refused(self):
        for segment in ("", ".", ".."):
            [outcome] = send("http://127.0.0.1:1", request(path=["workspaces", segment]))
            self.assertEqual(outcome.tag, "refused")

    def test_a_get_that_is_cut_off_is_repeated_once_and_a_post_never(self):
        server = Server(None, OK)
        self.assertEqual(send(server.url, request())[0].payload.status, 200)
        server = Server(None, OK)
        [outcome] = send(server.url, request("post", body=b"{}"))
        self.assertEqual((outcome.tag, outcome.payload.maybe_sent), ("unreachable", True))
        self.assertEqual(len(server.requests), 1)

    def test_a_rotated_token_is_used_after_a_401(self):
        with tempfile.TemporaryDirectory() as place:
            file = Path(place, "token")
            file.write_text("first-token\n")
            file.chmod(0o600)
            refusal = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}"

            def rotate():
                file.write_text("second-token")
                return refusal

            server = Server(rotate, OK, OK)
            outcomes = send(server.url, request(), request(), token_file=file)
        self.assertEqual([outcome.payload.status for outcome in outcomes], [200, 200])
        said = [headers["authorization"] for _, headers, _ in server.requests]
        self.assertEqual(said, ["Bearer first-token", "Bearer second-token", "Bearer second-token"])


class Answers(unittest.TestCase):
    def answer(self, head, body=b"", **options):
        server = Server(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return send(server.url, request(**options))[0]

    def test_a_redirect_is_told_and_not_followed(self):
        outcome = self.answer(
            "HTTP/1.1 302 Found\nLocation: https://user:canary@sso.example/x?next=canary\nContent-Length: 0"
        )
        self.assertEqual(outcome.payload.status, 302)
        self.assertTrue(outcome.payload.body.startswith(b"redirected to https://sso.example/x, which is not followed"))
        self.assertNotIn(b"canary", outcome.payload.body)

    def test_more_than_was_wanted_is_not_kept(self):
        self.assertEqual(
            self.answer("HTTP/1.1 200 OK\nContent-Length: 1001", b"x" * 1_001).tag, "overflowed"
        )
        self.assertEqual(self.answer("HTTP/1.1 200 OK\nConnection: close", b"x" * 1_001).tag, "overflowed")
        self.assertEqual(
            len(self.answer("HTTP/1.1 200 OK\nConnection: close", b"x" * 1_000).payload.body), 1_000
        )
        error = self.answer("HTTP/1.1 500 No\nContent-Length: 20000", b"x" * 20_000, body_bytes=1 << 20)
        self.assertEqual((error.tag, len(error.payload.body)), ("responded", 16 << 10))

    def test_an_answer_that_breaks_off_is_none(self):
        outcome = self.answer("HTTP/1.1 200 OK\nContent-Length: 10", b"half")
        self.assertEqual((outcome.tag, outcome.payload.maybe_sent), ("unreachable", True))
        outcome = self.answer("HTTP/1.1 200 OK\nConnection: close\nTransfer-Encoding: chunked", b"5\r\nhal")
        self.assertEqual(outcome.tag, "unreachable")

    def test_a_compressed_answer_and_one_with_two_lengths_are_refused(self):
        for line in ("Content-Encoding: gzip", "Transfer-Encoding: chunked"):
            outcome = self.answer(f"HTTP/1.1 200 OK\nContent-Length: 2\n{line}", b"{}")
            self.assertEqual(outcome.tag, "unreachable", line)

    def test_how_long_to_wait_is_cut_to_what_is_sensible(self):
        for value, expected in [
            ("5", 5_000), ("0", 1_000), ("99999999999999999999", 300_000), ("-1", None), ("soon", None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", 30_000), ("Sun, 06 Nov 1994 08:00:00 GMT", 1_000),
        ]:  # fmt: skip
            head = f"HTTP/1.1 429 Slow\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nRetry-After: {value}\nContent-Length: 0"
            self.assertEqual(self.answer(head).payload.retry_after_ms, expected, value)

    def test_a_platform_that_drips_is_given_up_in_time(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def drip():
            connection, _ = listener.accept()
            connection.recv(65536)
            try:
                for byte in b"HTTP/1.1 200 OK and more words than anybody waits for":
                    connection.send(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                pass

        threading.Thread(target=drip, daemon=True).start()
        begun = time.monotonic()
        [outcome] = send(f"http://127.0.0.1:{listener.getsockname()[1]}", request(total_ms=300))
        self.assertLess(time.monotonic() - begun, 1.0)
        self.assertEqual((outcome.tag, outcome.payload.maybe_sent), ("unreachable", True))


class Trouble(unittest.TestCase):
    def test_nobody_listens_and_nothing_was_sent(self):
        with closed_port() as port:
            [outcome] = send(f"http://127.0.0.1:{port}", request("post", body=b"{}"))
        self.assertFalse(outcome.payload.maybe_sent)
        self.assertIn("nobody listens at 127.0.0.1:", outcome.payload.reason)

    def test_a_port_without_tls_is_told(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def speak_plainly():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(OK)
                connection.recv(65536)

        threading.Thread(target=speak_plainly, daemon=True).start()
        [outcome] = send(f"https://127.0.0.1:{listener.getsockname()[1]}", request())
        self.assertIn("no secure connection", outcome.payload.reason)
        self.assertFalse(outcome.payload.maybe_sent)


class Addresses(unittest.TestCase):
    def test_one_platform_has_one_address(self):
        for text, expected in [
            ("https://ACME.example.com:443/", "https://acme.example.com"),
            ("http://h.example:80/api/", "http://h.example/api"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ]:
            self.assertEqual(str(Platform.parse(text)), expected)

    def test_what_is_no_address_is_refused(self):
        for text in [
            "acme.example", "ftp://h", "https://user:pw@h", "https://h?q", "https://h#f", "https://", "https://h:x",
            "https://127.1", "https://0x7f.1", "https://h/../x", "https://h/a b", "https://a..b",
        ]:  # fmt: skip
            with self.assertRaises(ValueError, msg=text):
                Platform.parse(text)

    def test_a_token_travels_without_encryption_only_to_what_is_near(self):
        for text, near in [
            ("http://localhost:1", True), ("http://10.0.0.1", True), ("http://platform", True),
            ("http://acme.example", False), ("http://8.8.8.8", False),
        ]:  # fmt: skip
            self.assertEqual(Platform.parse(text).is_near, near, text)


class Tokens(unittest.TestCase):
    def test_a_token_is_one_word_of_visible_ascii(self):
        self.assertEqual(Token(" tok-1\r\n").reveal(), "tok-1")
        for text in ["", " \t\n", "two words", "tök", "a\0b", "${TOKEN}", "$TOKEN", "%TOKEN%", "<your token>", "t" * 16_385]:
            with self.assertRaises(ValueError, msg=text):
                Token(text)
        self.assertNotIn("canary", f"{Token('canary-1')!r} {Token('canary-1')}")


@contextmanager
def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]
