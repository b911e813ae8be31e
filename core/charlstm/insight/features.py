"""Features of a text that a cell may follow, computed from its characters.

A feature has a number for each character. It says what is true *after* that character has been read, as a cell does:
"inside quotes" begins with the opening quote and ends with the closing one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import regex

from charlstm.display import short_repr
from charlstm.errors import GenerationError
from charlstm.text.sentences import sentence_ends
from charlstm.text.unit_kinds import LINES, separator

Kind = Literal["yes/no", "graded"]
TextKind = Literal["prose", "program", "tunes"]
Values = npt.NDArray[np.float32]

PATTERN_SECONDS = 10.0
"""Seconds that a user's pattern may search a text. Some patterns would take years."""

LONGEST_DISTANCE = 200
"""Distances and positions are cut here: no model tells 3,000 characters from 4,000."""

FEWEST = 5
"""A built-in feature that begins, or a graded one that changes, fewer times in a half of a text is left out: with
hundreds of cells, some separate the characters of three places from all others perfectly and mean nothing."""

_OPENING, _CLOSING = "([{", ")]}"
_VOWELS = "aeiouAEIOUäöüÄÖÜáéíóúàèìòùâêîôûåøæœ"


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of a text of N characters.

    Attributes:
        name: what the feature is called.
        kind: ``"yes/no"`` has the values 0 and 1, ``"graded"`` any numbers.
        values: ``(N,)`` float32.
    """

    name: str
    kind: Kind
    values: Values

    __repr__ = short_repr


def text_features(text: str) -> list[Feature]:
    """The built-in features that belong to the kind of ``text`` and are frequent in both halves of it
    (:data:`FEWEST`)."""
    kind = kind_of_text(text)
    found = [Feature(name, each.kind, each.compute(text)) for name, each in BUILT_IN.items() if kind in each.texts]
    half = len(text) // 2
    return [each for each in found if all(_times(part, each.kind) >= FEWEST for part in np.split(each.values, [half]))]


def with_own(own: Sequence[Feature], text: str) -> list[Feature]:
    """``own`` features of ``text`` and the built-in ones, but for those that have the name of one of ``own``."""
    names = {each.name for each in own}
    return [*own, *(each for each in text_features(text) if each.name not in names)]


def unit_features(text: str, units: str | None) -> list[Feature]:
    """The position in the unit, for a model that was trained on ``units``; of lines there is the position already."""
    if units is None or units == LINES:
        return []
    ends = np.zeros(len(text), bool)
    ends[[each.end() - 1 for each in regex.finditer(regex.escape(separator(units)), text)]] = True
    return [Feature("position in unit", "graded", _since(ends))]


def _times(values: Values, kind: Kind) -> int:
    """How often a yes/no feature begins, or a graded one changes."""
    changes = np.diff(values)
    return int((changes > 0).sum() if kind == "yes/no" else (changes != 0).sum())


def kind_of_text(text: str) -> TextKind:
    """What a text is: tunes in ABC notation, a program, or else prose."""
    if len(regex.findall(r"(?m)^[XTMK]:", text)) >= 2 and "|" in text:
        return "tunes"
    # One line in forty of a program looks like a definition, an import or a call. Blanks before it are those of its own
    # line alone: with ``\s*``, which takes newlines too, 8,000 empty lines took 9 s.
    lines = regex.findall(PROGRAM_LINE, text)
    return "program" if len(lines) * 40 > text.count("\n") else "prose"


PROGRAM_LINE = r"(?m)^[ \t]*(?:def |class |import |from \w+ import|#include|return\b|\w+\(.*\)[;:]?$)"


def feature_mean(name: str, text: str) -> float:
    """The mean of a built-in feature over ``text``."""
    values = BUILT_IN[name].compute(text)
    return float(values.mean()) if len(values) else 0.0


def feature_starts(name: str, before: str, text: str) -> int:
    """How often a built-in yes/no feature becomes true in ``text``, which follows ``before``.

    Other than the share of characters where it is true, this does not depend on one quote that is never closed.
    """
    values = BUILT_IN[name].compute(before + text)
    return int((np.diff(values, prepend=0)[len(before) :] > 0).sum())


def compile_pattern(name: str, pattern: str) -> regex.Pattern[str]:
    """The regular expression of the feature ``name``. Raises :class:`GenerationError` if it cannot be read."""
    try:
        return regex.compile(pattern, regex.MULTILINE)
    except regex.error as error:
        raise GenerationError(f"The pattern of {name!r} cannot be read: {error}") from None


def pattern_feature(name: str, pattern: str, text: str, *, seconds: float = PATTERN_SECONDS) -> Feature:
    """A yes/no feature that is true on every character of every match of a regular expression.

    Args:
        pattern: a regular expression with the syntax of Python's ``re``; ``^`` and ``$`` match at each line.
        seconds: how long the search may take.

    Raises:
        GenerationError: the pattern cannot be read, searches for too long, or matches nowhere or everywhere.
    """
    compiled = compile_pattern(name, pattern)
    try:
        values = _matches(compiled, text, seconds)
    except TimeoutError:
        raise GenerationError(
            f"The pattern of {name!r} needs more than {seconds:g} seconds on this text: make it simpler"
        ) from None
    if not len(text) or np.ptp(values) == 0:
        raise GenerationError(
            f"The pattern of {name!r} matches {'everywhere' if len(text) and values[0] else 'nowhere'} in this text, "
            "so no cell can be told by it"
        )
    return Feature(name, "yes/no", values)


def function_feature(name: str, function: Callable[[str], npt.ArrayLike], text: str) -> Feature:
    """A feature that a Python function computes: it takes the text and returns a number for each character.

    The feature is yes/no if all numbers are 0 or 1.

    Raises:
        GenerationError: the result does not have one finite number for each character.
    """
    values = np.asarray(function(text), np.float32)
    if values.shape != (len(text),) or not np.isfinite(values).all():
        raise GenerationError(
            f"The feature {name!r} must have one finite number for each of the {len(text):,} characters; "
            f"its shape is {values.shape}"
        )
    return Feature(name, "yes/no" if np.isin(values, (0, 1)).all() else "graded", values)


# -- the built-in features ---------------------------------------------------------------------------------------


def _inside_quotes(text: str) -> Values:
    """Straight and curly double quotes, and single ones that do not stand between letters. A blank line ends a quote
    that was never closed."""
    values = np.zeros(len(text), np.float32)
    closes = ""
    for at, char in enumerate(text):
        if closes:
            apostrophe = char in "'’" and _is_letter(text, at - 1) and _is_letter(text, at + 1)
            if (char == closes and not apostrophe) or text[at : at + 2] == "\n\n":
                closes = ""
        elif char in _QUOTES and not (char == "'" and _is_letter(text, at - 1)):
            closes = _QUOTES[char]
        values[at] = bool(closes)
    return values


_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "'"}


def _is_letter(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isalpha()


def _bracket_depth(text: str) -> Values:
    values = np.zeros(len(text), np.float32)
    depth = 0
    for at, char in enumerate(text):
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth = max(0, depth - 1)
        elif text[at : at + 2] == "\n\n":
            depth = 0
        values[at] = depth
    return values


def _since(starts: npt.NDArray[np.bool_]) -> Values:
    """Characters since the last start, the start itself 0; one is taken to stand before the text."""
    positions = np.arange(len(starts))
    last = np.maximum.accumulate(np.where(starts, positions, -1))
    return np.minimum(positions - last, LONGEST_DISTANCE).astype(np.float32)


def _chars(text: str, test: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
    known = {char: test(char) for char in set(text)}
    return np.array([known[char] for char in text], bool)


def _yes(test: Callable[[str], bool]) -> Callable[[str], Values]:
    return lambda text: _chars(text, test).astype(np.float32)


def _position_in_word(text: str) -> Values:
    """1 on a word's first letter, 2 on its second, 0 outside words."""
    letters = _chars(text, lambda char: char.isalpha() or char in "'’")
    return np.where(letters, _since(~letters), 0).astype(np.float32)


def _position_in_line(text: str) -> Values:
    return _since(_chars(text, lambda char: char == "\n"))


def _position_in_sentence(text: str) -> Values:
    return _since(_sentence_ended(text))


def _sentence_ended(text: str) -> npt.NDArray[np.bool_]:
    """True on the character that ends a sentence: . ! or ?, with closing quotes and brackets behind it, and a blank."""
    ends = np.zeros(len(text), bool)
    for end in sentence_ends(text):
        ends[end - 1] = True
    return ends


def _after_sentence(text: str) -> Values:
    """From the end of a sentence to the first letter of the next."""
    ended, letters = _sentence_ended(text), _chars(text, str.isalnum)
    values = np.zeros(len(text), np.float32)
    waiting = False
    for at in range(len(text)):
        waiting = bool(ended[at]) or (waiting and not letters[at])
        values[at] = waiting
    return values


def _indentation(text: str) -> Values:
    """Blanks at the start of the line that a character stands in; a tab counts as 8."""
    values = np.zeros(len(text), np.float32)
    for match in regex.finditer(r"^([ \t]*)[^\n]*\n?", text, regex.MULTILINE):
        if match.end() > match.start():
            values[match.start() : match.end()] = len(match[1].expandtabs(8))
    return values


def _in_capitalised_word(text: str) -> Values:
    return _matches(r"\p{Lu}[\p{L}'’]*", text)


def _in_comment(text: str) -> Values:
    """Program text: after # or // to the end of the line, and between /* and */."""
    return _matches(r"(?ms)(?:(?<=^|\s)#|//)[^\n]*|/\*.*?(?:\*/|\Z)", text)


def _in_string(text: str) -> Values:
    """Program text: between the quotes of a string literal in one line, or three quotes."""
    return _matches(
        r"(?s:\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z))"
        rf"|\"(?:\\.|[^\"\\\n]){_IN_LINE}\"|'(?:\\.|[^'\\\n]){_IN_LINE}'",
        text,
    )


_IN_LINE = "{0,1000}+"
"""Characters of a string literal in one line, at most: each quote that is never closed is searched so far for its end.
Without a limit a line of 20,000 escaped quotes took 5 s."""


def _in_header(text: str) -> Values:
    """Tunes in ABC notation: header lines, such as ``K:D``."""
    return _matches(r"(?m)^[A-Za-z]:[^\n]*", text)


def _position_in_bar(text: str) -> Values:
    """Tunes in ABC notation: characters since the last bar line."""
    return np.where(_in_header(text) > 0, 0, _since(_chars(text, lambda char: char == "|"))).astype(np.float32)


def _matches(pattern: str | regex.Pattern[str], text: str, seconds: float | None = None) -> Values:
    """True on every character of every match. Raises :class:`TimeoutError` after so many ``seconds``."""
    values = np.zeros(len(text), np.float32)
    for match in regex.compile(pattern).finditer(text, timeout=seconds):
        values[match.start() : match.end()] = 1
    return values


class BuiltIn(NamedTuple):
    """A built-in feature: its kind, how it is computed, and the kinds of text that have it."""

    kind: Kind
    compute: Callable[[str], Values]
    texts: tuple[TextKind, ...] = ("prose", "program", "tunes")


_NO_TUNES: tuple[TextKind, ...] = ("prose", "program")
"""In tunes letters are notes: they have no words, vowels or sentences."""

BUILT_IN: dict[str, BuiltIn] = {
    "inside quotes": BuiltIn("yes/no", _inside_quotes),
    "bracket depth": BuiltIn("graded", _bracket_depth),
    "position in word": BuiltIn("graded", _position_in_word, _NO_TUNES),
    "position in line": BuiltIn("graded", _position_in_line),
    "position in sentence": BuiltIn("graded", _position_in_sentence, _NO_TUNES),
    "after a sentence": BuiltIn("yes/no", _after_sentence, _NO_TUNES),
    "indentation": BuiltIn("graded", _indentation),
    "capitalised word": BuiltIn("yes/no", _in_capitalised_word, _NO_TUNES),
    "capital letter": BuiltIn("yes/no", _yes(str.isupper)),
    "digit": BuiltIn("yes/no", _yes(str.isdigit)),
    "vowel": BuiltIn("yes/no", _yes(lambda char: char in _VOWELS), _NO_TUNES),
    "blank": BuiltIn("yes/no", _yes(str.isspace)),
    "comment": BuiltIn("yes/no", _in_comment, ("program",)),
    "string": BuiltIn("yes/no", _in_string, ("program",)),
    "tune header": BuiltIn("yes/no", _in_header, ("tunes",)),
    "position in bar": BuiltIn("graded", _position_in_bar, ("tunes",)),
}
"""The built-in features. "position in line" is the distance from the last newline."""
