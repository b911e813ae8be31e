"""What a run's state means for a person: a class for each kind of verdict, with every word that is said of it, and
what a person can do next.

:func:`charlstm.runs.judge.judge` finds the verdict on a run. What the trainer, the run's status, the command line and
the app say of a run that diverges, fails or no longer improves is taken from here too. Losses are in nats per
character.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Literal

from charlstm.display import as_sentence, duration, loss_figure, percent
from charlstm.training.events import ESTIMATE
from charlstm.training.settings import Settings

HARDLY_LOWER = 0.03
"""A model that has read less than the whole text and whose loss fell by less than this, relatively, writes like the
model that its run began with."""

RISKY_RATE = 5
"""A learning rate of so many times the preset's may diverge."""

SMALLER = 10
"""After a learning rate that was too high, one this many times smaller is suggested, or the default if that is lower
still."""


def lower_rate(rate: float) -> float:
    """The learning rate to suggest after this one was too high."""
    return min(Settings().lr, rate / SMALLER)


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


@dataclass(frozen=True, slots=True)
class Losses:
    """A loss before and after; of a rise, the lowest and the last."""

    before: float
    after: float

    def words(self, bits: bool) -> tuple[str, str]:
        """Both, without their unit."""
        return _loss(self.before, bits), _loss(self.after, bits)


@dataclass(frozen=True, slots=True)
class Beaten:
    """What a model is no better than, in words, and the loss of that."""

    by: str
    loss: float

    def describe(self, bits: bool) -> str:
        """``no better than guessing all characters alike (4.58 nats)``."""
        return f"no better than {self.by} ({_loss(self.loss, bits)} {_unit(bits)})"


@dataclass(frozen=True, slots=True)
class Best:
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


@dataclass(frozen=True, slots=True)
class FromModel:
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
        """Both losses and how much was read, without a full stop."""
        if self.validation.after >= self.validation.before:
            return f"No step has improved the model that training began with, after reading {self.read}"
        losses = self.validation.before, self.validation.after
        before, after = (f"{ESTIMATE}{_loss(each, bits, 3)}" for each in losses)
        like = ": it still writes like the model it began with" if self.hardly_changed else ""
        return f"{before} → {after} {_unit(bits)} on the same slices after reading {self.read}{like}"


class Verdict(ABC):
    """How a run is doing. Each kind is a class with what it needs to be described."""

    __slots__ = ()
    kind: ClassVar[str]
    mark: ClassVar[str]
    """One character that stands before the sentence in the app."""
    is_trouble: ClassVar[bool] = False
    """Whether something has to be done."""
    usual_steps: ClassVar[tuple[NextStep, ...]] = (NextStep.PAUSE, NextStep.STOP)
    """What can be done, the most likely first."""

    @abstractmethod
    def describe(self, *, bits: bool = False) -> str:
        """One to three sentences for a person, with losses in nats, or in ``bits``."""

    @property
    def text(self) -> str:
        """One to three sentences for a person, with losses in nats."""
        return self.describe()

    @property
    def needs_lower_rate(self) -> bool:
        """Whether the loss rises, or rose or came to rest before the end, because the learning rate is too high."""
        return False

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        """What can be done, the most likely first."""
        return self.usual_steps


# ---- before the first step, and between steps
@dataclass(frozen=True, slots=True)
class Starting(Verdict):
    """Its first steps are still to come."""

    kind, mark, usual_steps = "starting", "▹", (NextStep.STOP,)
    message: str = ""
    """What the worker does."""

    def describe(self, *, bits: bool = False) -> str:
        return as_sentence(f"Starting: {self.message}" if self.message else "Starting")


@dataclass(frozen=True, slots=True)
class Waiting(Verdict):
    """It waits for the disk."""

    kind, mark, usual_steps = "waiting", "…", (NextStep.STOP,)
    message: str = ""

    def describe(self, *, bits: bool = False) -> str:
        return as_sentence(self.message or "Waiting for the disk")


@dataclass(frozen=True, slots=True)
class Paused(Verdict):
    """A person has paused it."""

    kind, mark, usual_steps = "paused", "‖", (NextStep.CONTINUE, NextStep.STOP)
    step: int
    rate: float | None = None
    """The learning rate that was set meanwhile."""

    def describe(self, *, bits: bool = False) -> str:
        rate = "" if self.rate is None else f" The learning rate is {self.rate:g} from the next step on."
        return f"Paused at step {self.step:,}.{rate}"


@dataclass(frozen=True, slots=True)
class Validating(Verdict):
    """Training is over, and the best model is measured on the held-out text."""

    kind, mark, usual_steps = "validating", "▶", (NextStep.STOP,)

    def describe(self, *, bits: bool = False) -> str:
        return "Training has ended. Now the best model is validated on the held-out text."


# ---- while it trains
@dataclass(frozen=True, slots=True)
class FirstSteps(Verdict):
    """The training loss falls, and there are no two validations to compare yet."""

    kind, mark = "learning", "↘"
    train: Losses | None
    """The first and the last training loss."""
    guessing: float | None = None
    """The loss of guessing all characters alike, while the training loss is above it."""

    def describe(self, *, bits: bool = False) -> str:
        if self.train is None:
            return "Learning: these are the first steps."
        first, last = self.train.words(bits)
        still = "" if self.guessing is None else f", still above guessing ({_loss(self.guessing, bits)})"
        return f"Learning: training loss {first} → {last} {_unit(bits)}{still}."


@dataclass(frozen=True, slots=True)
class NotFalling(Verdict):
    """The training loss does not fall, or rises, and there are no two validations to compare yet."""

    kind, mark, is_trouble, usual_steps = "rising", "↗", True, (NextStep.LOWER_RATE, NextStep.STOP)
    train: Losses

    def describe(self, *, bits: bool = False) -> str:
        first, last = self.train.words(bits)
        return f"Not learning: the training loss went from {first} to {last} {_unit(bits)}."


@dataclass(frozen=True, slots=True)
class Climbing(Verdict):
    """The learning rate climbs again after an extension: a rising loss says nothing yet."""

    kind, mark = "climbing", "↗"
    until: int
    """The step up to which it climbs."""

    def describe(self, *, bits: bool = False) -> str:
        return (
            f"The learning rate climbs again until step {self.until:,}, because the run was extended: the loss may "
            "rise until then."
        )


@dataclass(frozen=True, slots=True)
class Learning(Verdict):
    """The validation loss falls."""

    kind, mark = "learning", "↘"
    change: float
    """Relative change of the validation loss during ``seconds`` of training."""
    seconds: float

    def describe(self, *, bits: bool = False) -> str:
        span = _span(self.seconds)
        return f"Still learning: validation fell {_percent(-self.change)} in the last {span}. No overfitting."


@dataclass(frozen=True, slots=True)
class Recovering(Verdict):
    """The validation loss falls, and is still above its best."""

    kind, mark = "recovering", "↘"
    change: float
    seconds: float
    validation: Losses
    """The best and the last validation loss."""

    def describe(self, *, bits: bool = False) -> str:
        fell = f"Recovering: validation fell {_percent(-self.change)} in the last {_span(self.seconds)}."
        return f"{fell} {_above_best(self.validation, bits)}"


@dataclass(frozen=True, slots=True)
class Flattening(Verdict):
    """The validation loss falls hardly at all, or rises a little."""

    kind, mark, usual_steps = "flattening", "→", (NextStep.LOWER_RATE, NextStep.STOP)
    change: float
    seconds: float
    validation: Losses | None = None
    """The best and the last validation loss, when the last is well above the best."""

    def describe(self, *, bits: bool = False) -> str:
        moved = f"fell only {_percent(-self.change)}" if self.change <= 0 else f"rose {_percent(self.change)}"
        rest = "No overfitting." if self.validation is None else _above_best(self.validation, bits)
        return f"Flattening: validation {moved} in the last {_span(self.seconds)}. {rest}"


@dataclass(frozen=True, slots=True)
class Worsening(Verdict):
    """The validation loss rises."""

    kind, mark, is_trouble = "worsening", "↗", True
    change: float
    seconds: float
    validation: Losses
    """The best and the last validation loss."""
    train_falls: bool
    """Whether the training loss fell meanwhile, on text that had been read before."""

    @property
    def needs_lower_rate(self) -> bool:
        return not self.train_falls

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        return (NextStep.LOWER_RATE, NextStep.STOP) if self.needs_lower_rate else (NextStep.STOP,)

    def describe(self, *, bits: bool = False) -> str:
        best, last = self.validation.words(bits)
        span = _span(self.seconds)
        rose = f"Getting worse: validation rose {_percent(self.change)} in the last {span}, to {last} {_unit(bits)}"
        if self.train_falls:
            cause = "Training fell: it learns the text by heart, and more text or dropout would help."
        else:
            cause = "The learning rate may be too high: a lower one would help."
        return f"{rose}; the best is {best}. {cause}"


@dataclass(frozen=True, slots=True)
class Overfitting(Verdict):
    """The validation loss rises while the training loss falls."""

    kind, mark, usual_steps = "overfitting", "↗", (NextStep.STOP,)
    since: int
    """The step of the best validation."""
    rise: float
    """How much the validation loss rose since, relatively."""
    best: float
    """The loss of the model that is kept."""

    def describe(self, *, bits: bool = False) -> str:
        which = "best model" if self.since else "model from before training"
        return (
            f"Overfitting since step {self.since:,}: validation rose {_percent(self.rise)} while training fell. "
            f"The {which} ({ESTIMATE}{_loss(self.best, bits)} {_unit(bits)}) is kept."
        )


@dataclass(frozen=True, slots=True)
class Stuck(Verdict):
    """The loss does not fall below the entropy of the letter frequencies, ``order0``."""

    kind, mark, is_trouble, usual_steps = "stuck", "=", True, (NextStep.OTHER_RATE, NextStep.STOP)
    order0: float

    def describe(self, *, bits: bool = False) -> str:
        return (
            f"Stuck at letter frequencies ({_loss(self.order0, bits)} {_unit(bits)}): the model knows only how "
            "frequent each character is."
        )


@dataclass(frozen=True, slots=True)
class Diverging(Verdict):
    """The training loss rises far above its lowest, or above guessing, or is not a number any more (then ``train`` is
    ``None``)."""

    kind, mark, is_trouble, usual_steps = "diverging", "✗", True, (NextStep.LOWER_RATE, NextStep.STOP)
    train: Losses | None = None
    """The lowest and the last training loss."""
    guessing: float | None = None
    """The loss of guessing all characters alike, when the training loss is above it."""

    @property
    def needs_lower_rate(self) -> bool:
        return True

    def describe(self, *, bits: bool = False) -> str:
        if self.train is None:
            return "Diverging: the training loss is not a number any more."
        worse = ""
        if self.guessing is not None:
            worse = f", worse than guessing all characters alike ({_loss(self.guessing, bits)})"
        low, last = self.train.words(bits)
        moved = f"rose from {low} to {last}" if self.train.before < self.train.after else f"is {last}"
        return f"Diverging: the training loss {moved} {_unit(bits)}{worse}."

    @staticmethod
    def advice(command: str) -> str:
        """What to do; ``command`` lowers the learning rate of the run while it trains."""
        return f"Stop it and train with a lower learning rate, or lower it now: {command}"


# ---- after the end
@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Verdict):
    """A run without a worker."""

    usual_steps: ClassVar[tuple[NextStep, ...]] = (NextStep.RESUME, NextStep.PLAY)
    best: Best | None
    message: str = ""
    """What the worker reported, or empty."""
    busy: str = ""
    """What other programs did to it, in a sentence, where that is worth a word."""
    overfitted_since: int | None = None
    """The step after which it overfitted."""
    from_model: FromModel | None = None
    """How far it came, if it began with a trained model."""

    @property
    def title(self) -> str:
        """How it ended, in a few words."""
        return self.kind.capitalize()

    @property
    def overfitted(self) -> str:
        """That it overfitted and what would help, as the end of a sentence; empty where it did not."""
        since = self.overfitted_since
        return "" if since is None else f"overfitted after step {since:,}; more text or dropout would help"

    @property
    def remark(self) -> str:
        """``message``, unless :meth:`describe` says it: something that came after the end, such as a resume that
        failed."""
        return self.message

    def _best(self, bits: bool) -> str:
        return "" if self.best is None else self.best.describe(bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Ended):
    """A person has stopped it at a checkpoint."""

    kind, mark = "stopped", "□"
    step: int

    @property
    def title(self) -> str:
        return f"Stopped at step {self.step:,}"

    def describe(self, *, bits: bool = False) -> str:
        return f"{self.title}. {self._best(bits)}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Ended):
    """A run that ended by no plan and by nobody's command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Broken):
    """It ended with an error."""

    kind, mark = "failed", "✗"

    @property
    def remark(self) -> str:
        return ""

    def describe(self, *, bits: bool = False) -> str:
        return f"{self.title}: {as_sentence(self.message) or 'The reason is unknown.'} {self._best(bits)}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed(Failed):
    """Its process is gone."""

    kind = "crashed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverged(Broken):
    """It ended because its loss was not a number any more."""

    kind, mark, usual_steps = "diverged", "✗", (NextStep.RESUME_LOWER, NextStep.PLAY, NextStep.NEW)
    question_title: ClassVar[str] = "Resume with a lower rate"
    question: ClassVar[str] = "The loss ran away. From the last checkpoint on, the highest learning rate is:"
    """What is asked before it is resumed."""
    no_state: ClassVar[str] = "The loss is no longer a number, so this training has no state to continue from"
    """Why its trainer, in a program that uses the library, cannot give the state of training."""
    step: int

    @property
    def title(self) -> str:
        return END_REASONS["diverged"].title

    @property
    def remark(self) -> str:
        return "" if self.message == self.message_after(self.step) else self.message

    @property
    def needs_lower_rate(self) -> bool:
        return True

    def describe(self, *, bits: bool = False) -> str:
        best = self._best(bits) or "No model was kept."
        return f"Diverged at step {self.step:,}: the loss is not a number any more. {best}"

    def advice(self, rate: str) -> str:
        """What to do, with a learning rate to try."""
        return f"Resume it with a lower learning rate, such as lr={rate}"

    @staticmethod
    def message_after(step: int) -> str:
        """What the status of a run says that diverged after ``step``."""
        return f"the loss was not a number any more after step {step:,}; a lower learning rate may help"

    @staticmethod
    def warning(step: int, rate: float, best_step: int) -> str:
        """What the trainer warns of when it ends a run after ``step`` at this learning ``rate``."""
        return (
            f"The loss is no longer a number after step {step:,}, at learning rate {rate:.2g}, so training stops. "
            f"The best model so far (step {best_step:,}) is kept; try a lower lr or clip"
        )


@dataclass(frozen=True, slots=True)
class EndReason:
    """A reason for which a run ends by itself or by command, in words."""

    short: str
    """As in ``out of time after 5:00``."""
    title: str = "Finished"
    why: str = ""
    """As in ``Finished after 5:00: its time limit was reached``."""
    state: Literal["finished", "stopped", "failed"] = "finished"
    """The state that the run is listed with, see :data:`charlstm.runs.status.RunState`."""


END_REASONS = {
    "done": EndReason("finished"),
    "stopped": EndReason("stopped", "Stopped", state="stopped"),
    "time": EndReason("out of time", "Finished at its time limit", "its time limit was reached"),
    "patience": EndReason(
        "no longer improving",
        "Finished early: validation had stopped improving",
        "the validation loss had stopped improving",
    ),
    "diverged": EndReason("diverged", "Ended: the loss ran away", state="failed"),
}
"""The reasons of ``finished`` events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Ended):
    """It came to its end."""

    kind, mark = "finished", "■"
    reason: str
    """``done``, ``time`` or ``patience``."""
    seconds: float
    """All the time of the run, without pauses."""
    useless: Beaten | None = None
    """What its best model is no better than: guessing, or the letter frequencies."""
    risen: Losses | None = None
    """The lowest and the last training loss, when it had risen as far as that of a run that diverges."""
    rose_above_guessing: bool = False
    """Whether its training loss was once worse than guessing all characters alike."""
    stalled: bool = False
    """Whether its training loss had stopped falling."""
    extended_in_vain: bool = False
    """Whether it was extended, and its best model is still the one from before."""

    @property
    def needs_lower_rate(self) -> bool:
        """Whether its loss rose, or its best model is ``useless`` and the loss had stopped falling or was once worse
        than guessing. A longer run would change nothing, a lower learning rate would."""
        useless = self.useless is not None and (self.rose_above_guessing or self.stalled)
        return self.risen is not None or useless

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        return (NextStep.PLAY, NextStep.NEW_LOWER if self.needs_lower_rate else NextStep.MORE)

    @property
    def title(self) -> str:
        return END_REASONS.get(self.reason, END_REASONS["done"]).title

    def describe(self, *, bits: bool = False) -> str:
        why = END_REASONS.get(self.reason, END_REASONS["done"]).why
        text = f"Finished after {_span(self.seconds)}{f': {why}' if why else ''}. {self._best(bits)}".rstrip()
        if self.useless is not None:
            text = f"{text} That is {self.useless.describe(bits)}: it has learnt nothing of use yet."
        # what other programs did comes last: the sentences before it are about the model
        return " ".join(filter(None, (text, self._problem(bits), self.busy)))

    def _problem(self, bits: bool) -> str:
        """What went wrong, in a sentence; empty when nothing did."""
        if self.risen is not None:
            return f"{_rose(self.risen, bits)}."
        if self.needs_lower_rate:
            return f"{rate_was_too_high()}: train anew with a lower one."
        if self.overfitted_since is not None:
            return f"It {self.overfitted}."
        if self.from_model is not None:
            return f"{self.from_model.describe(bits)}."
        return "The steps that were added did not improve it." if self.extended_in_vain else ""

    def flaw(self, baselines: Mapping[str, float], *, risky_rate: bool, bits: bool) -> Flaw | None:
        """What is wrong with its model, compared with the losses of simple models too; ``None`` for one that has learnt
        something. ``risky_rate``: its learning rate was many times that of its preset (:data:`RISKY_RATE`).

        A model that is no better than one which sees the letter before alone writes gibberish. One that is worse than
        the simple models of two letters or than a compressor has hardly learnt a word.
        """
        useless, effect = self.useless, "writes gibberish"
        best = math.inf if self.best is None else self.best.loss
        beaten_by = [name for name in _BEATEN_BY if baselines.get(name, math.inf) <= best < math.inf]
        if useless is None and beaten_by:
            useless = Beaten(_BEATEN_BY[beaten_by[0]], baselines[beaten_by[0]])
            effect = effect if beaten_by[0] == "order 1" else "writes few real words"
        untrained = self.best is not None and self.best.step == 0
        too_high = self.needs_lower_rate or (useless is not None and (self.rose_above_guessing or risky_rate))
        if self.risen is not None:
            words = _rose(self.risen, bits)
        elif useless is not None:
            model = "Its model, still the one from before training," if untrained else "Its best model"
            words = f"{model} is {useless.describe(bits)}, so that it {effect}"
        elif self.from_model is not None and self.from_model.hardly_changed:
            return Flaw(self.from_model.describe(bits), too_high, more_minutes=not too_high, reads_well=True)
        elif untrained:
            words = "No step has improved the model that training began with. A lower rate or more text may help"
        else:
            return None
        reads_well = useless is None and self.from_model is not None
        return Flaw(words, too_high, useless is not None and not too_high, reads_well)


_BEATEN_BY = {
    "order 1": "a model of the last letter alone",
    "order 2": "a model of the last two letters alone",
    "xz": "a file compressor",
}
"""The simple models that a run's model should beat, by their labels (:func:`charlstm.text.statistics.baselines`)."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with the model of a run that finished, in a sentence without its full stop."""

    words: str
    lower_rate: bool
    """Another run needs a lower learning rate, and more minutes would not help."""
    more_minutes: bool
    """More minutes may help."""
    reads_well: bool = False
    """What the model writes reads well all the same."""


def rate_was_too_high(rate: str = "") -> str:
    """That the learning rate, which is named when it is given, was too high, without a full stop."""
    return f"The learning rate{f', {rate},' if rate else ''} was too high"


def risk_words(rate: float, usual: float) -> str:
    """A warning of a learning rate that is many times the preset's, ``usual``; empty for others."""
    times = rate / usual
    return f"The learning rate is {times:,.0f} times the preset's: training may diverge." if times >= RISKY_RATE else ""


def _rose(risen: Losses, bits: bool) -> str:
    low, last = risen.words(bits)
    return f"It diverged: the training loss rose from {low} to {last} {_unit(bits)}"


def _above_best(validation: Losses, bits: bool) -> str:
    best, last = validation.words(bits)
    return f"At {last} {_unit(bits)} it is still above its best, {best}."


def _unit(bits: bool) -> str:
    return "bits" if bits else "nats"


def _loss(nats: float, bits: bool, decimals: int = 2) -> str:
    """A loss in nats, or in ``bits``, without its unit."""
    return loss_figure(nats / math.log(2) if bits else nats, decimals)


def _percent(part: float) -> str:
    """A change of a loss, which can be more than all of it."""
    return percent(part, 0 if part >= 0.01 else None)


def _span(seconds: float) -> str:
    """``0.3 s``, ``10 s``, and from a minute on as :func:`duration`."""
    return duration(seconds) if seconds >= 60 else f"{seconds:.{0 if seconds >= 1 else 1}f} s"
