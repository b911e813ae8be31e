"""Look inside the model that is played, in threads: its cells, why a character comes, and what could come next.

The jobs have packed weights of their own: those of the player are its thread's, and may have cells held.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlstm.errors import CharLSTMError
from charlstm.generation.clamp import Clamp
from charlstm.generation.dynamic import AdaptiveModel, score_with
from charlstm.generation.recipe import Recipe
from charlstm.generation.scoring import Scores
from charlstm.generation.stepper import BLOCK, Stepper
from charlstm.insight.activations import WARM_UP, Activations, Trace
from charlstm.insight.cells import NamedCell, name_cells, sample_cells, score_cells
from charlstm.insight.context import LENGTHS, Context, context
from charlstm.insight.holding import HoldEffect, hold_effects
from charlstm.insight.influence import BACK, Influence, influence
from charlstm.insight.lesions import MeasuredLesions, measure_lesions, most_important
from charlstm.insight.multiverse import ContinuationNode, NextWord, ReadText, multiverse, next_words, read_text
from charlstm.insight.sample import TEXT_CHARS, model_step
from charlstm.model.file import Model, load_model
from charlstm.runs.folder import RunFolder
from charlstm.runs.models import evenly_chosen
from charlstm.runs.own_text import OwnText, text_for_cells, text_for_context
from charlstm_tui.background import Check, report_to, threaded
from charlstm_tui.player.opening import LearntModel, checkpoints

SHOWN_CHARS = 3000
"""Characters that cells are computed for."""
FOLLOWED_MODELS = 8
"""Models of a run in which cells are followed through the training, at most."""
LESION_CHARS = 1000
"""Characters of the text that is shown which are coloured by what is worse without a cell."""
PLAYED = "the played text, for lack of a held-out one"
"""What cells are named on where a model has no text of a run: an imported model, or one whose text is gone."""
INFLUENCE_CHARS = WARM_UP + BACK
"""Characters that are read before the character to explain."""
LEAST_READ_CHARS = 1024
"""Characters that are read, at least, before continuations. Trained models forget earlier characters."""
LEARNT_CHARS = 20_000
"""A copy learns from so many characters at the end of a longer text. What it learnt from those before has decayed to a
seventh by then."""

Floats = npt.NDArray[np.float32]
Tell = Callable[[float], object]
"""Called from the thread with how much of a job is done, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class CellsAtStep:
    """What some cells did in the model of a run after ``step`` steps.

    ``values`` are their states c on the text that is shown, by cell, and ``scores`` how well the named ones followed
    their features, in the order in which they were asked for, on the text on which they were named.
    """

    step: int
    values: dict[tuple[int, int], Floats]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class NamedCells:
    """The cells that follow features, the text on which they were found, and a name of that text."""

    cells: tuple[NamedCell, ...]
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class ModelContext:
    """How far a model looks back, and on which text that was measured, in words. ``of_run`` tells whether that is text
    of the model's run."""

    context: Context
    source: str
    of_run: bool


class InsightJobs:
    """Jobs for one model at a time. A job whose awaiting task is cancelled ends soon; the next one waits for that.
    Naming cells takes seconds, and nothing else waits for it."""

    def __init__(self) -> None:
        self._short, self._long = _Weights(), _Weights()
        self._traced: tuple[Model, int, Trace] | None = None  # what the cells of a model did on a text from there on
        self._read: ReadText | None = None  # the text before the last continuations
        self._learning = threading.Lock()
        self._adaptive: AdaptiveModel | None = None  # the copy that learnt last, kept for what it measured at first
        self._learnt_from: tuple[int, str] | None = None  # the start and the text that the copy has read for Write

    @threaded
    def activations(self, check: Check, model: Model, text: str, start: int) -> Activations:
        """What the cells do on ``text`` from ``start`` on. If it continues the text of the call before, only the new
        characters are read. Raises :class:`CharLSTMError`."""
        with self._short.of(model, check) as stepper:
            kept, self._traced = self._traced, None
            if kept is not None and kept[0] is model and kept[1] <= start:
                _, begin, trace = kept
                read_to = begin + len(trace.text)
                if text.startswith(trace.text, begin) and read_to > start:
                    trace.extend(text[read_to:], report_to(check))
                    trace.drop(start - begin)
                    self._traced = model, start, trace
                    return trace.activations()
            trace = _read_from(model, stepper, text, start, check)
            self._traced = model, start, trace
            return trace.activations()

    @threaded
    def name(self, check: Check, model: Model, run: Path | None, played: str, tell: Tell) -> NamedCells:
        """Find the cells that follow features: in what the run held out, or without it in the text that was played.
        Raises :class:`CharLSTMError`."""
        with self._long.of(model, check) as stepper:
            text, source = _run_text(run, text_for_cells) or (played[-TEXT_CHARS:], PLAYED)
            sampled = report_to(check, lambda share: tell(share / 2))
            sample = sample_cells(model, text, stepper=stepper, progress=sampled)
            found = name_cells(sample, progress=report_to(check, lambda share: tell(0.5 + share / 2)))
            return NamedCells(tuple(found), text, source)

    @threaded
    def through_training(
        self,
        check: Check,
        run: Path,
        text: str,
        start: int,
        named: NamedCells | None,
        cell: tuple[int, int],
        tell: Callable[[CellsAtStep], object],
    ) -> None:
        """Find out what the ``named`` cells and another ``cell`` did on ``text`` from ``start`` on in the models of a
        run: the best one and snapshots, up to :data:`FOLLOWED_MODELS`, evenly chosen. The scores are on the text on
        which the cells were named. ``tell`` is called from the thread for each model. Raises :class:`CharLSTMError`."""
        found = checkpoints(run)
        best = next((each for each in found if each[1] is None), None)
        cells = () if named is None else named.cells
        for listed, request in evenly_chosen(found, FOLLOWED_MODELS, keep=best):
            model = load_model(RunFolder(run).model_file(request))
            own = model_step(model)  # a run that trains may have a better model by now
            stepper = Stepper(model)
            states = _read_from(model, stepper, text, start, check).activations().cells
            values = {
                (layer, at): states[:, layer - 1, at - 1].copy() for layer, at in (*(n.cell for n in cells), cell)
            }
            scores: list[float] = []
            if named is not None and cells:
                sample = sample_cells(model, named.text, stepper=stepper, progress=report_to(check))
                scores = score_cells(sample, cells)
            tell(CellsAtStep(listed if own is None else own, values, tuple(scores)))

    @threaded
    def lesions(
        self, check: Check, model: Model, run: Path | None, played: str, also: Sequence[tuple[int, int]], tell: Tell
    ) -> tuple[MeasuredLesions, str]:
        """Measure what silencing each of the cells ``also`` does, and of those that seem to matter: on the text on
        which cells are named, which is given in words too. Raises :class:`GenerationError` if the text is too short."""
        text, source = _run_text(run, text_for_cells) or (played[-TEXT_CHARS:], PLAYED)
        return most_important(model, text, also=also, progress=report_to(check, tell)), source

    @threaded
    def damage(self, check: Check, model: Model, text: str, cell: tuple[int, int]) -> Floats:
        """How much the loss of each character of ``text`` rises when a cell is silenced. Raises
        :class:`GenerationError` if the text is too short."""
        return measure_lesions(model, text, [cell], progress=report_to(check))[0]

    @threaded
    def held(
        self, check: Check, model: Model, prime: str, recipe: Recipe, features: Sequence[str], tell: Tell
    ) -> list[HoldEffect]:
        """What the held cells of ``recipe`` change in the ``features`` of what is written after ``prime``."""
        with self._long.of(model, check) as stepper:
            return hold_effects(
                model, features, recipe.clamps, prime=prime, recipe=recipe, stepper=stepper,
                progress=report_to(check, tell),
            )  # fmt: skip

    @threaded
    def model_context(self, check: Check, model: Model, run: Path | None, shown: str, tell: Tell) -> ModelContext:
        """Measure how far back a model looks: on text that its run held out, or else on the text that is shown. Raises
        :class:`GenerationError` if that is too short."""
        own = _run_text(run, text_for_context)
        text, source = own or (shown[-TEXT_CHARS:], "this text")
        with self._long.of(model, check) as stepper:
            found = context(model, text, stepper=stepper, progress=report_to(check, tell))
        return ModelContext(found, source, own is not None)

    @threaded
    def place_context(self, check: Check, model: Model, text: str) -> Context:
        """Measure how far back a model looks for the last character of ``text``, which is not the first."""
        at = len(text) - 1
        lengths = [length for length in LENGTHS if length <= at]
        with self._short.of(model, check) as stepper:
            return context(model, text, at=at, lengths=lengths, stepper=stepper, progress=report_to(check))

    @threaded
    def influence(self, check: Check, model: Model, text: str) -> Influence:
        """The influence of earlier characters on the last one of ``text``, of which the last :data:`INFLUENCE_CHARS`
        before it matter. Raises :class:`GenerationError` if there is none before it."""
        with self._short.of(model, check) as stepper:
            return influence(model, text, len(text) - 1, stepper=stepper, progress=report_to(check))

    @threaded
    def continuations(
        self, check: Check, model: Model, text: str, depth: int, cutoff: float, clamps: Sequence[Clamp] = ()
    ) -> ContinuationNode:
        """All continuations of ``text`` of up to ``depth`` characters whose probability is at least ``cutoff``, with
        these cells held."""
        report = report_to(check)
        with self._short.of(model, check, clamps) as stepper:
            self._read = read_text(model, _recent(text), stepper=stepper, known=self._read, progress=report)
            return multiverse(model, depth=depth, cutoff=cutoff, stepper=stepper, after=self._read, progress=report)

    @threaded
    def next_words(
        self, check: Check, model: Model, text: str, count: int, clamps: Sequence[Clamp] = ()
    ) -> list[NextWord]:
        """The likeliest next words after ``text``, with these cells held. One that continues the text of the last
        :meth:`continuations` is not read again."""
        with self._short.of(model, check, clamps) as stepper:
            read = read_text(model, _recent(text), stepper=stepper, known=self._read, progress=report_to(check))
            return next_words(model, count=count, stepper=stepper, after=read, check=check)

    @threaded
    def learnt_scores(self, check: Check, model: Model, text: str, strength: float, tell: Tell) -> Scores:
        """The scores of ``text`` by a copy of ``model`` that learns from it while it reads. Raises
        :class:`CharLSTMError`."""
        with self._learning:
            check()
            self._learnt_from = None
            return score_with(self._copy(model, strength), text, progress=report_to(check, tell))

    @threaded
    def learnt_model(self, check: Check, model: Model, text: str, strength: float, tell: Tell) -> LearntModel:
        """A copy of ``model`` that has learnt from the last :data:`LEARNT_CHARS` of ``text``. If that continues the
        text of the call before, the copy learns from what is new alone. Raises :class:`CharLSTMError`."""
        with self._learning:
            check()
            learnt = self._learn_on(model, text, strength, check, tell)
        return LearntModel(learnt, Stepper(learnt), strength)

    def _learn_on(self, model: Model, text: str, strength: float, check: Check, tell: Tell) -> Model:
        """A copy of ``model`` that has learnt from the end of ``text``, or goes on where it had read to."""
        known, before = self._learnt_from, self._adaptive
        goes_on = before is not None and before.model is model and before.strength == strength
        self._learnt_from = None  # until all of it is read
        adaptive = self._copy(model, strength)
        if goes_on and known is not None and text.startswith(known[1], known[0]):
            start, read_to = known[0], known[0] + len(known[1])
        else:
            adaptive.reset()
            start = read_to = max(0, len(text) - LEARNT_CHARS)
        adaptive.prepare(check)
        ids = model.vocabulary.encode(text[read_to:])[0]
        for at in range(0, len(ids), BLOCK):
            check()
            tell(at / len(ids))
            adaptive.read(ids[at : at + BLOCK])
        self._learnt_from = start, text[start:]
        return adaptive.adapted()

    def _copy(self, model: Model, strength: float) -> AdaptiveModel:
        """The copy of ``model`` that learns."""
        if self._adaptive is None or self._adaptive.model is not model:
            self._adaptive = AdaptiveModel(model)
        self._adaptive.strength = strength
        return self._adaptive


class _Weights:
    """Packed weights that one job at a time uses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stepper: tuple[Model, Stepper] | None = None

    @contextlib.contextmanager
    def of(self, model: Model, check: Check, clamps: Sequence[Clamp] = ()) -> Iterator[Stepper]:
        """The packed weights of a model, with these cells held."""
        with self._lock:
            check()
            if self._stepper is None or self._stepper[0] is not model:
                self._stepper = (model, Stepper(model))
            self._stepper[1].clamps = tuple(clamps)
            yield self._stepper[1]


def _read_from(model: Model, stepper: Stepper, text: str, start: int, check: Check) -> Trace:
    """What the cells do on ``text`` from ``start`` on, after :data:`WARM_UP` characters before."""
    trace = Trace(model, stepper)
    before = min(start, WARM_UP)
    trace.extend(text[start - before :], report_to(check))
    trace.drop(before)
    return trace


def _recent(text: str) -> str:
    """The last characters of ``text``, from the same one on while it grows by less than :data:`LEAST_READ_CHARS`."""
    return text[max(0, len(text) // LEAST_READ_CHARS - 1) * LEAST_READ_CHARS :]


def _run_text(run: Path | None, part: Callable[[RunFolder], OwnText]) -> tuple[str, str] | None:
    """A part of a run's text, which the commands read too, and what it is; ``None`` where the text is gone or has
    changed."""
    if run is None:
        return None
    try:
        own = part(RunFolder(run))
    except (CharLSTMError, OSError):
        return None
    return own.text, own.name
