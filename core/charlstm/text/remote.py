"""Fetch texts of a catalogue that are not on this machine.

Nothing is fetched unasked. A text is received into memory and written once its SHA-256 is right, so that no part of one
is ever kept.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from charlstm import storage
from charlstm.errors import TextError
from charlstm.paths import data_dir

TIMEOUT = 20.0
"""Seconds for which a server may be silent."""
_PIECE = 16_384
_ADDRESS = "address"
"""The file beside a fetched text that says where it came from."""

Progress = Callable[[int, int], object]
"""Called with the bytes that have come, and how many there will be (0 if unknown). An exception that it raises stops
the fetching."""


@dataclass(frozen=True, slots=True)
class RemoteText:
    """A text that can be fetched: what is at ``address`` has this ``sha256`` and so many ``bytes``."""

    name: str
    address: str
    sha256: str
    bytes: int
    licence: str
    about: str

    @property
    def path(self) -> Path:
        """Where it is kept. The folder belongs to the sum: with another sum, it is another text."""
        return _folder() / self.sha256[:12] / f"{self.name}.txt"

    @property
    def is_here(self) -> bool:
        """Whether it has been fetched."""
        return os.path.isfile(self.path)

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""

    @property
    def size(self) -> str:
        """Its length, to show."""
        return f"{self.bytes / 1e6:.1f} MB"


@functools.cache
def catalogue() -> dict[str, RemoteText]:
    """All texts that can be fetched, by name."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: RemoteText(name, **values) for name, values in table.items()}


def address_of(path: Path) -> str:
    """The address that the text ``path`` was fetched from; empty for any other file."""
    if path.parent.parent != _folder():
        return ""
    try:
        return (path.parent / _ADDRESS).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def fetch(text: RemoteText, progress: Progress = lambda done, total: None) -> Path:
    """Fetch ``text``, unless it is here already and its sum is right; returns its path.

    Raises :class:`TextError`, and then nothing was kept.
    """
    path = text.path
    try:
        if text.is_here:
            with storage.open_file(path) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == text.sha256:
                    return path
    except OSError as error:
        raise TextError(f"{path} cannot be read ({error.strerror}): remove it, and fetch {text.name} again") from None
    content = _receive(text, progress)
    if (received := hashlib.sha256(content).hexdigest()) != text.sha256:
        raise _not_fetched(text, f"{text.host} sent another text, whose SHA-256 is {received}; try again later")
    try:
        path.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        storage.replace_bytes(path.parent / _ADDRESS, text.address.encode())
        storage.replace_bytes(path, content)
    except OSError as error:
        raise TextError(f"{path} cannot be written ({error.strerror}): check the disk and its permissions") from None
    return path


def _folder() -> Path:
    return data_dir() / "texts"


def _receive(text: RemoteText, progress: Progress) -> bytes:
    """What is at the address, at most as much as the text has."""
    import requests  # 0.2 s: only when something is fetched

    host, content = text.host, bytearray()
    # the content as it is, so that the bytes that have come can be compared with those announced
    headers = {"Accept-Encoding": "identity"}
    try:
        with requests.get(text.address, headers=headers, timeout=TIMEOUT, stream=True) as response:
            if not response.ok:
                status = f"{response.status_code} {response.reason}"
                raise _not_fetched(text, f"{host} answered {status}; check the address {text.address}")
            total = int(response.headers.get("content-length", text.bytes))
            for piece in response.iter_content(_PIECE):
                content += piece
                if max(total, len(content)) > text.bytes:
                    raise _not_fetched(text, f"{host} sends more than the {text.bytes:,} bytes of the text")
                progress(len(content), total)
    except requests.Timeout:
        raise _not_fetched(text, f"{host} did not answer for {TIMEOUT:g} seconds; try again later") from None
    except requests.exceptions.SSLError:
        raise _not_fetched(text, f"{host} has no valid certificate; do not use it on this connection") from None
    except (OSError, ValueError):
        if content:
            raise _not_fetched(text, f"the connection to {host} was cut or disturbed; try again") from None
        raise _not_fetched(text, f"{host} cannot be reached; check the connection to the internet") from None
    return bytes(content)


def _not_fetched(text: RemoteText, reason: str) -> TextError:
    return TextError(f"{text.name} was not fetched, and nothing was kept: {reason}")
