"""Warnings about the text of a run: what makes its losses a poor measure, or its training pointless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

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
    that it began with. ``None`` if its file does not tell.

    What the fingerprints of texts say is exact, but knows a text only as it was then; passages are also known in
    another edition. The larger share counts.
    """
    by_text, found = trained_share(trained_texts(model.info), corpus, spans)
    by_passages = known_share(model.passages, passages_in(corpus, spans))
    return max(by_text, by_passages or 0.0) if found is not None else by_passages


def held_out_read(text: TrainingText, own: Passages, start_from: Model | None, name: str) -> tuple[float | None, str]:
    """How much of the held-out part has been read when it is validated on, and by which model: that which training
    starts from, called ``name``, or empty for the training part itself, whose passages are ``own``."""
    if not text.held_out:
        return None, ""
    shares = [(known_share(own, passages_in(text.corpus, text.held_out)), "")]
    if start_from is not None:
        shares.append((read_share(start_from, text.corpus, text.held_out), name))
        if shares[1][0] is None and not is_much(shares[0][0]):
            return None, ""
    share, by = max(shares, key=lambda each: each[0] or 0.0)
    return share, by if share else ""


def text_warnings(
    text: TrainingText, own: Passages, settings: Settings, plan: Plan, start_from: Model | None = None, name: str = ""
) -> Iterator[str]:
    """One sentence for each problem of ``text``, whose training part has the passages ``own``, for a run that begins
    with the weights of ``start_from``, called ``name``, if given."""
    learnt = [] if start_from is None else trained_texts(start_from.info)
    if (plan.batch_size, plan.seq_length) != (settings.batch_size, settings.seq_length):
        yield (
            f"The text is small, so a training step reads {plan.batch_size} × {plan.seq_length} characters instead of "
            f"{settings.batch_size} × {settings.seq_length}: the network will mostly memorise the text"
        )
    held_out = "held-out part" if text.corpus.validation is None else "validation text"
    for part, spans in ((held_out, text.held_out), ("test part", text.test)):
        share, learnt_text = trained_share(learnt, text.corpus, spans)
        read = None if start_from is None else read_share(start_from, text.corpus, spans)
        if learnt_text is not None and share >= (read or 0.0):
            test = f", test_fraction={learnt_text['test_fraction']:g}" if learnt_text.get("test_fraction") else ""
            yield (
                f"The model that training starts from has learnt {percent(share)} of the {part}, since it was trained "
                "on this text with another split, so the loss there is too low: hold out the same part with "
                f"val_fraction={learnt_text['val_fraction']:g}{test} and split={learnt_text['split']}"
            )
        elif is_much(read):
            yield words(read, name, part)
        if is_much(repeated := known_share(own, passages_in(text.corpus, spans))):
            yield words(repeated, "", part)
    if not text.held_out:
        yield "No text is held out for validation, so the run keeps its last model instead of its best"
