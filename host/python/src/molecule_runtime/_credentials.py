"""The workspace's token: held here, shown to nobody, unknown to the component."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from . import _disk

_log = logging.getLogger("molecule_runtime")

_LONGEST = 16 << 10
_FILE_BYTES = 64 << 10
# What stands where a token was meant to be: a shell would have replaced it, configurations hand it on as it is.
_PLACEHOLDERS = [
    (re.compile(r"\$\{[^}]+\}"), "${NAME}"),
    (re.compile(r"(?<![A-Za-z0-9$_\\])\$[A-Z_][A-Z0-9_]+|\A\$[A-Za-z_]"), "$NAME"),
    (re.compile(r"(?<![A-Za-z0-9])%[A-Za-z_][A-Za-z0-9_]{2,}%"), "%NAME%"),
    (re.compile(r"<[A-Za-z][^<>]{0,59}>"), "<…>"),
]


class Token:
    """A bearer token: 1 to 16,384 visible ASCII characters. Prints as `[token]`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Raises `ValueError` if it could not stand in a header, or cannot be a token. The text follows the name of
        where it stands, and does not show it."""
        text = text.strip()
        if not text:
            raise ValueError("is empty")
        for pattern, shape in _PLACEHOLDERS:
            if pattern.search(text):
                raise ValueError(
                    f"still holds {shape} in place of the token, and nothing has replaced it: write the token itself"
                )
        if len(text.split()) > 1:
            raise ValueError("contains internal whitespace, but one token and nothing else is expected")
        if len(text) > _LONGEST:
            raise ValueError(f"is longer than {_LONGEST} characters, which no token is")
        if not all("!" <= letter <= "~" for letter in text):
            raise ValueError("contains a character that is not visible ASCII, which no token does")
        self._text = text

    def reveal(self) -> str:
        """The token itself, for the `Authorization` header and nothing else."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "[token]"

    __str__ = __repr__


class Credentials:
    """The token in use, and its source: the program, or a file that is read again after a 401."""

    def __init__(self, token: str | None, file: Path | None) -> None:
        """Raises `ValueError` if there is no token."""
        if (token is None) == (file is None):
            raise ValueError("a runtime needs a token or a token_file, and not both")
        self._file = file
        try:
            self.token = Token(token) if token is not None else _read(file)
        except (ValueError, OSError) as why:
            raise ValueError(f"{self.source} {why}") from None
        # The token of the source that opens nothing any more.
        self._given_up: Token | None = None

    @property
    def source(self) -> str:
        """Where the token came from, as it reads after "the token from"."""
        return str(self._file) if self._file else "the program"

    def adopt(self, token: Token) -> None:
        """Uses `token` from here on, which came from elsewhere: that of the source opens nothing any more."""
        self._given_up, self.token = self.token, token

    def reload(self) -> bool:
        """Looks at the source again; true if it holds another token than before, which is used from here on. A file
        that is gone or no longer holds a token changes nothing."""
        if self._file is None:
            return False
        try:
            token = _read(self._file)
        except (ValueError, OSError) as why:
            _log.warning("the token stays as it is, because %s %s", self._file, why)
            return False
        if token in (self._given_up, self.token):
            return False
        self.token = token
        return True


def _read(path: Path | None) -> Token:
    assert path is not None
    # Links are followed: mounted secrets are links.
    found = _disk.read(path, _FILE_BYTES, follow_links=True)
    mode = found.status.st_mode & 0o7777
    if not found.is_own:
        if mode & 0o022:
            raise ValueError(
                "belongs to another user and can be changed by others: run chmod 600, or chown, on it"
            )
        _log.warning("token file %s belongs to another user", path)
    elif not found.is_private:
        _log.warning("token file %s is open to other users (mode %04o): run chmod 600 %s", path, mode, path)
    text = found.text()
    if text is None:
        raise ValueError("is not valid UTF-8")
    return Token(text)
