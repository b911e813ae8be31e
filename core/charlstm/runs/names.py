"""Valid names for runs, and default names.

A run's name is the name of its folder: one plain file name that is valid on every system and cannot lead out of the
folder of runs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from charlstm.errors import RunError

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_RESERVED = {*_DEVICES, "demo", "none", "auto"}


def check_name(name: str) -> str:
    """Return ``name``, in NFC, if it is valid on every system; raise :class:`RunError` otherwise."""
    wrong = ""
    if not name.strip():
        wrong = "is empty"
    elif len(name) > 100 or len(name.encode("utf-8", "replace")) > 200:
        wrong = "is longer than 100 characters"
    elif any(char in '/\\:*?"<>|' or not (char.isprintable()) for char in name):
        wrong = 'has a character that file names cannot have everywhere (/ \\ : * ? " < > | or an invisible one)'
    elif name[0] in ".-~ " or name[-1] in ". ":
        wrong = "starts with a dot, dash, tilde or space, or ends with a dot or space"
    elif name.split(".")[0].lower() in _RESERVED or name.lower().endswith(".safetensors"):
        wrong = "is reserved"
    if wrong:
        raise RunError(f"{name[:40]!r} cannot be a run's name: it {wrong}")
    return composed(name)


def composed(name: str) -> str:
    """``name`` in NFC. Accents as separate characters look the same, but are another name on most systems."""
    return unicodedata.normalize("NFC", name)


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sort key that puts ``anna-quick-10`` after ``anna-quick-9``."""
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"(\d+)", name)]


def next_name(text: str, preset: str, taken: Iterable[str]) -> str:
    """The default name TEXT-PRESET-N, with a number above all in the names ``taken``."""
    stem = f"{_slug(Path(text).stem) or 'text'}-{_slug(preset) or 'custom'}"
    pattern = re.compile(re.escape(stem) + r"-(\d{1,9})", re.IGNORECASE)  # many file systems ignore the case
    numbers = [int(match[1]) for name in taken if (match := pattern.fullmatch(composed(name)))]
    return f"{stem}-{max(numbers, default=0) + 1}"


def _slug(text: str) -> str:
    words = re.sub(r"[^\w]+", "-", composed(text))
    return words.strip("-_")[:40].rstrip("-_")
