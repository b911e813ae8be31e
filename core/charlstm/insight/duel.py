"""Compare two generated texts, and write both with what was found as Markdown or as a web page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from charlstm.errors import GenerationError
from charlstm.generation.novelty import Novelty
from charlstm.generation.prime import prepare_prime
from charlstm.generation.saving import fenced
from charlstm.generation.scoring import score
from charlstm.insight.page import escape, facts_table, page

if TYPE_CHECKING:
    from charlstm.model.file import Model

REPEAT = 16
"""Characters of a passage that counts as repeated, as for the sampler's setting ``repetition_length``."""

READ_BEFORE = 4000
"""Characters of the prime that are read before a text, at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures of one text.

    Attributes:
        own_bits: mean surprise in bits per character to the model that generated it, at temperature 1.
        other_bits: the same to the other side's model; ``None`` where both sides have the same.
        copied: share of the text that is in the training text word for word; ``None`` where that is not known.
        repeated: share of the text that stood in it before, in passages of :data:`REPEAT` characters or more.
    """

    own_bits: float | None
    other_bits: float | None
    copied: float | None
    repeated: float

    def figures(self) -> list[tuple[str, str]]:
        """What is known, as value and words for it."""
        found = [
            *([] if self.own_bits is None else [(f"{self.own_bits:.2f}", "bits per character")]),
            *([] if self.other_bits is None else [(f"{self.other_bits:.2f}", "bits by the other side's model")]),
            *([] if self.copied is None else [(f"{self.copied:.0%}", "copied from the training text")]),
            (f"{self.repeated:.0%}", "repeated from earlier"),
        ]
        return [(value.replace("%", " %"), words) for value, words in found]


@dataclass(frozen=True, slots=True)
class Side:
    """A text that was generated after ``prime``; ``settings`` are names and values, ``verdict`` its figures."""

    name: str
    settings: Sequence[tuple[str, str]]
    prime: str
    text: str
    verdict: Verdict


def judge(model: Model, other: Model, prime: str, text: str, novelty: Novelty | None = None) -> Verdict:
    """The figures of ``text``, which ``model`` generated after ``prime`` and ``other`` did not; ``novelty`` searches
    the training text."""
    return Verdict(
        bits_after(model, prime, text),
        None if other is model else bits_after(other, prime, text),
        None if novelty is None else novelty.update(text).share,
        repeated_share(text),
    )


def bits_after(model: Model, prime: str, text: str) -> float | None:
    """Mean surprise of ``text`` after ``prime`` in bits per character; ``None`` if the model knows none of it."""
    prime = prime[-READ_BEFORE:]
    try:
        scores = score(model, prime + text)
    except GenerationError:  # too few characters that it knows
        return None
    start = max(1, len(prepare_prime(model, prime, empty_is_fine=True).text)) if prime else 1
    nats = scores.nats[start:]
    return float(np.mean(nats, dtype=np.float64)) / math.log(2) if len(nats) else None


def repeated_share(text: str, length: int = REPEAT) -> float:
    """Share of the characters that are in a passage of ``length`` characters which begins earlier in the text too."""
    seen: set[str] = set()
    repeated = end = 0
    for start in range(len(text) - length + 1):
        passage = text[start : start + length]
        if passage in seen:
            repeated += start + length - max(end, start)
            end = start + length
        seen.add(passage)
    return repeated / len(text) if text else 0.0


def to_markdown(sides: Sequence[Side]) -> str:
    """Both texts, each below its settings and figures."""
    parts = [f"# {_title(sides)}"]
    for side in sides:
        facts = "\n".join(f"- {name}: {value}" for name, value in _facts(side))
        parts.append(f"## {side.name}\n\n{facts}\n\n{fenced(side.prime + side.text)}")
    return "\n\n".join(parts) + "\n"


def to_html(sides: Sequence[Side]) -> str:
    """Both texts side by side as a web page."""
    columns = "".join(
        f"<section><h3>{escape(side.name)}</h3>{facts_table(_facts(side))}"
        f"<pre><b>{escape(side.prime)}</b>{escape(side.text)}</pre></section>"
        for side in sides
    )
    return page(_title(sides), f"<div class=columns>{columns}</div>")


def _title(sides: Sequence[Side]) -> str:
    names = list(dict.fromkeys(side.name for side in sides))
    return f"{names[0]} with two settings" if len(names) == 1 else " against ".join(names)


def _facts(side: Side) -> list[tuple[str, str]]:
    return [*side.settings, *((words, value) for value, words in side.verdict.figures())]
