"""Screens as text, characters and styles of each cell, which tests compare with those that ``make snapshots`` wrote.

A snapshot of a screen is a file: a line of characters for each row of the screen; a line of letters for each row, a
letter for the style of each cell; and what each letter stands for, foreground, background and attributes. Colours have
the names of the theme's variables. A style keeps its letter when a snapshot is written anew, so that a diff has only
what changed.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from difflib import unified_diff
from itertools import chain
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

from rich.cells import cell_len
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color, ColorParseError

from charlstm_tui.theme import ANSI_DARK, TEXT_COLOURS
from driven_app import DEADLINE, Driven, screen_text

FOLDER = Path(__file__).parent / "tui" / "snapshots"
WRITE = "CHARLSTM_WRITE_SNAPSHOTS"
"""The variable with which snapshots are written instead of compared."""
STYLES, LETTERS = "\n---- styles\n", "\n---- letters\n"
"""The lines before the second and the third part of a file."""
ATTRIBUTES = ("bold", "dim", "italic", "underline", "strike", "reverse")
NAMED = ("foreground", "background", "panel", *TEXT_COLOURS, *ANSI_DARK)
"""The variables by which colours are named; the first of those that have the same colour."""
PAUSE, STILL = 0.05, 40
"""Seconds between two looks at a screen, and how many looks it has not changed when it counts as complete."""

Seen = tuple[list[str], list[list[str]]]
"""What is on a screen: a string for each row, and the style of each of its cells in words."""


def _seen(app: App[Any]) -> Seen:
    names = _names(app)
    strips = [list(strip) for strip in app.screen._compositor.render_strips()]
    rows = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    return rows, [[style for part in strip for style in _styles(part, names)] for strip in strips]


def _to_text(seen: Seen, before: str) -> str:
    """The file; styles have the letters that they have in ``before``, an earlier one or nothing."""
    rows, styles = seen
    counts = Counter(chain.from_iterable(styles))
    known = (line.split(" ", 1) for line in before.partition(LETTERS)[2].splitlines())
    letters = {style: letter for letter, style in known if style in counts}
    free = (letter for letter in "." + ascii_letters + digits if letter not in letters.values())
    for style in sorted(counts, key=lambda each: (-counts[each], each)):
        if style not in letters:
            letters[style] = next(free)
    lines = ("".join(letters[style] for style in row) for row in styles)
    meanings = sorted(f"{letter} {style}" for style, letter in letters.items())
    return "\n".join(rows) + STYLES + "\n".join(lines) + LETTERS + "\n".join(meanings) + "\n"


async def check_screen(name: str, app: Driven) -> None:
    """Wait for the screen to be equal to the snapshot ``name``, or to change no more; or write it, with the variable
    ``WRITE``."""
    path = FOLDER / f"{name}.txt"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    now = _seen(app.app)
    still, end = 0, time.monotonic() + DEADLINE
    while still < STILL and (os.environ.get(WRITE) or _to_text(now, before) != before):
        assert time.monotonic() < end, f"{name} never stopped changing; the screen was:\n{screen_text(app.app)}"
        await app.pilot.pause(PAUSE)
        found = _seen(app.app)
        still = still + 1 if found == now else 0
        now = found
    after = _to_text(now, before)
    if os.environ.get(WRITE):
        path.write_text(after, encoding="utf-8")
    else:
        lines = unified_diff(before.splitlines(), after.splitlines(), str(path), "the screen", n=1, lineterm="")
        difference = "\n".join(lines)
        assert not difference, f"{difference}\nIf the screen is meant to look like this: make snapshots"


def _names(app: App[Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in NAMED:
        try:
            names.setdefault(Color.parse(app.theme_variables.get(name, "")).hex.lower(), name)
        except ColorParseError:
            continue  # the theme has no such colour, or it depends on what is behind it
    return names


def _styles(segment: Segment, names: dict[str, str]) -> Iterator[str]:
    """The style of each cell of ``segment``; of a blank only what is seen of it."""
    style = segment.style or Style()
    behind = f"on {_colour(style.bgcolor, names)}"
    attributes = [each for each in ATTRIBUTES if getattr(style, each)]
    full = " ".join([_colour(style.color, names), behind, *attributes])
    seen = {"underline", "strike", "reverse"}.intersection(attributes)
    for character in segment.text:
        yield from [behind if character == " " and not seen else full] * cell_len(character)


def _colour(colour: RichColor | None, names: dict[str, str]) -> str:
    if colour is None or colour.triplet is None:
        return "default"
    return names.get(colour.triplet.hex.lower(), colour.triplet.hex)
