"""The text of a run on which its model is explained, the same in commands, app and report."""

from __future__ import annotations

from dataclasses import dataclass

from charlstm.display import visible
from charlstm.insight.context import LENGTHS
from charlstm.insight.sample import TEXT_CHARS
from charlstm.runs.folder import RunFolder
from charlstm.runs.text import open_text
from charlstm.text.batches import TrainingText

LEAST_HELD_OUT = 5_000
"""Characters that a run held out from which on its cells are named on these: fewer have too few spans of most features.
"""


@dataclass(frozen=True, slots=True)
class OwnText:
    """``text``, the beginning of the ``chars`` characters of what is called ``name``."""

    text: str
    chars: int
    name: str

    @property
    def words(self) -> str:
        """The number of characters and the name."""
        if len(self.text) >= self.chars:
            return f"{len(self.text):,} characters of {self.name}"
        return f"the first {len(self.text):,} of {self.chars:,} characters of {self.name}"


def beginning_of_text(run: RunFolder, max_chars: int = TEXT_CHARS) -> OwnText:
    """The first ``max_chars`` characters of the text of a run.

    Raises :class:`TextError` where the text is gone or has changed.
    """
    corpus = open_text(run)
    name = f"{visible(corpus.name, keep='')}, which it was trained on"
    return OwnText(corpus.text(0, min(max_chars, corpus.text_chars)), corpus.text_chars, name)


def held_out_text(run: RunFolder, max_chars: int = TEXT_CHARS) -> OwnText:
    """Up to ``max_chars`` characters that a run was not trained on, or of all of its text where nothing was held out.
    Raises :class:`TextError` where the text is gone or has changed."""
    corpus, settings = open_text(run), run.spec().settings
    divided = TrainingText.of(corpus, corpus.vocabulary, settings.val_fraction, settings.split, settings.test_fraction)
    text = "".join(corpus.text(start, stop) for start, stop in divided.parts.held_out)
    name = visible(corpus.name, keep="")
    if not text:
        text, part = corpus.text(), name
    elif corpus.validation is not None:
        part = f"the validation text {visible(corpus.validation.name, keep='')}"
    else:
        part = f"the held-out part of {name}"
    return OwnText(text[:max_chars], len(text), part)


def text_for_cells(run: RunFolder, max_chars: int = TEXT_CHARS) -> OwnText:
    """The text on which the cells of a run's model are named, and it is measured which of them matter:
    :func:`held_out_text`, or where that is shorter than :data:`LEAST_HELD_OUT` characters :func:`beginning_of_text`."""
    found = held_out_text(run, max_chars)
    return found if found.chars >= LEAST_HELD_OUT else beginning_of_text(run, max_chars)


def text_for_context(run: RunFolder) -> OwnText:
    """The text on which it is measured how far the model of a run looks back: :func:`held_out_text`, or where that is
    shorter than the longest context :func:`beginning_of_text`."""
    found = held_out_text(run)
    return found if len(found.text) > LENGTHS[-1] else beginning_of_text(run)
