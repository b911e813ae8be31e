"""The constants of a run: its text, the metadata of its models, and the model with the initial weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from charlstm.engine.resume import ResumePlan
from charlstm.model.file import PASSAGES, Model, ModelConfig, Weights
from charlstm.text.batches import TrainingText, trained_texts
from charlstm.text.corpus import Corpus
from charlstm.text.passages import Passages, joined
from charlstm.training.settings import Settings
from charlstm.training.text_warnings import examine

READ_BEFORE = ("read_share", "read_by")
"""What the info of a model, the state and the events say of :attr:`RunConstants.read_before`."""


@dataclass(frozen=True, slots=True)
class RunConstants:
    """What stays the same from the beginning of a run to its end.

    ``info`` goes into every model that is saved. ``passages`` are hashes of what a model of the run has read, with
    those of the model that it started from.
    """

    requested_settings: Settings
    text: TrainingText
    info: Mapping[str, Any]
    passages: Passages | None

    @classmethod
    def new(
        cls, corpus: Corpus, settings: Settings, start_from: Model | None, info: Mapping[str, Any]
    ) -> tuple[Self, Settings, list[str]]:
        """A run on ``corpus``, the settings that it trains with, and a sentence for each problem of the text. The size
        of its network is that of ``start_from``, and its vocabulary has the characters of both."""
        asked, vocabulary, info = settings, corpus.vocabulary, dict(info)
        if start_from is not None:
            shape = start_from.config
            settings = settings.with_changes(hidden_size=shape.hidden_size, num_layers=shape.num_layers)
            vocabulary = start_from.vocabulary.extended(vocabulary)
            info.setdefault("lineage", {"learnt": trained_texts(start_from.info)})
        text = TrainingText.of(corpus, vocabulary, settings.val_fraction, settings.split, settings.test_fraction)
        own_passages, read_before, warnings = examine(text, start_from, _name_of_start(info, start_from))
        info |= dict(zip(READ_BEFORE, read_before, strict=True))
        passages = joined([own_passages, None if start_from is None else start_from.passages])
        return cls(asked, text, info, passages), settings, warnings

    @classmethod
    def continued(cls, run: ResumePlan, info: Mapping[str, Any]) -> Self:
        """The constants of a run that an earlier process began."""
        record, info = run.state.record, dict(info)
        if (lineage := record.get("lineage")) is not None:
            info.setdefault("lineage", lineage)
        info |= {name: record.get(name) for name in READ_BEFORE}
        return cls(run.requested_settings, run.text, info, run.state.tensors.get(PASSAGES))

    @property
    def read_before(self) -> dict[str, Any]:
        """How much of the held-out part the model had read before it was validated on it (``read_share``, 0 to 1;
        ``None`` if unknown), and through which model (``read_by``)."""
        return {name: self.info.get(name) for name in READ_BEFORE}

    def record(self) -> dict[str, Any]:
        """The constants that the state of a run has."""
        return {
            "asked": self.requested_settings.to_dict(),
            "vocabulary": self.text.vocabulary.to_dict(),
            "fingerprint": self.text.corpus.fingerprint,
            "lineage": self.info.get("lineage"),
            **self.read_before,
        }

    def model(
        self, config: ModelConfig, weights: Weights, settings: Settings, *, step: int, loss: float | None, whole: bool
    ) -> Model:
        """The model of the run with the ``weights`` of ``step``. ``loss``: in nats per character, ``None`` if it was
        not measured; ``whole``: over all held-out text, not an estimate."""
        corpus = self.text.corpus
        info = {
            **self.info,
            "step": step,
            "val_loss": loss if loss is None or math.isfinite(loss) else None,
            "val_whole": None if loss is None else whole,
            "corpus": self.info.get("corpus", corpus.name),
            "fingerprint": corpus.fingerprint,
            "settings": settings.to_dict(),
        }
        if corpus.options.units is not None:
            info["units"] = corpus.options.units
        return Model(config, self.text.vocabulary, weights, corpus.options, info, self.passages)


def _name_of_start(info: Mapping[str, Any], start_from: Model | None) -> str:
    lineage = info.get("lineage")
    named = lineage.get("run") if isinstance(lineage, Mapping) else None
    return "" if start_from is None else str(named or start_from.info.get("run") or "a model")
