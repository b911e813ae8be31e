"""What is put into a text, and how it is said: the space that is missing, characters that a model does not know."""

from __future__ import annotations

import unicodedata

from charlstm.display import visible
from charlstm.generation.text_pieces import Text
from charlstm.text.vocabulary import Vocabulary
from charlstm_tui.formatting import shorten

LONGEST_SENTENCE = 400
"""Characters after which a text that is to end with a sentence, or a continuation, ends without one."""
NO_SPACE_BEFORE = ",.;:!?)]}»”’…"
"""Marks that stand right after a word."""
BRANCH_NAME = 20
"""Characters of a branch's name that a message has."""
MOST_NAMED = 6
"""Characters that a sentence names."""


def joint(text: Text, position: int, added: str, vocabulary: Vocabulary) -> str:
    """The white space that is missing between ``added`` and what follows, when it is put in at ``position``: before a
    paragraph or a line as many line breaks as stand before that, else a space."""
    before, after = text.read(max(0, position - 2), position), text.read(position, position + 2)
    if not added or not after:
        return ""
    breaks = 1 if not position else len(before) - len(before.rstrip("\n"))
    if breaks and "\n" in vocabulary:
        there = len(added) - len(added.rstrip("\n")) + len(after) - len(after.lstrip("\n"))
        return "\n" * max(0, breaks - there)
    if added[-1].isspace() or after[0].isspace() or after[0] in NO_SPACE_BEFORE or " " not in vocabulary:
        return ""
    wide = any(unicodedata.east_asian_width(char) in "WF" for char in (added[-1], after[0]))
    return "" if wide else " "  # scripts with wide characters have no spaces between words


def as_suggestion(text: str, *, within: bool = False) -> str:
    """What is suggested of a text that could come: whole words, unless it is all one word; ``within`` a text only to
    the end of the line."""
    line, ends, _ = text.partition("\n")
    if within and ends:
        return line
    end = max(text.rfind(" "), text.rfind("\n"))
    return text[:end] if end > 0 else text


def branch_words(number: int, name: str) -> str:
    """How a message names a branch."""
    name = visible(name, keep="")
    return f"branch “{shorten(name, BRANCH_NAME)}”" if name else f"branch {number}"


def read_as_words(text: str, vocabulary: Vocabulary) -> str:
    """A sentence about characters of a text that the model reads as others; empty if there are none."""
    unknown = [char for char in dict.fromkeys(text) if char not in vocabulary]
    pairs = [f"{visible(char, keep='')} as {_as_read(char, vocabulary)}" for char in unknown[:MOST_NAMED]]
    more = " …" * (len(unknown) > MOST_NAMED)
    return f"The model reads {', '.join(pairs)}{more}." if pairs else ""


def read_as(text: Text, cursor: int, vocabulary: Vocabulary) -> str:
    """As what the model reads the character at the cursor or, at the end of the text, the one before; empty if it
    knows it."""
    at = max(0, min(cursor, len(text) - 1))
    char = text.read(at, at + 1)
    is_known = not char or char in vocabulary
    return "" if is_known else f"{visible(char, keep='')}, read as {_as_read(char, vocabulary)}"


def _as_read(char: str, vocabulary: Vocabulary) -> str:
    read = vocabulary.read_as(char)
    return "a space" if read == " " else visible(read, keep="")
