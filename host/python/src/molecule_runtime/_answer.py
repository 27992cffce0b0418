"""Reads an answer within its limits."""

from __future__ import annotations

import http.client
import re
import socket
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from ._address import Platform
from ._connections import Failure
from ._lock import one_line
from ._values import Case, Record

# All header names and values of an answer together.
_HEAD_BYTES = 64 << 10
# Enough to say what went wrong; whatever answers an error with more is not the platform.
_ERROR_BODY_BYTES = 16 << 10
# The platform says 0 in the last second of its window.
_RETRY_AFTER_MS = (1_000, 300_000)
_CHUNK_BYTES = 256 << 10
_ADDRESS_CHARS = 200


def read(
    response: http.client.HTTPResponse, sock: socket.socket, deadline: float, body_bytes: int, platform: Platform
) -> Case:
    """Reads `response`, of which at most `body_bytes` are wanted: `responded` or `overflowed`. Raises `Failure` if
    it is not worth reading, and `OSError` if the connection breaks before the end of the body."""
    _object(response)
    head = _head(response)
    location = response.getheader("Location")
    if 300 <= response.status < 400 and location is not None:
        return Case("responded", Record(**{**head, "json": False, "body": _redirect(platform, location).encode()}))
    is_error = not 200 <= response.status < 300
    limit = min(body_bytes, _ERROR_BODY_BYTES) if is_error else body_bytes
    if not is_error and (response.length or 0) > limit:
        return Case("overflowed")
    body = bytearray()
    while len(body) <= limit:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Failure("the answer did not end in time", maybe_sent=True)
        sock.settimeout(left)
        chunk = response.read(_CHUNK_BYTES)
        if not chunk:
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
            break
        body += chunk
    if len(body) > limit and not is_error:
        return Case("overflowed")
    return Case("responded", Record(**head, body=bytes(body[:limit])))


def _object(response: http.client.HTTPResponse) -> None:
    headers = response.getheaders()
    reason = None
    if not 200 <= response.status < 600:
        reason = f"the answer has the status {response.status}"
    elif sum(len(name) + len(value) for name, value in headers) > _HEAD_BYTES:
        reason = "the head of the answer is too large"
    elif response.getheader("Content-Length") is not None and response.getheader("Transfer-Encoding") is not None:
        reason = "the answer has two lengths"
    elif any(
        name.lower() == "content-encoding" and value.strip().lower() not in ("", "identity") for name, value in headers
    ):
        # Nothing was asked to compress it, and expanding it could fill the memory.
        reason = "the answer is compressed, which was not asked for"
    if reason is not None:
        raise Failure(reason, maybe_sent=True)


def _head(response: http.client.HTTPResponse) -> dict[str, object]:
    server_time = _date(response.getheader("Date"))
    return {
        "status": response.status,
        "json": is_json(response.getheader("Content-Type")),
        "retry_after_ms": retry_after_ms(response.getheader("Retry-After"), server_time),
        "server_time_ms": None if server_time is None else int(server_time.timestamp() * 1_000),
    }


def is_json(kind: str | None) -> bool:
    """Whether a content type is JSON's."""
    essence = (kind or "").split(";")[0].strip().lower()
    return essence == "application/json" or ("/" in essence and essence.endswith("+json"))


def retry_after_ms(text: str | None, server_time: datetime | None) -> int | None:
    """`Retry-After` in seconds or as a date, cut to what is sensible; nothing if it is neither."""
    text = (text or "").strip()
    if re.fullmatch("[0-9]+", text):
        asked = int(text[:12]) * 1_000
    else:
        at = _date(text)
        if at is None:
            return None
        asked = int((at - (server_time or datetime.now(timezone.utc))).total_seconds() * 1_000)
    least, most = _RETRY_AFTER_MS
    return max(least, min(most, asked))


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except (TypeError, ValueError, IndexError):
        return None
    return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found


def _redirect(platform: Platform, location: str) -> str:
    """Where a redirect leads, as a sentence. No user, password, query or fragment."""
    shown = "something that is no address"
    try:
        target = urlsplit(urljoin(platform.origin + "/", location))
        if target.scheme and target.hostname:
            host = f"[{target.hostname}]" if ":" in target.hostname else target.hostname
            port = f":{target.port}" if target.port else ""
            shown = f"{target.scheme}://{host}{port}{target.path}"[:_ADDRESS_CHARS]
    except ValueError:
        pass
    return (
        f"redirected to {one_line(shown)}, which is not followed: the platform's address has to name the one that "
        "answers by itself"
    )
