"""Which texts there are to choose from: built in, in ``data/``, used before, and in the folder that is being browsed.

Names and sizes only; what is in them is ``charlstm.text``'s to say. Everything here looks at one folder at a time and
may take a moment on a slow disk: call it off the screen's thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from charlstm.text.builtin import builtins
from charlstm.text.catalogue import recent_texts, remember_text

Entry = TypeVar("Entry", "Text", "Folder")

MOST = 1_000  # entries of one folder that are listed
RECENT = 8
NOT_TEXT = frozenset(
    [
        ".7z",
        ".a",
        ".avi",
        ".bin",
        ".bz2",
        ".class",
        ".db",
        ".dll",
        ".dylib",
        ".exe",
        ".gif",
        ".gz",
        ".ico",
        ".jar",
        ".jpeg",
        ".jpg",
        ".lock",
        ".mkv",
        ".mo",
        ".mov",
        ".mp3",
        ".mp4",
        ".npy",
        ".npz",
        ".o",
        ".ogg",
        ".onnx",
        ".otf",
        ".pkl",
        ".png",
        ".pt",
        ".pth",
        ".net",
        ".pyc",
        ".pyd",
        ".rar",
        ".safetensors",
        ".so",
        ".sqlite",
        ".tar",
        ".tgz",
        ".ttf",
        ".wav",
        ".webm",
        ".webp",
        ".whl",
        ".woff",
        ".woff2",
        ".xz",
        ".zst",
    ]
)


@dataclass(frozen=True, slots=True)
class Text:
    """Something to take: ``source`` is what ``open_corpus`` takes; ``chars`` of a built-in, ``octets`` of a file."""

    source: str
    name: str
    chars: int | None = None
    octets: int | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to go into. ``up`` when it is the one above."""

    path: Path
    name: str
    up: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A caption and what stands under it; ``problem`` when that cannot be listed."""

    title: str
    about: str
    entries: tuple[Text | Folder, ...]
    problem: str = ""


def sections(browsed: Path, recent: Iterable[tuple[float, str]], given: str | None = None) -> tuple[Section, ...]:
    """Everything that is on offer now. ``recent`` are sources with the times of their last use (Unix seconds)."""
    data = Path("data").absolute()
    own = [entry for entry in _entries(data)[0] if isinstance(entry, Text)]
    named = [Section("BUILT IN", "", tuple(Text(each.name, each.name, chars=each.chars) for each in builtins()))]
    if own:
        named.append(Section("DATA/", "", tuple(own)))
    known = {entry.source for section in named for entry in section.entries if isinstance(entry, Text)}
    if given is not None and (asked := _given(given)).source not in known:
        known.add(asked.source)
        named.insert(0, Section("GIVEN", "", (asked,)))
    before = _recent([source for _, source in sorted(recent, reverse=True)], known)
    if before:
        named.append(Section("RECENT", "", before))
    entries, problem = _entries(browsed)
    up = () if browsed.parent == browsed else (Folder(browsed.parent, "..", up=True),)
    named.append(Section("FOLDER", str(browsed), (*up, *entries), problem))
    return tuple(named)


def noted() -> tuple[tuple[float, str], ...]:
    """The texts that :func:`remember` noted, with the times of their last use. Raises :class:`TextError` when they are
    a newer charlstm's."""
    return tuple((one.time, one.sources[0]) for one in recent_texts() if len(one.sources) == 1)


def remember(source: str, name: str, chars: int) -> None:
    """Note that this file or folder was chosen, so that it is on offer from anywhere."""
    if os.path.isabs(source):
        remember_text([source], name, chars)


def _given(source: str) -> Text:
    path = Path(os.path.expanduser(source))
    if source == path.name and not path.exists():
        for builtin in builtins():
            if builtin.name == source:
                return Text(source, source, chars=builtin.chars)
    return Text(str(path.absolute()), path.name or source, octets=_octets(path))


def _octets(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _recent(sources: Iterable[str], known: set[str]) -> tuple[Text, ...]:
    found: dict[str, Text] = {}
    for source in sources:
        if len(found) == RECENT:
            break
        if source not in known and source not in found and os.path.isabs(source):
            path = Path(source)
            if path.exists():  # what is gone since is not on offer
                found[source] = Text(source, path.name, octets=_octets(path))
    return tuple(found.values())


def _entries(folder: Path) -> tuple[tuple[Text | Folder, ...], str]:
    folders: list[Folder] = []
    texts: list[Text] = []
    try:
        with os.scandir(folder) as found:
            for entry in islice(found, MOST):
                if entry.name.startswith(".") or os.path.splitext(entry.name)[1].lower() in NOT_TEXT:
                    continue
                try:
                    if entry.is_dir():
                        folders.append(Folder(Path(entry.path), entry.name + "/"))
                    elif entry.is_file():  # neither pipe nor device, and no broken link
                        texts.append(Text(entry.path, entry.name, octets=entry.stat().st_size))
                except OSError:
                    continue
    except FileNotFoundError:
        return (), "" if folder.name == "data" else "This folder is gone."
    except OSError as error:
        return (), f"This folder cannot be listed: {error.strerror}."
    return (*_in_order(folders), *_in_order(texts)), ""


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.name.casefold())
