"""Built-in texts: the language reference and the standard library's source, which Python includes.

They differ between versions of Python, so the version is recorded. Some installations of Python do not have them.
"""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import TextError

REFERENCE = "python-reference"
SOURCE = "python-source"
SOURCE_CHARS = 8_000_000
"""Characters of the library's source that are read by default."""


@dataclass(frozen=True, slots=True)
class Builtin:
    """A text that Python includes; ``chars`` is its approximate length."""

    name: str
    about: str
    chars: int


def builtins() -> list[Builtin]:
    """The built-in texts that this installation of Python has."""
    found = []
    if topics := _reference():
        chars = sum(len(_lines(text)) for text in topics.values())
        found.append(Builtin(REFERENCE, "the Python language reference: technical English", chars))
    if _library() is not None:
        found.append(Builtin(SOURCE, "the Python standard library: source code", SOURCE_CHARS))
    return found


def is_builtin(name: str) -> bool:
    return name in (REFERENCE, SOURCE)


def version() -> str:
    """The version of the built-in texts."""
    return f"Python {platform.python_version()}"


def pieces(name: str) -> Iterator[str]:
    """The built-in text ``name`` in pieces of whole lines. Raises :class:`TextError` when this Python lacks it."""
    if name == REFERENCE and (topics := _reference()):
        return (_lines(topics[topic]) for topic in sorted(topics))
    if name == SOURCE and (library := _library()):
        return _sources(library)
    raise TextError(f"This installation of Python does not have the text {name}: choose another text")


def _reference() -> Mapping[str, str] | None:
    try:
        from pydoc_data.topics import topics  # here because it takes 2 ms
    except ImportError:
        return None
    return topics


def _library() -> Path | None:
    folder = Path(sysconfig.get_path("stdlib"))
    return folder if (folder / "os.py").is_file() else None


def _sources(library: Path) -> Iterator[str]:
    # Tests last, so that a text of limited length has none.
    tests = {"test", "tests", "idle_test"}
    files = []
    for parent, folders, names in os.walk(library):
        folders[:] = [name for name in folders if name not in ("site-packages", "__pycache__")]
        inside = Path(parent).relative_to(library)
        files += [(bool(tests & set(inside.parts)), (inside / name).as_posix()) for name in names if name[-3:] == ".py"]
    for _, name in sorted(files):
        try:
            yield _lines((library / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue  # some tests are invalid files on purpose


def _lines(text: str) -> str:
    return text.rstrip() + "\n\n\n"
