"""Which weights a new run on a text starts from: those of a model that already predicts the text, or new ones.

A model helps where its loss on the text, before any training on it, is below that of the text's own pairs of letters. A
text that is near to what the model has read is read only a few times, at a low rate, and one that is far from it as
often and as fast as from nothing. ``docs/measured.md`` has results on several texts.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlstm.display import count, visible
from charlstm.errors import CharLSTMError
from charlstm.generation.softmax import cross_entropy
from charlstm.generation.stepper import Stepper
from charlstm.generation.threads import blas_threads
from charlstm.model.file import Model, ModelConfig, load_model, read_info
from charlstm.runs.folder import list_runs
from charlstm.runs.models import DEMO, demo_path, find_model, model_words
from charlstm.text.batches import trained_texts
from charlstm.text.corpus import Corpus, Span, TextSplit
from charlstm.text.read_before import is_much
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.presets import DEFAULT, SHORT_TEXT, preset, presets
from charlstm.training.settings import OWN_NETWORK, Settings
from charlstm.training.text_warnings import read_share

PASSAGES, LENGTH, WARM_UP = 40, 160, 32
"""A model is tried on so many passages of so many characters, all but the first of which count."""

LEARNS = {"quick": (0.85, 1.1)}
"""What becomes of the loss that the model in the box has on a text before any training, for presets where that was
measured: the share that is left from the model, and the loss from nothing as a share of it. For `quick` over four texts
that it had not read: 0.78 to 0.89; over six, with the model of 0.3, 1.08 to 1.14."""

LEARNS_BELOW = 0.6
"""What was measured of the model in the box is of texts on which its loss is a smaller share of the pairs' loss."""

LEAST_FROM_MODEL, LEAST_FROM_NOTHING = 300_000, 850_000
"""Characters that a run has to read for these losses: two thirds of what it read."""

LEARNS_OF = 150_000
"""Characters of the smallest text for these losses: most texts were larger."""

NEAR, FAR = 0.65, 0.78
"""The model's loss as a share of the pairs' loss. Below the first a text is near to what the model has read, as novels
and most verse are; above the second it is far from that, as program code is. Between them are plays and prose on
technology, and the rate is doubled."""

COUNTED = 1_000_000
"""Characters of the text whose pairs are counted."""


@dataclass(frozen=True, slots=True)
class StartModel:
    """A model and its losses on a text before training on the text. Losses are in nats per character."""

    name: str
    """The name of its run, or ``demo``."""
    path: Path
    config: ModelConfig
    loss: float
    pairs: float
    """The loss of the text's own pairs of letters."""
    read: float | None
    """The share of what is held out, 0 to 1, that the model has read before; ``None`` if its file does not tell."""
    symbols: int
    """Characters that a run on the text knows which starts from the model: its own and those of the text."""
    reading: str = ""
    """What differs in how its own text and this one were read, as a sentence; empty where nothing does."""

    @property
    def helps(self) -> bool:
        """Whether a run on the text should start from it: it predicts the text better than the text's own pairs of
        letters."""
        return self.loss < self.pairs

    @property
    def is_far(self) -> bool:
        """Whether the text is so far from what it has read that there is more to learn than to forget."""
        return self.loss > FAR * self.pairs

    @property
    def words(self) -> str:
        """The model's name in a sentence."""
        return visible(model_words(self.name), keep="")

    @property
    def knows_such_text(self) -> bool:
        """Whether what was measured of the model in the box holds: the text is like its books, and not one of them."""
        return self.name == DEMO and not self.has_read_it and self.loss < LEARNS_BELOW * self.pairs

    @property
    def has_read_it(self) -> bool:
        """Whether it has read so much of the held-out part before that losses on it mean little."""
        return is_much(self.read)


def expected_losses(
    box: StartModel, preset_name: str, text_chars: int, chars: float, from_nothing: bool
) -> tuple[float, float] | None:
    """About what the loss will be after a preset that reads ``chars`` characters of a text of ``text_chars``, from the
    model in the box and from nothing; ``None`` if unknown."""
    shares = LEARNS.get(preset_name)
    least = LEAST_FROM_NOTHING if from_nothing else LEAST_FROM_MODEL
    if shares is None or not box.knows_such_text or text_chars < LEARNS_OF or chars < least:
        return None
    return shares[0] * box.loss, shares[1] * box.loss


def no_gain(start: StartModel, preset_name: str, text_chars: int) -> str:
    """A sentence where a longer preset, as it is, is known to gain nothing on a shorter one; else empty."""
    known = presets()
    if known[preset_name].from_model is None or preset_name == DEFAULT:
        return ""
    if start.knows_such_text and text_chars <= SHORT_TEXT:
        return f"On a text of up to {count(SHORT_TEXT)} characters the loss will be about that of quick"
    if preset_name == "best" and not start.is_far:
        best, standard = (preset_from(start, name, text_chars, start.symbols) for name in ("best", "standard"))
        if best.with_changes(max_minutes=standard.max_minutes) == standard:
            return f"The loss will be about that of standard: both read the text {best.epochs:g} times"
    return ""


def with_passages(model: Model) -> Model:
    """``model``; a file without passages, of a model that directly or through others started from the model in the box,
    gets the passages of the model in the box."""
    demo = demo_path()
    if model.passages is not None or demo is None:
        return model
    fingerprint = read_info(demo)[1].get("fingerprint")
    if not any(text["fingerprint"] == fingerprint for text in trained_texts(model.info)):
        return model
    return replace(model, passages=load_model(demo).passages)


def share_read(model: Model, corpus: Corpus, spans: Sequence[tuple[int, int]]) -> tuple[float | None, str | None]:
    """The fraction of ``spans`` of a text that ``model`` has read, and which model read it, by the file's record: an
    ancestor, or empty for the model itself. ``None`` for what is not known."""
    share = read_share(with_passages(model), corpus, spans)
    is_own = model.info.get("fingerprint") == corpus.fingerprint
    by = model.info.get("read_by") if is_own and is_much(share) else None
    return share, by if isinstance(by, str) else None


def preset_from(start: StartModel | None, name: str, chars: int, symbols: int) -> Settings:
    """The settings of the preset ``name`` for a text of ``chars`` characters, ``symbols`` of them distinct, and a run
    that begins with the weights of ``start``, ``None`` for random ones."""
    if start is None:
        return preset(name, chars, symbols)
    size = {"hidden_size": start.config.hidden_size, "num_layers": start.config.num_layers}
    if start.is_far:
        return preset(name, chars, symbols).with_changes(**size)
    settings, found = preset(name, chars, symbols, start.config), presets()[name]
    if start.loss < NEAR * start.pairs or found.from_model is None or "lr" in dict(found.changes):
        return settings
    return settings.with_changes(lr=2 * settings.lr)


def try_model(name: str, path: Path, corpus: Corpus, split: TextSplit) -> StartModel:
    """Measure the model in the file ``path`` on the training part of a text, which a run divides as ``split``.
    Takes a second at 2 × 512. Raises :class:`~charlstm.errors.ModelError` for a file that is no usable model."""
    model = load_model(path)
    return _tried(name, path, model, loss_before_training(model, corpus, split.train), corpus, split)


def _tried(name: str, path: Path, model: Model, loss: float, corpus: Corpus, split: TextSplit) -> StartModel:
    read = read_share(with_passages(model), corpus, (*split.held_out, *split.test))
    symbols = len(model.vocabulary.extended(corpus.vocabulary))
    reading = ""
    if model.text_options.lines == "keep" and corpus.report.paragraphs:
        reading = "It has learnt from texts with their lines, and this one is read as paragraphs"
    elif model.text_options.lines == "auto" and corpus.options.lines == "keep":
        reading = "It has learnt from texts that were read as paragraphs, and the lines of this one are kept"
    return StartModel(name, path, model.config, loss, pairs_loss(corpus, split.train), read, symbols, reading)


def best_start(
    models: Sequence[tuple[str, Path]],
    corpus: Corpus,
    split: TextSplit,
    progress: Callable[[int, int], None] | None = None,
    left_out: Callable[[StartModel], object] | None = None,
) -> StartModel | None:
    """The one of ``models`` (name and file) with the lowest loss on the text, if it helps. Unusable models are left
    out. ``progress`` is called with the numbers ``(done, total)`` of models. With ``left_out``, a model that would be
    better but has read the held-out part is left out too, and passed to it.
    """
    best: StartModel | None = None
    for number, (name, path) in enumerate(models, 1):
        with contextlib.suppress(CharLSTMError):
            model = load_model(path)
            loss = loss_before_training(model, corpus, split.train)
            if best is None or loss < best.loss:
                tried = _tried(name, path, model, loss, corpus, split)
                if tried.helps and tried.has_read_it and left_out is not None:
                    left_out(tried)
                else:
                    best = tried
        if progress is not None:
            progress(number, len(models))
    return best if best is not None and best.helps else None


NOTHING, BEST = "none", "auto"
"""What ``--from`` takes besides a model: random weights, and the best start there is."""


def starts_from_model(word: str | None, preset_name: str, given: Collection[str] = ()) -> bool:
    """Whether a new run may start from a model: if one is asked for with ``word`` (see :func:`find_start`), or if the
    preset is one that does and no setting of those ``given`` asks for a network of one's own."""
    if word is not None:
        return word != NOTHING
    return presets()[preset_name].from_model is not None and not OWN_NETWORK.intersection(given)


def find_start(
    word: str | None,
    corpus: Corpus,
    settings: Settings,
    runs_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    left_out: Callable[[StartModel], object] | None = None,
) -> StartModel | None:
    """The model that a new run starts from; ``None`` for random weights.

    Args:
        word: what the user asked for: a model as :func:`~charlstm.runs.models.find_model` takes it, :data:`NOTHING`,
            :data:`BEST` of the model in the box and the user's own; ``None`` for the model in the box where it helps.
        settings: those of the run, which say what is held out.
        progress: called with the numbers ``(done, total)`` of models that were tried for :data:`BEST`.
        left_out: called with each model that is left out of :data:`BEST`, since it has read the held-out part.

    Raises :class:`~charlstm.errors.ModelError` or :class:`~charlstm.errors.RunError` for a model that is not there.
    """
    if word == NOTHING:
        return None
    split = corpus.split(settings.val_fraction, settings.split, settings.test_fraction)
    if word not in (None, BEST):
        return try_model(word, find_model(word, runs_dir), corpus, split)
    demo = demo_path()
    models = [] if demo is None else [(DEMO, demo)]
    if word == BEST:
        models += [(run.name, run.model_path) for run in list_runs(runs_dir) if run.model_path.is_file()]
    leave_out = left_out or (lambda model: None)
    return best_start(models, corpus, split, progress, leave_out if word == BEST else None)


def loss_before_training(model: Model, corpus: Corpus, spans: Sequence[Span]) -> float:
    """The loss of ``model`` on a sample of ``spans``, in nats per character.

    A character that the model does not know costs as much as a choice among all characters of the text, and is read as
    a space, or as the model's replacement symbol. Infinite for a text without a character to predict.
    """
    if not any(stop - start > 1 for start, stop in spans):
        return math.inf
    ids = _windows(corpus, spans)
    known = _ids_in(model.vocabulary, corpus.vocabulary)
    targets, stepper = known[ids], Stepper(model)
    fallback = model.vocabulary.index(model.vocabulary.replacement or " ") or 0
    inputs = np.where(targets < 0, fallback, targets)
    state, losses = stepper.zero_state(len(ids)), np.zeros(ids.shape, np.float64)
    with blas_threads(1):  # several would wait for each other where other programs compute
        for at in range(ids.shape[1] - 1):
            logits = stepper.step(inputs[:, at], state)
            losses[:, at + 1] = cross_entropy(logits, inputs[:, at + 1])
    losses[targets < 0] = math.log(max(2, len(corpus.vocabulary)))
    return float(losses[:, min(WARM_UP, ids.shape[1] - 1) :].mean())


def pairs_loss(corpus: Corpus, spans: Sequence[Span]) -> float:
    """The entropy of a character given the one before it, in nats, in the first :data:`COUNTED` characters of
    ``spans``; 0 for a text without pairs."""
    if not spans:
        return 0.0
    ids = np.concatenate([corpus.ids[start:stop][:COUNTED] for start, stop in spans])[:COUNTED].astype(np.int64)
    _, pairs = np.unique(ids[:-1] * len(corpus.vocabulary) + ids[1:], return_counts=True)
    _, first = np.unique(ids[:-1], return_counts=True)
    return _entropy(pairs) - _entropy(first)


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    shares = counts / max(1, counts.sum())
    return float(-(shares * np.log(shares)).sum())


def _windows(corpus: Corpus, spans: Sequence[Span]) -> npt.NDArray[np.int64]:
    """``(rows, length)`` ids of passages that are spread evenly over ``spans``."""
    first, stop = np.array([(span.start, span.stop) for span in spans], np.int64).T
    length = min(LENGTH, int((stop - first).max()))
    counts = np.maximum(0, stop - first - length + 1)  # at which a passage may begin, in each span
    before = np.cumsum(counts) - counts
    chosen = np.linspace(0, counts.sum() - 1, PASSAGES).astype(np.int64)
    at = np.searchsorted(before + counts, chosen, side="right")
    starts = first[at] + chosen - before[at]
    return np.stack([corpus.ids[start : start + length] for start in starts]).astype(np.int64)


def _ids_in(vocabulary: Vocabulary, of: Vocabulary) -> npt.NDArray[np.int64]:
    """For each symbol of ``of`` its id in ``vocabulary``, or -1."""
    found = (vocabulary.index(symbol) for symbol in of.symbols)
    return np.array([-1 if index is None else index for index in found], np.int64)
