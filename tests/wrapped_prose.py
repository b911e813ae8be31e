"""Prose in lines of one width, and verse, both of a few words."""

import random
import textwrap

WORDS = (
    *("the", "old", "house", "stood", "near", "a", "river", "where", "two", "brothers", "had", "lived", "since"),
    *("their", "mother", "left", "it", "in", "autumn"),
)


def sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words)).capitalize() + "."


def paragraph(chance: random.Random, words: int = 80) -> str:
    """A paragraph of about so many words, in one line."""
    return " ".join(sentence(chance, 8) for _ in range(max(1, words // 8)))


def prose(count: int = 12, width: int = 70, seed: int = 1) -> str:
    """Paragraphs in lines of ``width`` characters."""
    chance = random.Random(seed)
    return "\n\n".join(textwrap.fill(paragraph(chance), width) for _ in range(count)) + "\n"


def verse(lines: int, seed: int = 2) -> str:
    chance = random.Random(seed)
    return "\n".join(" ".join(chance.choices(WORDS, k=8)).capitalize() for _ in range(lines))
