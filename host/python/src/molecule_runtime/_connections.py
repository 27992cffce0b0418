"""Connections with the platform, and one exchange over one of them."""

from __future__ import annotations

import contextlib
import errno
import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ._address import Platform
from ._lock import one_line
from ._values import Case, Record

_T = TypeVar("_T")

_CONNECT_WITHIN_SECS = 5.0
_IDLE_SECS = 30.0
_IDLE_AT_MOST = 8


class Failure(Exception):
    """Why there is no answer."""

    def __init__(self, reason: str, maybe_sent: bool, cut_off: bool = False) -> None:
        super().__init__(reason)
        # One line for a person.
        self.reason = reason
        # Whether a byte of the request may have reached the platform.
        self.maybe_sent = maybe_sent
        # The connection ended before the answer began.
        self.cut_off = cut_off

    @property
    def outcome(self) -> Case:
        """What the component is told."""
        return Case("unreachable", Record(reason=self.reason, maybe_sent=self.maybe_sent))


class Connections:
    """Makes connections, and keeps those that can be used again. For any thread."""

    def __init__(self, platform: Platform, context: ssl.SSLContext | None) -> None:
        self.platform = platform
        self._context = context
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._lock = threading.Lock()

    @property
    def what(self) -> str:
        """Host and port of the platform."""
        return f"{self.platform.host}:{self.platform.port}"

    def take(self, within: float) -> http.client.HTTPConnection:
        """An open connection. Raises `Failure`."""
        while (idle := self._latest()) is not None:
            if _is_open(idle):
                return idle
            idle.close()
        host, port = self.platform.host, self.platform.port
        patience = max(0.001, min(within, _CONNECT_WITHIN_SECS))
        connection = (
            http.client.HTTPSConnection(host, port, timeout=patience, context=self._context)
            if self._context
            else http.client.HTTPConnection(host, port, timeout=patience)
        )
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as cause:
            connection.close()
            raise Failure(self._explain(cause, patience), maybe_sent=False) from None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keeps a connection whose last answer was read to its end."""
        with self._lock:
            if len(self._idle) < _IDLE_AT_MOST:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def close(self) -> None:
        """Closes those that are idle."""
        while (idle := self._latest()) is not None:
            idle.close()

    def _latest(self) -> http.client.HTTPConnection | None:
        with self._lock:
            while self._idle:
                connection, since = self._idle.pop()
                if time.monotonic() - since < _IDLE_SECS:
                    return connection
                connection.close()
        return None

    def _explain(self, cause: Exception, patience: float) -> str:
        what, name = self.what, self.platform.host
        said = one_line(str(getattr(cause, "strerror", None) or cause))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {what} is not trusted ({one_line(cause.verify_message)}): for an authority of "
                "your own, name its file in certificates; otherwise something on the way pretends to be that host"
            )
        if isinstance(cause, ssl.SSLError):
            return f"no secure connection with {what} ({said}): check the platform's address"
        if isinstance(cause, socket.gaierror):
            return f"the name {name} cannot be found ({said}): check the platform's address and the network"
        if isinstance(cause, TimeoutError):
            return (
                f"no connection to {what} within {patience:g} s: check the platform's address, and whether a firewall "
                "is in between"
            )
        if isinstance(cause, ConnectionRefusedError):
            return (
                f"nobody listens at {what} (connection refused): check the platform's address, and whether it runs "
                "there"
            )
        if getattr(cause, "errno", None) in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
            return f"there is no way to {what} ({said}): check the network"
        return f"no connection to {what} ({said}): check the platform's address and the network"


class Exchange:
    """One request and its answer, on the thread that calls `run`; `abort` may come from another one."""

    def __init__(
        self,
        connections: Connections,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        *,
        first_byte: float,
        deadline: float,
    ) -> None:
        self._connections = connections
        self._request = method, target, headers, body
        self._first_byte = first_byte
        self._deadline = deadline
        self._socket: socket.socket | None = None
        self._aborted = False
        self._sent = False
        self._answered = False

    def run(self, body_bytes: int, read: Callable[..., Case]) -> Case:
        """Sends the request and gives what `read` makes of the answer. Raises `Failure`."""
        connection = self._connections.take(self._left)
        self._socket = connection.sock
        keep = False
        try:
            if self._aborted:
                raise Failure("given up", maybe_sent=False)
            response = self._head(connection)
            self._answered = True
            answer = read(response, self._socket, self._deadline, body_bytes, self._connections.platform)
            keep = response.isclosed() and not response.will_close
            return answer
        except (OSError, http.client.HTTPException) as cause:
            said = one_line(str(cause) or type(cause).__name__)
            raise Failure(f"the answer broke off: {said}", maybe_sent=True) from None
        finally:
            self._socket = None
            if keep and not self._aborted:
                self._connections.give_back(connection)
            else:
                connection.close()

    def abort(self) -> None:
        """Breaks off what is under way, if anything is."""
        self._aborted = True
        found = self._socket
        if found is not None:
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def timed_out(self) -> Failure:
        """What it means that everything together took too long."""
        if self._answered:
            return Failure("the answer did not end in time", maybe_sent=True)
        return Failure(f"no answer from {self._connections.what} in time", maybe_sent=self._sent)

    @property
    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _head(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        method, target, headers, body = self._request
        what = self._connections.what
        try:
            connection.sock.settimeout(max(0.001, self._left))
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            self._sent = True
            connection.endheaders(body)
            connection.sock.settimeout(max(0.001, min(self._first_byte, self._left)))
            return connection.getresponse()
        except TimeoutError:
            secs = min(self._first_byte, max(self._left, 0.0)) or self._first_byte
            reason = f"no answer from {what} within {secs:g} s"
            raise Failure(reason, maybe_sent=self._sent) from None
        except (OSError, http.client.HTTPException, ValueError) as cause:
            reason = f"{what}: {one_line(str(cause) or type(cause).__name__)}"
            raise Failure(reason, maybe_sent=self._sent, cut_off=self._sent) from None


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Whether the platform has neither closed an idle connection nor said anything that nobody asked for."""
    if connection.sock is None:
        return False
    try:
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        return not poll.poll(0)
    except (OSError, ValueError):
        return False
