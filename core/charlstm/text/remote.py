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
from typing import ClassVar
from urllib.parse import urlsplit

from charlstm import storage
from charlstm.errors import TextError
from charlstm.paths import data_dir

TIMEOUT = 20.0
"""Seconds for which a server may be silent."""
_PIECE = 16_384
_REASON = 60
"""Characters that are shown of the words behind a status."""
_ADDRESS = "address"
"""The file beside a fetched text that says where it came from."""

Progress = Callable[[int, int], object]
"""Called with the bytes that have come, and how many there will be (0 if unknown). An exception that it raises stops
the fetching."""


@dataclass(frozen=True, slots=True)
class RemoteText:
    """A text that can be fetched: what is at ``address`` has this ``sha256`` and so many ``bytes``."""

    JSON_FIELDS: ClassVar = ("name", "about", "address", "sha256", "bytes", "licence", "path")

    name: str
    address: str
    sha256: str
    bytes: int
    licence: str
    about: str

    @property
    def file(self) -> Path:
        """Where it is kept. The folder belongs to the sum: with another sum, it is another text."""
        return _folder() / self.sha256[:12] / f"{self.name}.txt"

    @property
    def path(self) -> Path | None:
        """Where it is; None until it is fetched."""
        return self.file if os.path.isfile(self.file) else None

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""


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
    path = text.file
    try:
        if text.path:
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
    """What is at the address: as many bytes as the text has."""
    import requests  # 0.2 s: only when something is fetched

    host, answered, content = text.host, False, bytearray()
    # the content as it is, so that the bytes that have come can be compared with those announced
    headers = {"Accept-Encoding": "identity"}
    try:
        with requests.get(text.address, headers=headers, timeout=TIMEOUT, stream=True) as response:
            host, answered = urlsplit(response.url).hostname or host, True  # of the last redirect
            if response.status_code != requests.codes.ok:
                status = f"{response.status_code} {(response.reason or '')[:_REASON]}".strip()
                raise _not_fetched(text, f"{host} answered {status}; check the address {text.address}")
            if response.headers.get("content-type", "").startswith("text/html"):
                raise _not_fetched(text, f"{host} sent a web page; open {text.address} in a browser to see why")
            length = response.headers.get("content-length", "")
            total = int(length) if length.isdecimal() and len(length) < 20 else text.bytes
            for piece in response.iter_content(_PIECE):
                content += piece
                if max(total, len(content)) > text.bytes:
                    raise _not_fetched(text, f"{host} sends more than the {text.bytes:,} bytes of the text")
                progress(len(content), total)
    except (OSError, ValueError) as error:  # what requests and urllib3 raise
        raise _not_fetched(text, _fault(error, host, answered)) from None
    if len(content) < text.bytes:
        raise _not_fetched(text, f"{host} sent {len(content):,} of {text.bytes:,} bytes; try again later")
    return bytes(content)


def _fault(error: Exception, host: str, answered: bool) -> str:
    """What went wrong with ``host``, which ``answered`` in part or not, and what to do."""
    from requests import exceptions

    said = str(error)
    if isinstance(error, exceptions.Timeout):
        return f"{host} did not answer for {TIMEOUT:g} seconds; try again later"
    if isinstance(error, exceptions.SSLError):
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return f"{host} has no valid certificate; do not use it on this connection"
        return f"{host} does not encrypt the connection in a way that is known here; try again later"
    if isinstance(error, exceptions.ContentDecodingError):
        return f"{host} sent compressed text that is damaged; try again later"
    if isinstance(error, exceptions.TooManyRedirects):
        return f"{host} redirects without end; try again later"
    if answered:
        return f"the connection to {host} was cut or disturbed; try again"
    if "RemoteDisconnected" in said or "ConnectionReset" in said:
        return f"{host} ended the connection without an answer; try again later"
    if isinstance(error, exceptions.InvalidHeader) or "Connection aborted" in said:
        return f"{host} did not answer as a web server does; try again later"
    if isinstance(error, ValueError):
        return f"{host} redirects to what is no address of a web server; try again later"
    return f"{host} cannot be reached; check the connection to the internet"


def _not_fetched(text: RemoteText, reason: str) -> TextError:
    return TextError(f"{text.name} was not fetched, and nothing was kept: {reason}")
