"""A run that is to be played: its model, or what is awaited until it has one that has learnt something; and the better
models that come while it trains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.model.file import read_info
from charlstm.runs.contention import slowdown_words
from charlstm.runs.folder import RunFolder, find_run
from charlstm.runs.log import EventTail
from charlstm.runs.models import DEMO
from charlstm.runs.playable import is_clearly_better, pairs_loss, playable_model
from charlstm.runs.series import RunSeries
from charlstm.runs.status import RunStatus
from charlstm.runs.verdict import Verdict, judge
from charlstm_tui.actions import key_of
from charlstm_tui.choices import ModelChoice
from charlstm_tui.formatting import loss, unit
from charlstm_tui.player.opening import ModelFacts
from charlstm_tui.player.saved_sessions import model_file


def slowed_words(status: RunStatus, *, shown: bool) -> str:
    """That a run waits for other work, such as the text that is played here, and what helps, with ``shown`` where Train
    shows this run; else empty."""
    words = slowdown_words(status.slowdown) if status.state == "running" else ""
    where = key_of("app.mode_train") if shown else f"{key_of('app.mode_runs')}, {key_of('runs.open')} on it"
    more = f"{where}, then {key_of('train.more')}, gives it more minutes"
    return words and f"{words} A pause here ({key_of('generate.stream')}) and closing other programs help; {more}."


@dataclass(frozen=True, slots=True)
class Awaited:
    """A run that has no model to play yet, or that ended without one."""

    run: RunFolder
    status: RunStatus
    trouble: str = ""
    """What is wrong with the training, or why the run cannot be read, in a sentence; empty when nothing is."""
    is_readable: bool = True

    @property
    def over(self) -> bool:
        """Whether no model will come, unless the run is resumed."""
        return not (self.status.alive and self.is_readable)

    def sentence(self, *, shown: bool, stays: bool = False) -> str:
        """What is awaited and how far that is, for a person: ``shown`` if Train shows the run, ``stays`` if the text
        that is played meanwhile does."""
        name, status = visible(self.run.name, keep=""), self.status
        trouble = self.trouble or slowed_words(status, shown=shown)
        if self.over:
            return f"{name} has no model that has learnt anything, so there is nothing to play. {trouble}".rstrip()
        doing = visible(status.message, keep="") or "its first steps are still to come"
        if status.step:
            doing = f"step {status.step:,}"
        what = "is waited for; your text stays" if stays else "takes over as soon as it has learnt something"
        return f"{name} {what}: {doing}. {trouble}".rstrip()


class RunToPlay:
    """Looks for what to play of the run that ``choice`` names. It reads the run's log on from where it left it, so
    :meth:`look` must not be called by two threads at once."""

    def __init__(self, choice: ModelChoice, run: RunFolder) -> None:
        self.run = run
        self.status = run.status()
        self._choice = choice
        self._tail, self._series = EventTail(run.events_path), RunSeries()
        self._pairs = cache(lambda: pairs_loss(run))  # takes seconds, if the text was not counted yet

    def judge(self, bits: bool = False) -> Verdict:
        """How the run is doing, by what was read of it; in words with ``bits`` instead of nats."""
        return judge(self._series, self.status, bits=bits)

    def look(self, bits: bool = False) -> ModelChoice | Awaited:
        """The choice with the run's model to play now, or what is awaited, in words with ``bits`` instead of nats."""
        self.status = status = self.run.status()
        if not self.run.exists():
            return Awaited(self.run, status, trouble="Its folder is gone.", is_readable=False)
        try:
            self._series.feed(self._tail.read())
        except (CharLSTMError, OSError) as error:
            return Awaited(self.run, status, trouble=f"Its log cannot be read: {error}.", is_readable=False)
        found = playable_model(self.run, status, self._series, self._pairs)
        if found is not None:
            return replace(self._choice, step=found.snapshot)
        judged = self.judge(bits)
        long_wait = judged.is_trouble or judged.kind in ("paused", "waiting")
        trouble = judged.text if not status.alive or long_wait else ""
        return Awaited(self.run, status, trouble)


@dataclass(frozen=True, slots=True)
class BetterModel:
    """A model of a run that is better than the one that is played, or the one that was offered last."""

    choice: ModelChoice
    step: int
    loss: float
    """Nats per character on the held-out part."""

    def sentence(self, bits: bool) -> str:
        """The model in words; ``bits`` instead of nats."""
        return f"step {self.step:,}, loss {loss(self.loss, bits)} {unit(bits)}"


def better_model(to_play: RunToPlay, best: ModelFacts, runs_dir: Path | None, check: object) -> BetterModel | None:
    """The model of a run to play now, if it is a later one than the ``best`` that was played or offered, and better:
    while the run trains, clearly so."""
    found = to_play.look()
    if isinstance(found, Awaited):
        return None
    try:
        path = model_file(found.model, runs_dir, found.step)
        info = read_info(path)[1]
    except (CharLSTMError, OSError):
        return None
    step, val_loss = info.get("step"), info.get("val_loss")
    if not isinstance(step, int) or not isinstance(val_loss, float) or step <= (best.step or 0):
        return None
    is_better = is_clearly_better(val_loss, best.loss)
    if not to_play.status.alive and best.loss is not None:
        is_better = val_loss < best.loss
    return BetterModel(found, step, val_loss) if is_better else None


def run_to_play(choice: ModelChoice, runs_dir: Path | None) -> RunToPlay | None:
    """The run whose best model is chosen; ``None`` for other models, and for a name that cannot be opened."""
    if choice.step is not None or choice.model == DEMO or choice.model.endswith(".safetensors"):
        return None
    try:
        return RunToPlay(choice, find_run(choice.model, runs_dir))
    except CharLSTMError:
        return None
