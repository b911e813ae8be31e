"""Built-in texts: the language reference and the standard library's source, which Python includes.

They differ between versions of Python, so the version is recorded. Some installations of Python do not have them.
"""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from charlstm.errors import TextError


class Builtin(NamedTuple):
    """A text that Python includes."""

    name: str
    about: str
    pieces: Callable[[], Iterator[str] | None]
    """Reads the text in pieces of whole lines; ``None`` for an installation of Python without the text."""
    most_chars: int | None = None
    """Characters that are read by default, if not all."""

    @property
    def chars(self) -> int:
        """The approximate length; 0 for a missing text."""
        return self.most_chars or sum(map(len, self.pieces() or ()))


def builtins() -> list[Builtin]:
    """The built-in texts that this installation of Python has."""
    return [each for each in TEXTS.values() if each.pieces() is not None]


def is_builtin(name: str) -> bool:
    return name in TEXTS


def version() -> str:
    """The version of the built-in texts."""
    return f"Python {platform.python_version()}"


def pieces(name: str) -> Iterator[str]:
    """The built-in text ``name`` in pieces of whole lines. Raises :class:`TextError` for a Python without the text."""
    found = TEXTS[name].pieces()
    if found is None:
        raise TextError(f"This installation of Python does not have the text {name}: choose another text")
    return found


def _reference() -> Iterator[str] | None:
    try:
        from pydoc_data.topics import topics  # here because it takes 2 ms
    except ImportError:
        return None
    return (_lines(topics[topic]) for topic in sorted(topics))


def _source() -> Iterator[str] | None:
    library = Path(sysconfig.get_path("stdlib"))
    return _sources(library) if (library / "os.py").is_file() else None


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


_ALL = (
    Builtin("python-reference", "the Python language reference: technical English", _reference),
    Builtin("python-source", "the Python standard library: source code", _source, most_chars=8_000_000),
)
TEXTS = {each.name: each for each in _ALL}
"""All built-in texts by name, in the order in which they are shown; this installation of Python may lack some."""
