"""Fetch texts that are not on this machine: a catalogue of them, and those that the user's configuration lists.

Nothing is fetched unasked. A text is received into memory and written once its SHA-256 is right, so that no part of one
is ever kept.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from charlstm import storage
from charlstm.errors import SettingsError, TextError
from charlstm.paths import config_path, data_dir
from charlstm.text import builtin
from charlstm.toml_files import TomlFile, read_toml

MAX_BYTES = 256_000_000
"""The longest text that is fetched, where its length is not known before."""
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
    """A text that can be fetched: what is at ``address`` has this ``sha256``, and ``bytes`` if that is known."""

    name: str
    address: str
    sha256: str
    bytes: int | None = None
    licence: str = ""
    """Empty for a text of the configuration."""
    about: str = ""

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
        """Its length, to show; empty if that is not known."""
        return "" if self.bytes is None else f"{self.bytes / 1e6:.1f} MB"


@functools.cache
def shipped() -> tuple[RemoteText, ...]:
    """The texts of the catalogue that comes with charlstm."""
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return tuple(RemoteText(name, **values) for name, values in table.items())


def catalogue(own: Iterable[RemoteText] = ()) -> dict[str, RemoteText]:
    """All texts that can be fetched, by name: the user's ``own`` first, which replace others of the same name."""
    found = {each.name: each for each in own}
    return found | {each.name: each for each in shipped() if each.name not in found}


def configured_catalogue() -> dict[str, RemoteText]:
    """All texts that can be fetched, with those of the usual configuration file. What is wrong there is left out."""
    try:
        file = read_toml(config_path(), "configuration")
    except SettingsError:
        return catalogue()
    return catalogue(own_texts(file)[0])


def own_texts(file: TomlFile) -> tuple[tuple[RemoteText, ...], tuple[str, ...]]:
    """The texts of the table ``[texts]`` of a configuration file, and a sentence for each entry that is wrong."""
    table = file.entries.get("texts", {})
    if not isinstance(table, dict):
        return (), (file.located("", "texts", "texts is a table: write [texts], and a text on each line below it"),)
    texts, problems = [], []
    for name, value in table.items():
        try:
            texts.append(_own_text(name, value))
        except SettingsError as error:
            problems.append(file.located("texts", name, error))
    return tuple(texts), tuple(problems)


def _own_text(name: str, value: Any) -> RemoteText:
    if not re.fullmatch(r"\w[\w.+-]{0,99}", name) or builtin.is_builtin(name):
        raise SettingsError(f"{name} cannot name a text: use letters, digits, - and _, and no name of a built-in text")
    right = isinstance(value, dict) and value.keys() == {"address", "sha256"}
    if not right or not all(isinstance(each, str) for each in value.values()):
        raise SettingsError(f'{name} takes an address and a sum: {name} = {{ address = "https://…", sha256 = "…" }}')
    address, sha256 = value["address"], value["sha256"].lower()
    try:
        scheme, host = urlsplit(address).scheme, urlsplit(address).hostname
    except ValueError:
        scheme, host = "", None
    if scheme not in ("https", "http") or not host or not address.isprintable():
        raise SettingsError(f"The address of {name} begins with https:// or http:// and a host, unlike {address!r}")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise SettingsError(f"The sha256 of {name} is the sum of the text, 64 digits from 0 to f")
    return RemoteText(name, address, sha256)


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

    host, most, content = text.host, text.bytes or MAX_BYTES, bytearray()
    # the content as it is, so that the bytes that have come can be compared with those announced
    headers = {"Accept-Encoding": "identity"}
    try:
        with requests.get(text.address, headers=headers, timeout=TIMEOUT, stream=True) as response:
            if not response.ok:
                status = f"{response.status_code} {response.reason}"
                raise _not_fetched(text, f"{host} answered {status}; check the address {text.address}")
            total = int(response.headers.get("content-length", text.bytes or 0))
            for piece in response.iter_content(_PIECE):
                content += piece
                if max(total, len(content)) > most:
                    raise _not_fetched(text, f"{host} sends more than {most:,} bytes, the most that it may have")
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
