"""Warnings about the text of a run: what makes its losses a poor measure, or its training pointless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charlstm.display import percent
from charlstm.text.batches import TrainingText, trained_share, trained_texts
from charlstm.text.passages import Passages, known_share, passages_in
from charlstm.text.read_before import is_much, words
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings

if TYPE_CHECKING:
    from charlstm.model.file import Model
    from charlstm.text.corpus import Corpus


def read_share(model: Model, corpus: Corpus, spans: Sequence[tuple[int, int]]) -> float | None:
    """The share of ``spans`` of a text, 0 to 1, that ``model`` was trained on, in its own run or in those of the models
    that it began with. ``None`` if its file does not tell."""
    return _read_with(model, corpus, spans, passages_in(corpus, spans))[0]


def _read_with(
    model: Model, corpus: Corpus, spans: Sequence[tuple[int, int]], found: Passages
) -> tuple[float | None, Mapping[str, Any] | None]:
    """:func:`read_share` of the ``spans`` with the passages ``found``, and the text and split that it was read with, if
    it is this very text.

    What the fingerprints of texts say is exact, but knows a text only as it was then; passages are also known in
    another edition. The larger share counts.
    """
    by_text, text = trained_share(trained_texts(model.info), corpus, spans)
    by_passages = known_share(model.passages, found)
    return (by_passages, None) if text is None or by_text < (by_passages or 0.0) else (by_text, text)


def examine(
    text: TrainingText, start_from: Model | None, name: str
) -> tuple[Passages, tuple[float | None, str], list[str]]:
    """What makes the losses of a run on ``text`` a poor measure. ``start_from`` is the model with whose weights it
    begins, if any, called ``name``.

    Returns the passages of the training part; how much of the held-out part has been read when it is validated on, and
    by which model (that one, or empty for the training part itself); and one sentence for each problem.
    """
    own = passages_in(text.corpus, text.parts.train)
    read: tuple[float | None, str] = (None, "")
    warnings = []
    held_out = "held-out part" if text.corpus.validation is None else "validation text"
    for part, spans in ((held_out, text.parts.held_out), ("test part", text.parts.test)):
        found, share, learnt_text = passages_in(text.corpus, spans), None, None
        own_share = known_share(own, found)
        if start_from is not None:
            share, learnt_text = _read_with(start_from, text.corpus, spans, found)
        if learnt_text is not None:
            test = f", test_fraction={learnt_text['test_fraction']:g}" if learnt_text["test_fraction"] else ""
            warnings.append(
                f"The model that training starts from has learnt {percent(share or 0)} of the {part}, since it was "
                "trained on this text with another split, so the loss there is too low: hold out the same part with "
                f"val_fraction={learnt_text['val_fraction']:g}{test} and split={learnt_text['split']}"
            )
        else:
            warnings.append(words(share, name, part))
        warnings.append(words(own_share, "", part))
        if part == held_out and (start_from is None or share is not None or is_much(own_share)):
            by_model = (share or 0.0) > (own_share or 0.0)
            read = (share, name) if by_model else (own_share, "")
    if not text.held_out:
        warnings.append("No text is held out for validation, so the run keeps its last model instead of its best")
    return own, read, [each for each in warnings if each]


def small_text_warning(settings: Settings, plan: Plan) -> list[str]:
    """A sentence if the text is so small that steps are smaller than ``settings`` say."""
    if (plan.batch_size, plan.seq_length) == (settings.batch_size, settings.seq_length):
        return []
    return [
        f"The text is small, so a training step reads {plan.batch_size} × {plan.seq_length} characters instead of "
        f"{settings.batch_size} × {settings.seq_length}: the network will mostly memorise the text"
    ]
