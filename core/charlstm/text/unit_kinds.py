"""The kinds of units of a text, such as lines or parts that begin with ``X:``, and their separators."""

from __future__ import annotations

LINES, BLANK_LINES = "lines", "blank-lines"
NAMES_UP_TO, NAMES_SHARE = 40, 0.9
"""A text is taken for a list of short lines where so many of its lines are at most so long."""
FEWEST = 20
"""Units below which none are proposed."""


def separator(units: str) -> str:
    """The separator of two units, which ends a generated unit."""
    return {LINES: "\n", BLANK_LINES: "\n\n"}.get(units, "\n" + units)


def prefix(units: str) -> str:
    """What each unit begins with; empty where nothing is prescribed."""
    return "" if units in (LINES, BLANK_LINES) else units


def unit_after(text: str, unit: str, units: str) -> str:
    """What to add to ``text`` so that it goes on with ``unit`` and the separator after it."""
    start, end = prefix(units), separator(units)
    begins = text == start or text.endswith(end)
    return ("" if begins else end if text else start) + unit.removeprefix(start) + end


def kind_of_units(units: str) -> str:
    """A unit in a few words."""
    return {LINES: "each line", BLANK_LINES: "each part between blank lines"}.get(units, f"what begins with {units}")


PREVIEWED = 20_000
"""Characters of the beginning of a text by which units are proposed."""


def proposed(text: str) -> str:
    """As which units a text with this beginning, of :data:`PREVIEWED` characters, could be read: tunes in ABC, and
    names or other short lines. Empty for other texts."""
    lines = text.split("\n")[:-1]
    if sum(line.startswith("X:") for line in lines) >= 2 and any(line.startswith("K:") for line in lines):
        return "X:"
    if len(lines) < FEWEST or not all(lines):
        return ""
    short = sum(len(line) <= NAMES_UP_TO for line in lines)
    return LINES if short >= NAMES_SHARE * len(lines) and len(set(lines)) > len(lines) / 2 else ""
