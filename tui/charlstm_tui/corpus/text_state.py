"""What is known of one text, read in one way; and the jobs that find it out, for threads other than the screen's."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charlstm.training.presets import preset
from charlstm_tui.choices import CorpusChoice, Stamps

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus, ReadProgress, TextSplit
    from charlstm.text.statistics import Statistics

BEGINNING_CHARS = 12_000
HELD_OUT_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class TextState:
    """A text as it is read with the options of ``choice``. What is not known yet is ``None`` or empty."""

    choice: CorpusChoice
    stamps: Stamps | None = None
    """When the file, or each one of the folder, was written, and its size."""
    beginning: str | None = None
    held_out: str = ""
    """The beginning of the part that is held out."""
    complete: bool = False
    """Whether ``beginning`` is the whole text."""
    bytes: int = 0
    files: int = 1
    encoding: str = ""
    corpus: Corpus | None = None
    split: TextSplit | None = None
    preset: str = ""
    """The preset whose validation fraction ``split`` has."""
    stats: Statistics | None = None
    problem: str = ""

    @property
    def built_in(self) -> bool:
        return not os.path.isabs(self.choice.source)

    @property
    def finished(self) -> bool:
        """Whether there is no more to find out."""
        counted = self.stats is not None and (self.stats.bits is not None or self.stats.too_little is not None)
        return bool(self.problem) or counted


def read_beginning(choice: CorpusChoice) -> dict[str, object]:
    """The fields of a :class:`TextState` that the beginning of the text tells. Raises :class:`TextError`."""
    from charlstm.text.corpus import preview  # 0.2 s, for numpy: not before the first paint

    seen = preview(choice.source, BEGINNING_CHARS, choice.options())
    return {
        "beginning": seen.text,
        "complete": seen.complete,
        "bytes": seen.bytes,
        "files": seen.files,
        "encoding": seen.encoding,
    }


def read_whole(choice: CorpusChoice, preset_name: str, progress: Callable[[ReadProgress], None]) -> dict[str, object]:
    """The fields that the whole text tells, without ``bits``; it is split as the preset splits it. Raises
    :class:`TextError`."""
    from charlstm.text.corpus import open_corpus  # see above
    from charlstm.text.statistics import describe

    corpus = open_corpus(choice.source, choice.options(), progress=progress)
    split = corpus.split(preset(preset_name, corpus.chars).val_fraction, choice.split)
    start = split.held_out[0].start if split.held_out else corpus.chars
    return {
        "corpus": corpus,
        "split": split,
        "preset": preset_name,
        "stats": describe(corpus, split, bits=False),
        "encoding": corpus.report.encoding,
        "beginning": corpus.text(0, BEGINNING_CHARS),
        "complete": corpus.chars <= BEGINNING_CHARS,
        "held_out": corpus.text(start, start + HELD_OUT_CHARS) if split.held_out else "",
    }


def count_bits(corpus: Corpus, split: TextSplit) -> dict[str, object]:
    """The field that takes longest: the figures with ``bits``, the losses of simple models."""
    from charlstm.text.statistics import describe  # see above

    return {"stats": describe(corpus, split)}
