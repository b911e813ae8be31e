"""The samples that a run writes during training, and their primes from the text of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from charlstm.text.unit_kinds import prefix

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.text.corpus import Corpus

SAMPLE_CHARS = 300
PRIME_CHARS = 24
LONGEST_WORD = 60
PRIME_SEARCH_CHARS = 20_000
"""Characters at the start of the text among which the prime is chosen."""

LONGEST_TITLE = 100
"""Characters. A longer line is a paragraph."""

PARAGRAPH_SEARCH_CHARS = 100_000
"""Characters at the start of the text that show how its paragraphs are separated."""

LINES_PER_PARAGRAPH = 20
"""Paragraphs are separated by empty lines if at least one line in so many is followed by one."""


def sample_prime(corpus: Corpus) -> str:
    """The prime of all samples of a run: the first words, up to 24 characters, of the first paragraph or verse, or else
    of the first line that is as long. A longer first word stays whole; of a line without spaces, as in Chinese, it is
    the first 24 characters. Of a text that is read as units, the prefix with which each begins."""
    if corpus.options.units is not None:
        return prefix(corpus.options.units)
    lines = corpus.text(0, min(PRIME_SEARCH_CHARS, corpus.text_chars)).split("\n")
    long = [number for number, line in enumerate(lines) if len(line.strip()) >= PRIME_CHARS]
    first = next((number for number in long if _begins_paragraph(lines, number)), long[0] if long else None)
    line = max((line.strip() for line in lines), key=len) if first is None else lines[first].strip()
    if len(line) <= PRIME_CHARS:
        return line
    words = line[: PRIME_CHARS + 1].rpartition(" ")[0]
    return words or line.partition(" ")[0][:LONGEST_WORD] if " " in line[:LONGEST_WORD] else line[:PRIME_CHARS]


def _begins_paragraph(lines: Sequence[str], number: int) -> bool:
    """Whether the line begins a paragraph or a verse, and is not of a title page or a list of contents: it is neither
    indented nor in capitals, and it stands below an empty line and above one that is not, or is a long one. After a
    line of such a page a model writes more such lines, or nothing but blanks."""
    line = lines[number]
    if line[0].isspace() or 2 * sum(map(str.isupper, line)) > sum(map(str.isalpha, line)):
        return False
    above = lines[number - 1].strip() if number else ""
    below = lines[number + 1].strip() if number + 1 < len(lines) else ""
    return len(line) > LONGEST_TITLE or (not above and below != "")


def text_start(corpus: Corpus) -> str:
    """What precedes a new paragraph in this text: two newlines if empty lines separate its paragraphs, else one. Of
    units, what each begins with, or stands before it."""
    if corpus.options.units is not None:
        return prefix(corpus.options.units) or "\n"
    text = corpus.text(0, min(PARAGRAPH_SEARCH_CHARS, corpus.text_chars))
    return "\n\n" if LINES_PER_PARAGRAPH * text.count("\n\n") >= text.count("\n") > 0 else "\n"


def make_sampler(prime: str, seed: int) -> Callable[[Model], tuple[str, str]]:
    """A function that generates 300 characters with a model and returns ``(prime, text)``. Prime and seed are the same
    each time, so that samples of successive models can be compared."""

    def sample(model: Model) -> tuple[str, str]:
        from charlstm.generation.session import Session
        from charlstm.generation.threads import blas_threads

        with blas_threads(1):  # and afterwards as many as training had
            session = Session(model, prime, seed=seed)
            return prime, "".join(step.char for step in session.stream(SAMPLE_CHARS))

    return sample
