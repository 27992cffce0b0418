"""Requests to the platform: the one place that uses the token and names the origin.

    request --> address, headers, token --> one connection --> answer within its limits --> outcome
                            ^                                        |
                            +-- once more: another token after 401 --+
                            `-- once more: a GET that was cut off ---'

Redirects are not followed, cookies not kept, answers not expanded, and nothing leaves without a token.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from pathlib import Path

from . import __version__, _answer
from ._address import Platform
from ._connections import Connections, Exchange, Failure
from ._credentials import Credentials, Token
from ._threads import in_thread
from ._values import Case, Record

_log = logging.getLogger("molecule_runtime")

# The platform takes no larger document on any path.
_REQUEST_BODY_BYTES = 16 << 20
# The longest that any exchange may take, whatever the component asks for.
_TOTAL_AT_MOST_MS = 900_000
# The largest message that any platform delivers, with what escapes it.
_ANSWER_AT_MOST = 40 << 20
_METHODS = {"get": "GET", "post": "POST"}


class Http:
    """Exchanges of one workspace with its platform."""

    def __init__(
        self,
        platform: Platform,
        workspace: str,
        credentials: Credentials,
        organization: str | None = None,
        certificates: Path | None = None,
    ) -> None:
        """Raises `OSError` if the file of trusted certificates cannot be used."""
        self._platform = platform
        self._workspace = workspace
        self._credentials = credentials
        self._organization = organization
        context = ssl.create_default_context(cafile=certificates) if platform.scheme == "https" else None
        self._connections = Connections(platform, context)

    async def send(self, request: Record) -> Case:
        """Sends one request: `responded`, `overflowed`, `refused` or `unreachable`.

        After a 401 the token is looked for again, and the request repeated if there is another one. A GET whose
        connection is cut off before the answer is repeated once.
        """
        token = self._credentials.token
        try:
            answer = await self._once_more_if_cut_off(request, token)
            if answer.tag == "responded" and answer.payload.status == 401:
                other = await self._other_token(token)
                if other is not None:
                    answer = await self._exchange(request, other)
        except Failure as failure:
            return failure.outcome
        except ValueError as why:
            return Case("refused", str(why))
        return answer

    async def send_with(self, token: Token, request: Record) -> Case:
        """Sends one request with `token` in place of the one in use, once: outcomes as for `send`."""
        try:
            return await self._exchange(request, token)
        except Failure as failure:
            return failure.outcome

    def close(self) -> None:
        """Closes the connections that are idle."""
        self._connections.close()

    async def _once_more_if_cut_off(self, request: Record, token: Token) -> Case:
        try:
            return await self._exchange(request, token)
        except Failure as failure:
            if request.method != "get" or not failure.cut_off:
                raise
            return await self._exchange(request, token)

    async def _other_token(self, refused: Token) -> Token | None:
        # Another request may have looked already.
        if self._credentials.token == refused:
            await in_thread(self._credentials.reload)
        token = self._credentials.token
        return None if token == refused else token

    async def _exchange(self, request: Record, token: Token) -> Case:
        """One request, one answer, one line in the log."""
        if request.body is not None and len(request.body) > _REQUEST_BODY_BYTES:
            raise ValueError(f"the request is larger than {_REQUEST_BODY_BYTES >> 20} MiB")
        target = self._platform.target(request.path, request.query)
        method, begun = _METHODS[request.method], time.monotonic()
        total = min(request.limits.total_ms, _TOTAL_AT_MOST_MS) / 1_000
        exchange = Exchange(
            self._connections,
            method,
            target,
            self._headers(request, token),
            request.body,
            first_byte=request.limits.first_byte_ms / 1_000,
            deadline=begun + total,
        )
        body_bytes = min(request.limits.body_bytes, _ANSWER_AT_MOST)
        said = "given up"
        try:
            # A platform that sends a byte now and then keeps no limit of a socket.
            answer = await asyncio.wait_for(in_thread(lambda: exchange.run(body_bytes, _answer.read)), total)
            said = str(answer.payload.status) if answer.tag == "responded" else "no usable answer"
            return answer
        except asyncio.TimeoutError:
            failure = exchange.timed_out()
            said = failure.reason
            raise failure from None
        except Failure as failure:
            said = failure.reason
            raise
        finally:
            exchange.abort()
            took = (time.monotonic() - begun) * 1_000
            _log.info("%s %s %s (%d ms)", method, target.partition("?")[0], said, took)

    def _headers(self, request: Record, token: Token) -> list[tuple[str, str]]:
        headers = [
            ("Authorization", f"Bearer {token.reveal()}"),
            ("Origin", self._platform.origin),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"molecule-runtime/{__version__} Python"),
        ]
        if request.identify:
            headers.append(("X-Workspace-Id", self._workspace))
        if self._organization:
            headers.append(("X-Molecule-Org-Id", self._organization))
        if request.body is not None:
            headers.append(("Content-Type", "application/json"))
        if request.body is not None or request.method == "post":
            headers.append(("Content-Length", str(len(request.body or b""))))
        return headers
