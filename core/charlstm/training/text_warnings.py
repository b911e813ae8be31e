"""Warnings about the text of a run: what makes its losses a poor measure, or its training pointless."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from charlstm.display import percent
from charlstm.text.batches import TrainingText, trained_share, trained_texts
from charlstm.text.passages import share_read
from charlstm.text.statistics import MIN_OVERLAP, parts_overlap
from charlstm.training.plan import Plan
from charlstm.training.settings import Settings

if TYPE_CHECKING:
    from charlstm.model.file import Model


def text_warnings(text: TrainingText, settings: Settings, plan: Plan, start_from: Model | None = None) -> Iterator[str]:
    """One sentence for each problem of ``text``, for a run that begins with the weights of ``start_from`` if given."""
    learnt, read = ([], None) if start_from is None else (trained_texts(start_from.info), start_from.passages)
    if (plan.batch_size, plan.seq_length) != (settings.batch_size, settings.seq_length):
        yield (
            f"The text is small, so a training step reads {plan.batch_size} × {plan.seq_length} characters instead of "
            f"{settings.batch_size} × {settings.seq_length}: the network will mostly memorise the text"
        )
    held_out = "held-out part" if text.corpus.validation is None else "validation text"
    for part, spans in ((held_out, text.held_out), ("test part", text.test)):
        share, learnt_text = trained_share(learnt, text.corpus, spans)
        if learnt_text is not None:
            test = f", test_fraction={learnt_text['test_fraction']:g}" if learnt_text.get("test_fraction") else ""
            yield (
                f"The model that training starts from has learnt {percent(share)} of the {part}, since it was trained "
                "on this text with another split, so the loss there is too low: hold out the same part with "
                f"val_fraction={learnt_text['val_fraction']:g}{test} and split={learnt_text['split']}"
            )
        elif (share := share_read(read, text.corpus, spans)) >= MIN_OVERLAP:
            yield (
                f"The model that training starts from has read {percent(share)} of the {part}, so the loss there is "
                "too low: start from nothing for a loss that can be compared"
            )
        if (overlap := parts_overlap(text.corpus, text.train, spans, part)) is not None:
            yield overlap
    if not text.held_out:
        yield "No text is held out for validation, so the run keeps its last model instead of its best"
