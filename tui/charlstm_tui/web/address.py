"""HOST:PORT, where the app is served."""

from __future__ import annotations

import re
from dataclasses import dataclass

from charlstm.errors import CharLSTMError

HOST, PORT = "127.0.0.1", 8000
_WRITTEN = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]/\s]*))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by its name or number, and a port."""

    host: str = HOST
    port: int = PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(written: str) -> Address:
    """The address that a person wrote: ``HOST:PORT``, ``HOST`` or ``:PORT``. Raises :class:`CharLSTMError`."""
    found = _WRITTEN.fullmatch(written.strip())
    port = int(found["port"] or PORT) if found else 0
    if found is None or port > 65535:
        raise CharLSTMError(f"{written!r} is no address to serve at: write HOST:PORT, such as {Address()}")
    return Address(found["six"] or found["host"] or HOST, port)
