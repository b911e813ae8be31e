"""The view of Train that watches and steers a run: it sends commands to the worker, and resumes runs.

What is shown is drawn by ``run_pane``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult

from charlstm.runs.folder import RunFolder, RunSpec
from charlstm.runs.launch import minutes_more
from charlstm.runs.status import NO_WORKER
from charlstm.training.commands import Command
from charlstm.training.ending import lower_rate
from charlstm_tui.actions import key_of
from charlstm_tui.background import in_thread
from charlstm_tui.choices import playable, resumable
from charlstm_tui.clipboard import Copyable
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog, ask
from charlstm_tui.formatting import learning_rate
from charlstm_tui.run_actions import RunActions, check_rate, command_words, number
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.train.baselines import baseline_losses
from charlstm_tui.train.run_pane import RunPane
from charlstm_tui.train.run_summary import ShownRun
from charlstm_tui.widgets.loss_chart import SMOOTHING, LossChart

if TYPE_CHECKING:
    from charlstm.runs.comparison import Axis

RISKY_FACTOR = 10
"""A rate above so many times the run's own is asked for again: most likely its exponent was forgotten."""
CLIMBS = "The learning rate climbs again, then follows its schedule to the new end."
INSTEAD = "They begin at its last checkpoint and replace what is left of its plan."


class WatchView(RunActions):
    """The run at ``run_path``, while it trains and after."""

    MAIN_PANE = "#chart"

    def __init__(self, smoothing: str, *, id: str) -> None:
        super().__init__(id=id)
        self.pane = RunPane(smoothing, id="run-pane")
        self._looked_into: Path | None = None  # the run that has ended, once its models were looked for
        self._counted: RunSpec | None = None  # for whose text simple models are counted

    def compose(self) -> ComposeResult:
        yield self.pane

    # ---- the run
    @property
    def run(self) -> RunView | None:
        """The run as last seen."""
        return self.runs_state.find(self.run_path)

    @property
    def over(self) -> bool:
        run = self.run
        return run is not None and run.status.state in NO_WORKER

    @property
    def scopes_key(self) -> str:
        return "watch, over" if self.over else "watch"

    @property
    def opens(self) -> bool:
        return super().opens or (self.run_path is not None and self.run is None and not self.is_gone)

    @property
    def is_gone(self) -> bool:
        """Whether the run was deleted or renamed by another program."""
        path = self.run_path
        return (
            path is not None and self.run is None and self.runs_state.attached == path and not RunFolder(path).exists()
        )

    def has(self) -> dict[str, bool]:
        run = self.run
        if run is None:
            return {}
        trains = run.live and run.status.validated is None  # during the final validation that is over
        resumes, diverged = not self.pane.shown.stateless, self.pane.shown.verdict.kind == "diverged"
        return super().has() | {
            "other runs": bool(self._others),
            "training": trains,
            "model": not (self.over and self.pane.shown.unplayable)
            and (run.status.place is None or run.status.step > 0),
            "speed": trains or (self.over and run.status.step > 0 and resumes),  # known from the first step on
            "resumable": resumes and (run.status.state != "finished" or diverged),
        }

    def labels(self) -> dict[str, str]:
        return {"train.pause": "continue" if self._pauses else "pause"}

    def watch_run_path(self, path: Path | None) -> None:
        self.pane.clear()
        self.pane.shown, self._looked_into, self._counted = ShownRun(), None, None
        self.workers.cancel_group(self, "references")
        self.watch_runs_state()

    def watch_runs_state(self) -> None:
        self._look_for_model()
        self._count_references()
        self._update()

    def _change(self, **changes: Any) -> None:
        """Change what is known of the run."""
        self.pane.shown = replace(self.pane.shown, **changes)
        self.post_message(self.Changed())

    def _update(self) -> None:
        path, runs_state = self.run_path, self.runs_state
        if path is None:
            return
        if runs_state.attached != path:  # the data thread has not got there yet
            runs_state = RunsState(runs=runs_state.runs, attached=path)
        remark, run = "", runs_state.attached_run
        if runs_state.pending:
            remark = f"Asked to {command_words(runs_state.pending[-1])}; it acts between two steps."
        if self.is_gone:
            remark = f"{path.name} is not there any more: it was deleted or renamed elsewhere."
        spec = None if run is None else run.spec
        self.pane.shown = replace(self.pane.shown, state=runs_state, spec=spec, bits=self.bits, remark=remark)

    watch_bits = _update

    def _look_for_model(self) -> None:
        """Find out whether a run that has ended left a model to play, and can be resumed."""
        run = self.run
        ended = None if run is None or not self.over else run.path
        if run is not None and ended is not None and ended != self._looked_into:
            self.run_worker(self._find_model(run.run), group="model", exclusive=True)
        self._looked_into = ended

    async def _find_model(self, run: RunFolder) -> None:
        found, resumes = await in_thread(lambda check: (playable(run), resumable(run)))
        if run.path == self.run_path:
            self._change(unplayable=found is None, stateless=not resumes)

    def _count_references(self) -> None:
        """Count the losses of simple models on the text of the run, once it has read that."""
        run = self.run
        if run is not None and run.spec is not None and run.spec != self._counted:
            self._counted = run.spec
            self.run_worker(self._count(run.run, run.spec), group="references", exclusive=True)

    async def _count(self, run: RunFolder, spec: RunSpec) -> None:
        if found := await baseline_losses(spec.corpus, spec.settings, run):
            self._change(references=found)

    def copyable(self) -> Copyable | None:
        return self.pane.samples.copyable()

    def handle_escape(self) -> bool:
        if self.over and not self.pane.card_closed:
            self.pane.card_closed = True
        else:
            return False
        return True

    def leave(self) -> None:
        self.run_path = None  # what is known of the run is read again when it is shown again

    # ---- the chart
    @property
    def chart(self) -> LossChart:
        return self.pane.chart

    def do_log_axis(self) -> None:
        """To the next logarithmic axes."""
        self.pane.next_log_axes()

    def do_time_axis(self) -> None:
        self.pane.set_view(seconds=not self.chart.view.seconds, zoom=0)

    def do_smoothing(self) -> None:
        self.charlstm.remember(smoothing=self.pane.smooth_more())

    def do_closer(self, by: int) -> None:
        self.pane.set_view(zoom=self.chart.view.zoom + by)

    @property
    def _others(self) -> tuple[Path, ...]:
        """Other runs that have trained on the same text, the newest first."""
        run = self.run
        if run is None or run.problem:
            return ()
        found = (each for each in self.runs_state.runs if (each.text, each.sources) == (run.text, run.sources))
        return tuple(each.path for each in found if each.path != run.path and each.status.step)

    def do_others(self) -> None:
        """Show the curves of all runs on this text, in Runs."""
        if self.run_path is not None:
            self.charlstm.show_curves((self.run_path, *self._others))

    def do_save_chart(self) -> None:
        """Save the curves of the run, by steps or by time and as smooth as the chart shows them."""
        if self.run_path is not None:
            axis: Axis = "seconds" if self.chart.view.seconds else "step"
            self.save_chart_of([self.run_path], axis, SMOOTHING[self.pane.smoothing][1])

    # ---- during
    def sent(self, run: RunFolder, command: Command) -> None:
        if run.path != self.run_path:  # else it is shown below the chart
            super().sent(run, command)

    @property
    def _pauses(self) -> bool:
        """Whether the run is paused, or will be once it has done what was asked of it."""
        asked = [command.command for command in self.runs_state.pending]
        last = next((command for command in reversed(asked) if command in ("pause", "resume")), None)
        run = self.run
        return last == "pause" if last is not None else run is not None and run.status.state == "paused"

    async def do_pause(self) -> None:
        run = self.run
        if run is not None:
            await self.send(run.run, "resume" if self._pauses else "pause")

    async def do_finish(self) -> None:
        if self.run is not None:
            await self.send(self.run.run, "finish")

    async def do_checkpoint(self) -> None:
        if self.run is not None:
            await self.send(self.run.run, "checkpoint")
            self.say("The exact state is saved between two steps.")

    def do_rate(self) -> None:
        run, shown = self.run, self.pane.shown  # not what the app knows: that may still be of the run shown before
        if run is None:
            return
        last = shown.series.last_step
        rate = shown.series.next_rate or (last.lr if last else None)
        now = f"The rate now is {learning_rate(rate)}" if rate else "No step is done yet"
        if shown.state.series is None:
            now = "The log of the run is not read yet"
        lower = shown.verdict.needs_lower_rate
        offered = lower_rate(rate) if rate and lower else rate
        about = f"{now}. What you type acts from the next step on, and the rest of the schedule is scaled to it."
        dialog = PromptDialog("Learning rate", about, learning_rate(offered) if offered else "", check=check_rate)
        ask(self, dialog, lambda text: self._set_rate(run.run, float(text)))

    async def _set_rate(self, run: RunFolder, rate: float) -> None:
        """Set the learning rate of a run, after a question if it is far above the one that the run was made for."""
        spec = self.pane.shown.spec
        usual = math.inf if spec is None or run.path != self.run_path else spec.settings.lr
        if rate > RISKY_FACTOR * usual:
            title = f"Set a rate of {learning_rate(rate)}?"
            times = f"That is {rate / usual:,.0f} times the highest that the run was made for"
            about = f"{times}, {learning_rate(usual)}: the loss may run away."
            choices = [Choice("n", "no, keep the rate as it is", False), Choice("y", "yes, set it", True)]
            if not await self.app.push_screen_wait(ChoiceDialog(title, about, choices)):
                return
        await self.send(run, "set-lr", rate)

    # ---- after, and more
    @property
    def rate_for_next_run(self) -> float | None:
        """A lower learning rate for another run on this text, if this run's was too high."""
        shown = self.pane.shown
        return lower_rate(shown.spec.settings.lr) if shown.spec is not None and shown.rate_was_too_high else None

    async def resume(self, run: RunFolder, changes: dict[str, Any]) -> None:
        self.pane.card_closed = False
        await super().resume(run, changes)

    def do_more(self) -> None:
        run, shown = self.run, self.pane.shown
        if run is None:
            return
        unknown = shown.verdict.flaw is not None or shown.state.series is None
        usual = 10 if unknown else max(1, round(shown.series.work_seconds / 60))
        how = CLIMBS if run.status.state == "finished" else INSTEAD
        if not self.over:
            how = "It continues without a stop; the rest of its schedule is stretched."
        dialog = PromptDialog(f"Train {run.name} further", f"Minutes more. {how}", str(usual), check=_check_minutes)
        ask(self, dialog, lambda text: self._more(run.run, float(text)))

    async def _more(self, run: RunFolder, minutes: float) -> None:
        """Lengthen ``run``, which may be another than the one that is shown by now. A run that trains gets a command; a
        run that has ended is resumed."""
        status = await self.attempt(run.status)
        if status.alive and status.validated is not None:
            key = key_of("train.more")
            self.say(f"{run.name} has trained and is validated now: press {key} when that is over.", error=True)
        elif status.alive:
            await self.send(run, "more", minutes)
        else:
            await self.ask_and_resume(run, await self.attempt(lambda: minutes_more(run, minutes)))


def _check_minutes(text: str) -> str | None:
    return None if 0 < number(text) <= 1e6 else "Minutes are a number above zero, such as 5."
