"""What a text is made of, and what simpler models make of its held-out part: the chart's reference lines.

Counts come from the corpus; n-grams are ``ngrams``'s. Large texts are sampled, and labelled so. It does no reading
and draws nothing.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from charlstm.text import cache
from charlstm.text.batches import Span
from charlstm.text.corpus import Corpus, Split
from charlstm.text.ngrams import NGrams
from charlstm.text.parts import parts_differ, parts_overlap

TRAIN_SAMPLE = 2_000_000
HELD_OUT_SAMPLE = 250_000
"""Characters of either part that are looked at; of longer ones it is pieces spread evenly over them."""
XZ_BYTES = 2_500_000
"""UTF-8 bytes of training and held-out text together that are compressed."""
LEAST_TRAIN, LEAST_HELD_OUT = 2_000, 500
"""With fewer characters the figures would say more about chance than about the text."""

_FIGURES = {"order 0", "order 1", "order 2", "xz"}
_PIECES = 20
_TOP = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What :func:`describe` found; all counts are of the whole text."""

    chars: int
    lines: int
    distinct: int
    top: tuple[tuple[str, int], ...]
    """The most frequent characters and how often each comes."""
    encoding: str
    newlines: str
    invalid_bytes: int
    cleanable: Mapping[str, int]
    train_chars: int
    held_out_chars: int
    bits: Mapping[str, float] | None
    """``order 0``, ``order 1``, ``order 2`` and ``xz``: bits per character of the held-out part, fitted on the other.
    None when that cannot be said; then ``too_little`` says why."""
    too_little: str | None
    sampled: bool
    """Whether ``bits`` come from a part of a large text."""
    parts_differ: str | None
    """A sentence, when the held-out part is made of other characters than the rest."""
    parts_overlap: str | None
    """A sentence, when much of the held-out part stands in the rest too. None also when that was not asked."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def describe(corpus: Corpus, split: Split | None = None, *, bits: bool = True) -> Statistics:
    """The statistics of ``corpus``; ``split`` is its tail tenth unless given. Without ``bits`` it takes no time.

    With them, some 1.5 s for the largest texts on two free cores, as xz is slow, and 20 ms a million characters to
    look for the held-out part in the rest.
    """
    split = split or corpus.split()
    order = np.argsort(-corpus.counts, kind="stable")[:_TOP]
    reason = _too_little(split)
    sampled = False
    figures: dict[str, float] | None = None
    if bits and reason is None:
        figures, sampled = _kept_bits(corpus, split)
    return Statistics(
        chars=corpus.chars,
        lines=corpus.lines,
        distinct=len(corpus.vocabulary),
        top=tuple((corpus.vocabulary.symbols[at], int(corpus.counts[at])) for at in order),
        encoding=corpus.report.encoding,
        newlines=corpus.report.newlines,
        invalid_bytes=corpus.report.invalid_bytes,
        cleanable=corpus.report.cleanable,
        train_chars=split.train_chars,
        held_out_chars=split.held_out_chars,
        bits=figures,
        too_little=reason,
        sampled=sampled,
        parts_differ=parts_differ(corpus, split),
        parts_overlap=parts_overlap(corpus, split.train, split.held_out) if bits else None,
    )


def _too_little(split: Split) -> str | None:
    if not split.held_out_chars:
        return "Nothing is held out, so there is nothing to measure on"
    if split.train_chars < LEAST_TRAIN or split.held_out_chars < LEAST_HELD_OUT:
        return (
            f"Too little text for figures: {split.train_chars:,} characters to learn from and "
            f"{split.held_out_chars:,} held out; they need {LEAST_TRAIN:,} and {LEAST_HELD_OUT:,}"
        )
    return None


def _sample(spans: Sequence[Span], chars: int) -> tuple[list[Span], bool]:
    """At most about ``chars`` characters of ``spans``, as pieces spread evenly over them, and whether it is less."""
    total = sum(stop - start for start, stop in spans)
    if total <= chars:
        return list(spans), False
    pieces = []
    for start, stop in spans:
        number = max(1, round(_PIECES * (stop - start) / total))
        size = max(1, int(chars * (stop - start) / total / number))
        pieces += [
            Span(at, min(at + size, stop)) for at in (start + (stop - start) * i // number for i in range(number))
        ]
    return pieces, True


def _kept_bits(corpus: Corpus, split: Split) -> tuple[dict[str, float], bool]:
    """:func:`_bits`, reckoned once for a text and a split."""
    name = f"bits {TRAIN_SAMPLE} {HELD_OUT_SAMPLE} {XZ_BYTES} {split}"
    kept = cache.recall_figures(corpus.fingerprint, name) or {}
    if not _are_figures(kept.get("bits")):
        figures, sampled = _bits(corpus, split)
        kept = {"bits": figures, "sampled": sampled}
        cache.remember_figures(corpus.fingerprint, name, kept)
    return kept["bits"], bool(kept.get("sampled"))


def _are_figures(bits: Any) -> bool:
    known = isinstance(bits, dict) and set(bits) == _FIGURES
    return known and all(type(value) is float and abs(value) < 64 for value in bits.values())


def _bits(corpus: Corpus, split: Split) -> tuple[dict[str, float], bool]:
    train, sampled_train = _sample(split.train, TRAIN_SAMPLE)
    held_out, sampled_held_out = _sample(split.held_out, HELD_OUT_SAMPLE)
    with ThreadPoolExecutor(2) as threads:  # lzma lets other threads run
        tested, cut_held_out = _utf8(corpus, held_out, XZ_BYTES // 2)
        learnt, cut_train = _utf8(corpus, train, XZ_BYTES - len(tested))
        tested_chars = len(tested.decode())
        sizes = [threads.submit(_xz, content) for content in (learnt, learnt + tested)]
        fitted = NGrams([corpus.ids[slice(*span)] for span in train], len(corpus.vocabulary))
        orders = fitted.bits([corpus.ids[slice(*span)] for span in held_out])
        xz = 8 * (sizes[1].result() - sizes[0].result()) / tested_chars
    figures = {f"order {order}": value for order, value in enumerate(orders)}
    return {**figures, "xz": xz}, sampled_train or sampled_held_out or cut_train or cut_held_out


def _xz(content: bytes) -> int:
    return len(lzma.compress(content))


def _utf8(corpus: Corpus, spans: list[Span], limit: int) -> tuple[bytes, bool]:
    """The text of ``spans`` in UTF-8, the last ``limit`` bytes of it at most."""
    content = b"".join(corpus.text(*span).encode("utf-8", "replace") for span in spans)
    if len(content) <= limit:
        return content, False
    return content[-limit:].decode("utf-8", "ignore").encode(), True
