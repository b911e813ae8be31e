"""Judge how a run is doing, in words for a person, and say what can be done next.

:func:`judge` takes the logged series, and the run's status for what a log does not show. It reads no files. Losses are
in nats per character. What the trainer says of the end of a run is in :mod:`charlstm.training.ending`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import numpy as np

from charlstm.display import as_sentence, duration, loss_figure, percent
from charlstm.runs.contention import slowdown_words
from charlstm.runs.series import Floats, RunSeries
from charlstm.runs.status import NO_WORKER, RunStatus, state_in_log
from charlstm.training.ending import END_REASONS, divergence_message, rate_was_too_high
from charlstm.training.events import ESTIMATE, Validated

OVERFIT_RISE = 0.01
"""Relative rise of the validation loss above its best, with at least two validations in a row above it, that counts as
overfitting."""

FLAT_FALL = 0.005
"""A smaller relative fall of the validation loss over the last third of its curve counts as flattening."""

WORSE_RISE = 0.02
"""A larger relative rise of the validation loss over the last third of its curve is no flattening any more."""

STALLED_FALL = 0.02
"""A training loss that fell by less than this, relatively, over the second half of a run has stopped falling."""

ABOVE_BEST = 0.05
"""With a validation loss this much above the best, relatively, a run has lost its progress."""

STUCK_NEAR = 0.03
"""A loss within this relative distance of the entropy of the letter frequencies after ``STUCK_AFTER`` steps: the model
knows only how frequent each character is."""
STUCK_AFTER = 100

RISE = 0.15
"""Relative rise of the training loss above its lowest that counts as diverging: ten times its noise in the runs of the
presets, and a third of the smallest rise after which a run with a rate of 0.1 lost what it had learnt."""

ABOVE_GUESSING = 1.05
"""Losses of this multiple of guessing all characters alike are worse than guessing: an untrained network is near it."""

HARDLY_LOWER = 0.03
"""A model that has read less than the whole text and whose loss fell by less than this, relatively, writes like the
model that its run began with."""

BEATEN_BY = {
    "order 1": ("a model of the last letter alone", "writes gibberish"),
    "order 2": ("a model of the last two letters alone", "writes few real words"),
    "xz": ("a file compressor", "writes few real words"),
}
"""The simple models that a run's model should beat, by their labels (:func:`charlstm.runs.text.baseline_losses`), and
what a model that does not beat them does."""


class NextStep(Enum):
    """What a person can do with a run, in the words that the app has beside the key for it."""

    PAUSE = "pause"
    CONTINUE = "continue"
    STOP = "stop"
    LOWER_RATE = "lower the rate"
    OTHER_RATE = "another rate"
    RESUME = "resume"
    RESUME_LOWER = "resume, lower rate"
    PLAY = "play it"
    MORE = "more minutes"
    NEW = "new run"
    NEW_LOWER = "new run with a lower rate"


class Kind(NamedTuple):
    """What all verdicts of a kind have in common."""

    mark: str
    """One character that stands before the sentence in the app."""
    steps: tuple[NextStep, ...] = (NextStep.PAUSE, NextStep.STOP)
    """What can be done, the most likely first."""
    is_trouble: bool = False
    """Whether something has to be done."""


KINDS = {
    "queued": Kind("◌", ()),
    "starting": Kind("▹", (NextStep.STOP,)),
    "waiting": Kind("…", (NextStep.STOP,)),
    "paused": Kind("‖", (NextStep.CONTINUE, NextStep.STOP)),
    "validating": Kind("▶", (NextStep.STOP,)),
    "learning": Kind("↘"),
    "recovering": Kind("↘"),
    "climbing": Kind("↗"),
    "rising": Kind("↗", (NextStep.LOWER_RATE, NextStep.STOP), is_trouble=True),
    "flattening": Kind("→", (NextStep.LOWER_RATE, NextStep.STOP)),
    "worsening": Kind("↗", (NextStep.LOWER_RATE, NextStep.STOP), is_trouble=True),
    "overfitting": Kind("↗", (NextStep.STOP,)),
    "stuck": Kind("=", (NextStep.OTHER_RATE, NextStep.STOP), is_trouble=True),
    "diverging": Kind("✗", (NextStep.LOWER_RATE, NextStep.STOP), is_trouble=True),
    "stopped": Kind("□", (NextStep.RESUME, NextStep.PLAY)),
    "failed": Kind("✗", (NextStep.RESUME, NextStep.PLAY)),
    "crashed": Kind("✗", (NextStep.RESUME, NextStep.PLAY)),
    "diverged": Kind("✗", (NextStep.RESUME_LOWER, NextStep.PLAY, NextStep.NEW)),
    "finished": Kind("■", (NextStep.PLAY, NextStep.MORE)),
}
BROKEN = ("failed", "crashed", "diverged")
"""The kinds of a run that ended by no plan and by nobody's command."""
ENDED = ("stopped", "finished", *BROKEN)
"""The kinds of a run without a worker."""


class Losses(NamedTuple):
    """A loss before and after; of a rise, the lowest and the last."""

    before: float
    after: float

    def words(self, bits: bool) -> tuple[str, str]:
        """Both, without their unit."""
        return _loss(self.before, bits), _loss(self.after, bits)


class Beaten(NamedTuple):
    """What a model is no better than, or hardly, in words, the loss of that, whether the model's is a little lower, and
    what such a model does."""

    by: str
    loss: float
    lower: bool
    effect: str = "writes gibberish"

    def describe(self, bits: bool) -> str:
        """``no better than guessing all characters alike (4.58 nats)``."""
        better = "hardly better" if self.lower else "no better"
        return f"{better} than {self.by} ({_loss(self.loss, bits)} {_unit(bits)})"


class Best(NamedTuple):
    """The best model of a run. ``whole``: its loss was measured on the whole held-out part; else it is an estimate from
    slices. ``step`` is ``None`` where it is not known."""

    loss: float
    whole: bool = False
    step: int | None = None

    def describe(self, bits: bool) -> str:
        """Its loss, and that it is kept, in a sentence; empty when the loss is not a number."""
        if not math.isfinite(self.loss):
            return ""
        figures = f"{_loss(self.loss, bits)} {_unit(bits)} ({_loss(self.loss, not bits)} {_unit(not bits)})"
        loss = figures if self.whole else ESTIMATE + figures
        if self.step == 0:
            return f"The model that is kept is the one from before training: {loss}."
        return f"Best {loss}{f' at step {self.step:,}' if self.step is not None else ''}, kept."


class FromModel(NamedTuple):
    """How far a run came that began with a trained model."""

    validation: Losses
    """Before the first step and of the best model, both estimated from the same slices of the held-out part."""
    epochs: float
    """The number of passes over the training text."""

    @property
    def hardly_changed(self) -> bool:
        """Whether it still writes like the model it began with, and more of the text may change that."""
        return self.epochs < 1 and self.validation.after > self.validation.before * (1 - HARDLY_LOWER)

    @property
    def read(self) -> str:
        """How much of the text it has read: ``3 % of your text``."""
        return f"{percent(self.epochs)} of your text" if self.epochs < 1 else f"your text {self.epochs:.1f} times"

    def describe(self, bits: bool) -> str:
        """How much lower the loss became and how much was read, without a full stop. Not the two losses: the loss of
        the run, which stands beside this, is of more of the held-out part."""
        lower = self.validation.before - self.validation.after
        if lower <= 0:
            return f"No step has improved the model that training began with, after reading {self.read}"
        words = f"{ESTIMATE}{_loss(lower, bits)} {_unit(bits)} lower than before training, after reading {self.read}"
        return f"{words}: it still writes like the model it began with" if self.hardly_changed else words


class Flaw(NamedTuple):
    """What is wrong with the model of a run that finished, in a sentence without its full stop."""

    words: str
    lower_rate: bool
    """Another run needs a lower learning rate, and more minutes would not help."""
    more_minutes: bool
    """More minutes may help."""
    reads_well: bool = False
    """What the model writes reads well all the same."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run is doing."""

    kind: str
    """One of :data:`KINDS`."""
    text: str
    """One to three sentences for a person."""
    needs_lower_rate: bool = False
    """Whether the loss rises, or rose or came to rest before the end, because the learning rate is too high."""
    title: str = ""
    """The end in a few words. Like all fields below, only for a run that has ended."""
    message: str = ""
    """What the worker reported, or empty."""
    remark: str = ""
    """``message``, unless ``text`` says it: something that came after the end, such as a resume that failed."""
    best: Best | None = None
    busy: str = ""
    """A sentence on the slowdown by other programs, if notable."""
    overfitted: str = ""
    """For an overfitted run, the end of a sentence that names the remedy; else empty."""
    from_model: FromModel | None = None
    """The progress since the initial trained model; None without one, and for a broken run."""
    flaw: Flaw | None = None
    """The flaw of the model; ``None`` for a model that has learnt something, and for an unfinished run."""

    @property
    def mark(self) -> str:
        """One character that stands before the sentence in the app."""
        return KINDS[self.kind].mark

    @property
    def is_trouble(self) -> bool:
        """Whether something has to be done."""
        return KINDS[self.kind].is_trouble

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        """What can be done, the most likely first."""
        if self.kind == "worsening" and not self.needs_lower_rate:
            return (NextStep.STOP,)
        if self.kind == "finished" and self.needs_lower_rate:
            return (NextStep.PLAY, NextStep.NEW_LOWER)
        return KINDS[self.kind].steps

    @property
    def has_ended(self) -> bool:
        """Whether the run has no worker."""
        return self.kind in ENDED

    @property
    def is_broken(self) -> bool:
        """Whether the run ended by no plan and by nobody's command."""
        return self.kind in BROKEN


def advice_to_stop(command: str) -> str:
    """Advice on a run that diverges; ``command`` lowers the learning rate during training."""
    return f"Stop it and train with a lower learning rate, or lower it now: {command}"


def advice_to_resume(rate: str) -> str:
    """What to do with a run that diverged, with a learning rate to try."""
    return f"Resume it with a lower learning rate, such as lr={rate}"


def judge(
    series: RunSeries,
    status: RunStatus | None = None,
    *,
    references: Mapping[str, float] | None = None,
    risky_rate: bool = False,
    bits: bool = False,
) -> Verdict:
    """Judge the run, in words with losses in nats, or in ``bits``.

    ``status`` adds what the log does not show: crashed, waiting for the disk, starting. ``references`` are the losses
    of simple models in nats per character (:func:`charlstm.runs.text.baseline_losses`); without that of ``order 0``,
    the entropy of the letter frequencies on the held-out part, no run is found stuck. ``risky_rate``: the learning rate
    is many times that of the preset (:data:`charlstm.training.ending.RISKY_RATE`).

    A loss that rises is never called learning. A loss that is not a number, is above that of guessing all characters
    alike, or has risen by :data:`RISE` is diverging, three logged losses (about a second) after it began.
    """
    references = references or {}
    state = status.state if status is not None else None
    message = status.message if status is not None else ""
    # While there is a worker, how the run ended before is no longer true.
    if state in (None, *NO_WORKER) and (ended := _ended(series, status, bits)):
        return ended if ended.kind != "finished" else _finished(ended, series, references, risky_rate, bits)
    if state == "queued":
        return Verdict("queued", as_sentence(message))
    if state == "waiting":
        return Verdict("waiting", as_sentence(message or "Waiting for the disk"))
    if state == "paused" or (state is None and series.paused is not None):
        rate = series.next_rate
        set_meanwhile = "" if rate is None else f" The learning rate is {rate:g} from the next step on."
        return Verdict("paused", f"Paused at step {series.step:,}.{set_meanwhile}")
    if state == "starting" or series.started is None or not series.step:
        if state == "running" and series.started is not None and not message:
            measured = series.val_loss is not None or not series.started.val_chars
            message = "the first step comes next" if measured else "measuring the loss before training"
        return Verdict("starting", as_sentence(f"Starting: {message}" if message else "Starting"))
    if status is not None and status.validated is not None:
        words = "Training has ended. Now the best model is validated on the held-out text."
        return Verdict("validating", words)
    return _live(series, references.get("order 0"), bits)


def overfitting_since(series: RunSeries) -> Validated | None:
    """The best validation, if the run overfits since: at least two validations came after it, all are above it, the
    last by ``OVERFIT_RISE``, and the training loss kept falling. ``None`` otherwise. In a run that was extended, those
    count that came after the rate had climbed again. A run that reads the text for the first time does not overfit:
    what it is trained on it has never seen."""
    if not _reads_again(series):
        return None
    points = _comparable_validations(series)
    if len(points) < 3:
        return None
    best = min(points, key=lambda each: each.loss)
    later = [each for each in points if each.step > best.step]
    if len(later) < 2 or later[-1].loss <= best.loss * (1 + OVERFIT_RISE):
        return None
    if _train_change(series, best.step) > 0:
        return None  # both losses rise: the learning rate is too high, which is another problem
    return best


def _ended(series: RunSeries, status: RunStatus | None, bits: bool) -> Verdict | None:
    """The verdict on a run without a worker; ``None`` if the log and ``status`` do not show an end. The verdict on a
    finished run has no text yet."""
    finished, failed, since = series.finished, series.failed, overfitting_since(series)
    if status is None and finished is None and failed is None:
        return None
    state, message = (state_in_log(series), "") if status is None else (status.state, status.message)
    best, reason, busy = _best(series, status), "", ""
    if finished is not None:
        reason, busy = finished.reason, slowdown_words(finished.slowdown, "was")
    overfitted = "" if since is None else f"overfitted after step {since.step:,}; more text or dropout would help"
    found = Verdict("", "", message=message, remark=message, best=best, busy=busy, overfitted=overfitted)
    kept = "" if best is None else best.describe(bits)
    if finished is not None and reason == "diverged":
        said = divergence_message(finished.step)
        text = f"Diverged at step {finished.step:,}: the loss is not a number any more. {kept or 'No model was kept.'}"
        return replace(
            found,
            kind="diverged",
            text=text,
            needs_lower_rate=True,
            title=END_REASONS["diverged"].title,
            message=message or said,
            remark="" if message == said else message,
        )
    if state in ("failed", "crashed"):
        if state == "failed":
            message = message or (failed.message if failed is not None else "it ended with an error")
        title = state.capitalize()
        text = f"{title}: {as_sentence(message) or 'The reason is unknown.'} {kept}".rstrip()
        return replace(found, kind=state, text=text, title=title, message=message, remark="")
    found = replace(found, from_model=_from_model(series))
    if state == "stopped":
        title = f"Stopped at step {series.step:,}"
        return replace(found, kind="stopped", text=f"{title}. {kept}".rstrip(), title=title)
    end = END_REASONS.get(reason, END_REASONS["done"])
    seconds = series.work_seconds or (0.0 if status is None else status.work_seconds)
    text = f"Finished after {_span(seconds)}{f': {end.why}' if end.why else ''}. {kept}".rstrip()
    return replace(found, kind="finished", text=text, title=end.title)


def _finished(
    found: Verdict, series: RunSeries, references: Mapping[str, float], risky_rate: bool, bits: bool
) -> Verdict:
    """``found`` with what is wrong with the model of the run.

    A longer run would change nothing, a lower learning rate would, when the loss had risen, or when the best model is
    useless and the loss had stopped falling or was once worse than guessing.
    """
    best, from_model, risen = found.best, found.from_model, _risen_from(series)
    useless = None if best is None else _no_better_than(series, best.loss, references.get("order 0"))
    beaten = useless or (None if best is None else _simple_model_that_beats(best.loss, references))
    above_guessing = _rose_above_guessing(series)
    too_high = risen is not None or (useless is not None and (above_guessing or _has_stalled(series)))
    rose = ""
    if risen is not None:
        low, last = risen.words(bits)
        rose = f"It diverged: the training loss rose from {low} to {last} {_unit(bits)}"

    parts, extended_at = [found.text], series.extended_at
    if useless is not None:
        parts.append(f"That is {useless.describe(bits)}: it has learnt nothing of use yet.")
    elif beaten is not None:
        parts.append(f"That is {beaten.describe(bits)}: it {beaten.effect}.")
    if rose:
        parts.append(f"{rose}.")
    elif too_high:
        parts.append(f"{rate_was_too_high()}: train anew with a lower one.")
    elif found.overfitted:
        parts.append(f"It {found.overfitted}.")
    elif from_model is not None:
        parts.append(f"{from_model.describe(bits)}.")
    elif extended_at is not None and series.best_step is not None and series.best_step <= extended_at:
        parts.append("The steps that were added did not improve it.")
    # what other programs did comes last: the sentences before it are about the model
    text = " ".join(filter(None, (*parts, found.busy)))

    too_high_for_flaw = too_high or (beaten is not None and (above_guessing or risky_rate))
    flaw = _flaw(found, beaten, rose, too_high_for_flaw, bits)
    return replace(found, text=text, needs_lower_rate=too_high, flaw=flaw)


def _flaw(found: Verdict, beaten: Beaten | None, rose: str, too_high: bool, bits: bool) -> Flaw | None:
    """What is wrong with the model of a run that finished, which is ``beaten`` by a simple one. ``rose``: a rise of its
    loss, in words."""
    best, from_model = found.best, found.from_model
    untrained = best is not None and best.step == 0
    if rose:
        words = rose
    elif beaten is not None:
        model = "Its model, still the one from before training," if untrained else "Its best model"
        words = f"{model} is {beaten.describe(bits)}, so that it {beaten.effect}"
    elif from_model is not None and from_model.hardly_changed:
        return Flaw(from_model.describe(bits), too_high, more_minutes=not too_high, reads_well=True)
    elif untrained:
        words = "No step has improved the model that training began with. A lower rate or more text may help"
    else:
        return None
    return Flaw(words, too_high, beaten is not None and not too_high, beaten is None and from_model is not None)


def _from_model(series: RunSeries) -> FromModel | None:
    """How far a run came whose network was better than guessing before its first step: it began with a trained model.
    Both losses are of the same slices; the whole held-out part may be harder to predict."""
    first, guessing, best = series.first_val, series.guessing_loss, series.best
    epochs = series.epochs(series.step)
    if first is None or guessing is None or best is None or epochs is None or not first <= (1 - STUCK_NEAR) * guessing:
        return None
    return FromModel(Losses(first, best.loss), epochs)


def _best(series: RunSeries, status: RunStatus | None) -> Best | None:
    """The best model by the log, else by the status: the app shows a run before it has read its log."""
    if series.best_val is not None:
        return Best(series.best_val, series.best_whole, series.best_step)
    if status is None or status.loss is None:
        return None
    return Best(status.loss, status.best_whole, series.best_step)


def _no_better_than(series: RunSeries, loss: float, order0: float | None) -> Beaten | None:
    """What a model with this ``loss`` is no better than: guessing, or the letter frequencies; else ``None``.

    ``order0`` is the entropy of the letter frequencies, if it is known.
    """
    if not math.isfinite(loss):
        return None
    if (guessing := series.guessing_loss) is not None and loss > guessing * (1 - STUCK_NEAR):
        return Beaten("guessing all characters alike", guessing, loss < guessing)
    if order0 is not None and loss > order0 * (1 - STUCK_NEAR):
        return Beaten("the letter frequencies alone", order0, loss < order0)
    return None


def _simple_model_that_beats(loss: float, references: Mapping[str, float]) -> Beaten | None:
    for label, (words, effect) in BEATEN_BY.items():
        if references.get(label, math.inf) <= loss < math.inf:
            return Beaten(words, references[label], False, effect)
    return None


def _rose_above_guessing(series: RunSeries) -> bool:
    """Whether the training loss of a run that began near guessing, or below it, was once worse than guessing. In the
    first steps that means nothing: a run that a busy machine gave no more had a rate that is right for a longer one."""
    losses = _comparable_losses(series)
    if (guessing := series.guessing_loss) is None or len(losses) < 3 or series.step < STUCK_AFTER:
        return False
    worse = np.median(np.lib.stride_tricks.sliding_window_view(losses, 3), axis=1) > guessing * ABOVE_GUESSING
    return bool(worse.any() and (not worse[0] or _untrained_loss(series) is not None))


def _has_stalled(series: RunSeries) -> bool:
    """Whether the training loss of a run that ended had stopped falling."""
    losses = _comparable_losses(series)
    quarter = len(losses) // 4
    if series.step < STUCK_AFTER or quarter < 2:
        return False
    middle, end = np.median(losses[2 * quarter : 3 * quarter]), np.median(losses[-quarter:])
    return bool(end > middle * (1 - STALLED_FALL))


def _live(series: RunSeries, order0: float | None, bits: bool) -> Verdict:
    loss = series.train_loss
    if loss is None:  # what was resumed has not logged a step yet
        return Verdict("starting", "Starting.")
    if not math.isfinite(loss):
        return Verdict("diverging", "Diverging: the training loss is not a number any more.", needs_lower_rate=True)
    guessing, unit = _guessing_that_is_better(series), _unit(bits)
    if series.step < series.climbs_until:
        if guessing is not None:
            return _diverging(Losses(loss, loss), guessing, bits)
        text = f"The learning rate climbs again until step {series.climbs_until:,}, because the run was extended: "
        return Verdict("climbing", f"{text}the loss may rise until then.")
    if (risen := _risen_from(series)) is not None:
        return _diverging(risen, guessing, bits)
    lowest = min((each.loss for each in series.validations if math.isfinite(each.loss)), default=math.inf)
    if order0 is not None and series.step >= STUCK_AFTER and _is_stuck(series, lowest, order0):
        text = f"Stuck at letter frequencies ({_loss(order0, bits)} {unit}): the model knows only how "
        return Verdict("stuck", f"{text}frequent each character is.")
    if (since := overfitting_since(series)) is not None:
        rise = _percent(_change(since.loss, _comparable_validations(series)[-1].loss))
        which = "best model" if since.step else "model from before training"
        best = f"{ESTIMATE}{_loss((series.best or since).loss, bits)} {unit}"
        text = f"Overfitting since step {since.step:,}: validation rose {rise} while training fell."
        return Verdict("overfitting", f"{text} The {which} ({best}) is kept.")
    points = _comparable_validations(series)
    if len(points) < 2:
        return _first_steps(_train_losses(series), guessing, bits)
    since = points[max(0, len(points) - max(2, len(points) // 3 + 1))]
    change = _change(since.loss, points[-1].loss)
    moved, span = _percent(abs(change)), _span(points[-1].train_seconds - since.train_seconds)
    validation = Losses(min(each.loss for each in points), points[-1].loss)
    best, last = validation.words(bits)
    lost, rest = validation.after > validation.before * (1 + ABOVE_BEST), "No overfitting."
    if lost:
        rest = f"At {last} {unit} it is still above its best, {best}."
    if 0 < change <= WORSE_RISE and series.step < STUCK_AFTER and _from_model(series) is not None:
        return _first_steps(None, None, bits)  # a trained model gets a little worse at first
    if change > WORSE_RISE:
        text = f"Getting worse: validation rose {moved} in the last {span}, to {last} {unit}; the best is {best}. "
        if _reads_again(series) and _train_change(series, since.step) < 0:
            more = "Training fell: it learns the text by heart, and more text or dropout would help."
            return Verdict("worsening", text + more)
        more = "The learning rate may be too high: a lower one would help."
        return Verdict("worsening", text + more, needs_lower_rate=True)
    if change > 0 or (len(points) >= 6 and -change < FLAT_FALL):
        moved = f"rose {moved}" if change > 0 else f"fell only {moved}"
        return Verdict("flattening", f"Flattening: validation {moved} in the last {span}. {rest}")
    kind, begins = ("recovering", "Recovering") if lost else ("learning", "Still learning")
    return Verdict(kind, f"{begins}: validation fell {moved} in the last {span}. {rest}")


def _diverging(train: Losses, guessing: float | None, bits: bool) -> Verdict:
    """``guessing``: the loss of guessing all characters alike, when the training loss is above it."""
    low, last = train.words(bits)
    moved = f"rose from {low} to {last}" if train.before < train.after else f"is {last}"
    worse = "" if guessing is None else f", worse than guessing all characters alike ({_loss(guessing, bits)})"
    text = f"Diverging: the training loss {moved} {_unit(bits)}{worse}."
    return Verdict("diverging", text, needs_lower_rate=True)


def _first_steps(train: Losses | None, guessing: float | None, bits: bool) -> Verdict:
    """There are no two validations to compare yet. ``train`` are the first and the last training loss; ``guessing`` is
    the loss of guessing all characters alike, while the training loss is above it."""
    if train is None:
        return Verdict("learning", "Learning: these are the first steps.")
    first, last = train.words(bits)
    if train.after >= train.before and train.after != 0:
        return Verdict("rising", f"Not learning: the training loss went from {first} to {last} {_unit(bits)}.")
    still = "" if guessing is None else f", still above guessing ({_loss(guessing, bits)})"
    return Verdict("learning", f"Learning: training loss {first} → {last} {_unit(bits)}{still}.")


def _guessing_that_is_better(series: RunSeries) -> float | None:
    """The loss of guessing all characters alike, if the last two training losses are above it."""
    guessing, last = series.guessing_loss, series.points("train").y[-2:]
    if guessing is None or len(last) < 2 or not (last > guessing * ABOVE_GUESSING).all():
        return None
    return guessing


def _risen_from(series: RunSeries) -> Losses | None:
    """The lowest and the present training loss, if it has risen by :data:`RISE`; ``None`` otherwise. Both are medians
    of three to ten logged values, as a single one may be an outlier. Before them comes the loss of the untrained
    network. A model that has read the text before knows some of it by heart: its loss on the held-out part counts."""
    losses = _comparable_losses(series)
    width = min(10, max(3, len(losses) // 10))
    if len(losses) < width:
        return None
    medians = np.median(np.lib.stride_tricks.sliding_window_view(losses, width), axis=1)
    lowest, now = float(medians.min()), float(medians[-1])
    if (untrained := _untrained_loss(series)) is not None:
        lowest = min(lowest, untrained)
    elif (from_model := _from_model(series)) is not None:
        lowest = max(lowest, from_model.validation.before)
    return Losses(lowest, now) if now > lowest * (1 + RISE) and now - lowest > 0.05 else None


def _comparable_validations(series: RunSeries) -> list[Validated]:
    """Those that can be compared with the last one: on slices of the held-out part, not on the whole of it."""
    found = [each for each in series.validations if each.step >= series.comparable_from]
    return [each for each in found if not each.whole and math.isfinite(each.loss)]


def _comparable_losses(series: RunSeries) -> Floats:
    """The training losses that can be compared with the last one."""
    train = series.points("train")
    return train.y[(train.x > series.comparable_from) & np.isfinite(train.y)]


def _train_change(series: RunSeries, step: int) -> float:
    """How much the training loss rose after ``step``; 0 where that is not known."""
    train = series.points("train")
    before, after = train.y[train.x <= step][-5:], train.y[train.x > step][-5:]
    return float(np.nanmean(after) - np.nanmean(before)) if len(before) and len(after) else 0.0


def _reads_again(series: RunSeries) -> bool:
    """Whether the run has read its text once."""
    return series.last_step is not None and series.last_step.epoch >= 1


def _is_stuck(series: RunSeries, lowest: float, order0: float) -> bool:
    """Whether the losses are near the entropy of the letter frequencies and do not fall below it."""
    train = series.points("train").y
    recent = train[-max(3, len(train) // 4) :]
    recent = recent[np.isfinite(recent)]
    near = order0 * (1 - STUCK_NEAR)
    return bool(len(recent) >= 3 and recent.min() > near and lowest > near)


def _untrained_loss(series: RunSeries) -> float | None:
    """The loss of the network before its first step. ``None`` when it was not measured, or when the run started from a
    trained model: dropout may put training losses far above the validation loss of such a network."""
    first, guessing = series.first_val, series.guessing_loss
    if first is None or guessing is None or series.comparable_from:
        return None
    return first if first > (1 - STUCK_NEAR) * guessing else None


def _train_losses(series: RunSeries) -> Losses | None:
    train = series.points("train").y
    train = train[np.isfinite(train)]
    if len(train) > 1:
        return Losses(float(train[0]), float(train[-1]))
    untrained = _untrained_loss(series)
    return None if untrained is None or not len(train) else Losses(untrained, float(train[0]))


def _change(before: float, after: float) -> float:
    """Relative change of a loss. A text of one character can be predicted with a loss of 0."""
    return after / before - 1 if before else math.inf if after else 0.0


def _unit(bits: bool) -> str:
    return "bits" if bits else "nats"


def _loss(nats: float, bits: bool) -> str:
    """A loss in nats, or in ``bits``, without its unit."""
    return loss_figure(nats / math.log(2) if bits else nats)


def _percent(part: float) -> str:
    """A change of a loss, which can be more than all of it."""
    return percent(part, 0 if part >= 0.01 else None)


def _span(seconds: float) -> str:
    """``0.3 s``, ``10 s``, and from a minute on as :func:`duration`."""
    return duration(seconds) if seconds >= 60 else f"{seconds:.{0 if seconds >= 1 else 1}f} s"
