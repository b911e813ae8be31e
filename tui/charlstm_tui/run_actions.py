"""Actions of Train and Runs on a run: play, stop, resume, save its curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from textual import work

from charlstm.runs.control import send_command
from charlstm.runs.folder import RunFolder
from charlstm.training.commands import Command
from charlstm.training.ending import RESUME_QUESTION, RESUME_TITLE, lower_rate
from charlstm_tui.background import in_thread, write_in_thread
from charlstm_tui.chart_file import CHART_FORMATS, write_chart_of
from charlstm_tui.choices import playable
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog, ask
from charlstm_tui.formatting import learning_rate
from charlstm_tui.run_watcher import RunView
from charlstm_tui.view import View

if TYPE_CHECKING:
    from charlstm.runs.comparison import Axis

Result = TypeVar("Result")


def command_words(command: Command) -> str:
    """What the worker is asked to do."""
    value = command.value or 0.0
    return {
        "pause": "pause",
        "resume": "continue",
        "stop": "stop at a checkpoint",
        "finish": "finish: the rate falls to zero in about half a minute, then the best model is validated",
        "checkpoint": "save its exact state",
        "set-lr": f"set the rate to {value:g}",
        "more": f"train {value:g} minute{'s' * (value != 1)} more",
    }[command.command]


def rate_to_resume(run: RunFolder) -> float | None:
    """The learning rate to propose before ``run`` is resumed; ``None`` for a run that did not diverge. Reads its log.
    Raises :class:`~charlstm.errors.RunError`."""
    from charlstm.runs.series import RunSeries  # 0.3 s, with numpy: not before the first paint of Runs
    from charlstm.runs.verdict import judge

    if judge(RunSeries.of(run.events()), run.status()).kind != "diverged":
        return None
    return lower_rate(run.spec().settings.lr)  # what an earlier resume changed is in it


def check_rate(text: str) -> str | None:
    """A sentence if ``text`` is no learning rate."""
    return None if 0 < number(text) <= 1000 else "A learning rate is a number above zero, such as 1e-3."


def number(text: str) -> float:
    """``text`` as a number, not-a-number if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


class RunActions(View):
    """A view whose keys act on a run, which is :attr:`run` when they are pressed."""

    @property
    def run(self) -> RunView | None:
        """The run that is acted on."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        return self.works_at("run")

    @property
    def opens(self) -> bool:
        return self.busy

    def has(self) -> dict[str, bool]:
        run = self.run
        return {"run": run is not None, "live": run is not None and run.live}

    async def attempt(self, act: Callable[[], Result], done: str = "") -> Result:
        """Do what may take a while or be refused, off the screen's thread, and say that it is done. Raises
        :class:`CharLSTMError`, which the app shows."""
        result = await write_in_thread(lambda check: act())
        if done:
            self.say(done)
        self.charlstm.watcher.read_soon()
        return result

    async def send(self, run: RunFolder, command: str, value: float | None = None) -> None:
        """Send a command to the worker of ``run``."""
        self.sent(run, await self.attempt(lambda: send_command(run, command, value)))

    def sent(self, run: RunFolder, command: Command) -> None:
        """A command is on its way to the worker of ``run``."""
        self.say(f"{run.name} is asked to {command_words(command)}.")

    @work(group="run")
    async def do_play(self) -> None:
        """Play the run in Generate, which waits until it has learnt something."""
        run = self.run
        if run is None:
            return
        choice = await in_thread(lambda check: playable(run.run))
        if self.charlstm.exiting or not self.screen.is_current:  # the user went to another mode meanwhile, or leaves
            return
        if choice is not None:
            self.charlstm.play(choice.model)
        else:
            begun = run.status.place is None or run.status.step > 0
            why = "it ended too early" if begun else "it waits in the queue and has not begun"
            self.say(f"{run.name} has no model that has learnt anything: {why}.", error=True)

    def do_stop(self) -> None:
        run = self.run
        if run is None:
            return
        # while it starts there may be nothing new to save, as when its text is still being read
        starts = run.status.state == "starting"
        ends, stop = ("ends", "stop now") if starts else ("saves its exact state and ends", "stop at a checkpoint now")
        about = f"It {ends}. It can be resumed later, exactly as if it had never stopped."
        choices = [Choice("s", stop, "stop"), Choice("c", "leave it as it is", None)]
        if run.status.validated is None:  # else it is too late to finish
            choices.insert(1, Choice("f", "finish: rate to zero in about half a minute, then validate", "finish"))
        ask(self, ChoiceDialog(f"Stop {run.name}?", about, choices), lambda command: self.send(run.run, command))

    @work(group="run")
    async def do_resume(self) -> None:
        if (run := self.run) is not None:
            await self.ask_and_resume(run.run, {})

    async def ask_and_resume(self, run: RunFolder, changes: dict[str, Any]) -> None:
        """Resume ``run`` with these settings changed; one that diverged with the lower learning rate that is typed."""
        rate = await in_thread(lambda check: rate_to_resume(run))
        if rate is None:
            await self.resume(run, changes)
        elif self.screen.is_current:  # else the user is at something else by now
            dialog = PromptDialog(RESUME_TITLE, RESUME_QUESTION, learning_rate(rate), check=check_rate)
            ask(self, dialog, lambda text: self.resume(run, {**changes, "lr": float(text)}))

    async def resume(self, run: RunFolder, changes: dict[str, Any]) -> None:
        """Resume ``run`` with these settings changed."""
        from charlstm.runs.launch import resume_run  # 0.3 s, with numpy: not before the first paint of Runs

        continues = f"{run.name} continues from its last checkpoint."
        await self.attempt(lambda: resume_run(run, changes=changes), continues)

    def save_chart_of(self, runs: Sequence[Path], axis: Axis = "step", smoothing: float | None = None) -> None:
        """Save the curves of the runs in these folders on one chart, or their losses."""
        name = f"{runs[0].name if len(runs) == 1 else 'runs'}.svg"
        self.charlstm.save_file(
            "Save the chart", name, CHART_FORMATS, lambda path: write_chart_of(path, runs, axis, smoothing)
        )
