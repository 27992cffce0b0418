"""The address of the platform, written as every host of the component writes it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*\Z")
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?\Z")


@dataclass(frozen=True)
class Platform:
    """Where the platform is."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Raises `ValueError` if `text` is no http or https address without user, query and fragment."""
        wrong = ValueError(f"the platform {text!r} is no http or https address")
        try:
            parts = urlsplit(text.strip().rstrip("/"))
            port = parts.port
        except ValueError:
            raise wrong from None
        host = _host(parts.hostname or "")
        is_bare = "@" not in parts.netloc and not parts.query and not parts.fragment
        is_plain = _PATH.match(parts.path) and not {".", ".."} & set(parts.path.split("/"))
        if parts.scheme not in _DEFAULT_PORTS or host is None or not is_bare or not is_plain:
            raise wrong
        return cls(parts.scheme, host, _DEFAULT_PORTS[parts.scheme] if port is None else port, parts.path)

    @property
    def origin(self) -> str:
        """Scheme, host and port, which is left out where it is the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def __str__(self) -> str:
        return self.origin + self.path

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine or a private network, so that a token may travel without encryption."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return "." not in self.host or self.host.endswith(".localhost")
        return address.is_loopback or address.is_private or address.is_link_local or address.is_unspecified

    def target(self, path: list[str], query: list[tuple[str, str]]) -> str:
        """What a request names. Raises `ValueError` for segments that lead elsewhere."""
        for segment in path:
            if segment in ("", ".", ".."):
                raise ValueError(f"a part of the address is `{segment}`, which names nothing")
        segments = "".join("/" + quote(segment, safe="") for segment in path)
        return self.path + segments + (f"?{urlencode(query)}" if query else "")


def _host(name: str) -> str | None:
    """The host in the one form that it has in addresses; none if it is none."""
    try:
        return ipaddress.ip_address(name).compressed
    except ValueError:
        pass
    try:
        name = name.encode("idna").decode("ascii").lower() if not name.isascii() else name.lower()
    except UnicodeError:
        return None
    # What ends in a number is an address in a form that hosts read differently.
    last = name.rstrip(".").rpartition(".")[2]
    return name if _NAME.match(name) and not last.isdigit() and not last.startswith("0x") else None
