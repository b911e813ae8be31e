"""Train: choose how to train, then watch it happen and steer it.

Its two bodies are in ``setup_pane`` and ``run_pane``. This screen decides which of them is shown, and carries out the
actions: it sends commands to the worker (``charlstm.runs.control``), and starts and resumes runs
(``charlstm.runs.launch``).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.reactive import var
from textual.widgets import ContentSwitcher

from charlstm.errors import CharLSTMError, RunError
from charlstm.runs.control import send_command
from charlstm.runs.folder import Run, RunSpec
from charlstm.runs.launch import changes_for_more, resume_run
from charlstm.training.commands import Command
from charlstm.training.verdict import SMALLER, Diverged
from charlstm_tui.actions import BY_ID, Action, bindings, key_of
from charlstm_tui.background import in_thread
from charlstm_tui.base import ModeScreen
from charlstm_tui.chart_file import CHART_FORMATS, write_chart_of
from charlstm_tui.choices import CorpusChoice, playable
from charlstm_tui.clipboard import Copyable
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog
from charlstm_tui.formatting import learning_rate
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.train.baselines import baseline_losses
from charlstm_tui.train.other_runs import read_other_runs, runs_on_same_text
from charlstm_tui.train.run_pane import SMOOTHING, RunPane
from charlstm_tui.train.run_summary import ENDED, ShownRun
from charlstm_tui.train.samples import Samples
from charlstm_tui.train.setup_pane import SetupPane
from charlstm_tui.widgets.loss_chart import LossChart

if TYPE_CHECKING:
    from charlstm.runs.comparison import Axis

START = 3600.0
"""Seconds that a run may take to read its text before its reference lines are given up."""

CLIMBS = "The learning rate climbs again, then follows its schedule to the new end."


@dataclass(frozen=True)
class _Attached:
    """The run that is shown, what is known of it besides its log, and what was asked of it."""

    path: Path | None = None
    spec: RunSpec | None = None
    references: tuple[tuple[str, float], ...] = ()
    asked: Command | None = None
    """The last command that was sent and has not been carried out yet."""
    refusal: str = ""
    """Why the last action was impossible."""


def _command_words(command: Command) -> str:
    """What the worker is asked to do."""
    value = command.value or 0.0
    return {
        "pause": "pause",
        "resume": "continue",
        "stop": "stop at a checkpoint",
        "finish": "finish: the rate falls to zero within half a minute, then it ends",
        "checkpoint": "save its exact state",
        "set-lr": f"set the rate to {value:g}",
        "more": f"train {value:g} minute{'s' * (value != 1)} more",
    }[command.command]


def _is_logged(command: Command, runs_state: RunsState) -> bool:
    series = runs_state.series
    return series is not None and any(event.id == command.id for event in series.every_control)


class TrainScreen(ModeScreen):
    """The mode."""

    MODE = "train"
    MAIN_PANE = "#chart"
    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("train")]

    attached: var[_Attached] = var(_Attached(), init=False)

    def __init__(self) -> None:
        super().__init__()
        self.setup = SetupPane(self.charlstm.config.preset, id="setup")
        self._shows_others = False
        self._beside: tuple[ChoiceDialog, Path] | None = None  # the question whether to train beside this run
        self.watching = RunPane(self.charlstm.remembered.smoothing, id="watch")

    def compose_body(self) -> ComposeResult:
        with ContentSwitcher(initial="setup"):
            yield self.setup
            yield self.watching

    @property
    def panes_mounted(self) -> bool:
        """Whether both bodies are there: a screen is resumed before its parts have come, and again after they went."""
        return self.setup.is_mounted and self.watching.is_mounted and not self.detached

    @on(SetupPane.Ready)
    @on(RunPane.Ready)
    def _part_came(self) -> None:
        if self.panes_mounted:
            self.entered()
            self.refresh_state()
            if self.focused is None:
                self.focus_main()

    # ---- what is on
    @property
    def view(self) -> RunView | None:
        """The attached run as last seen."""
        return self.charlstm.runs_state.find(self.charlstm.run_path)

    @property
    def over(self) -> bool:
        view = self.view
        return view is not None and view.status.state in ENDED

    def scopes(self) -> tuple[str, ...]:
        if self.charlstm.run_path is None:
            return ("train", "train.before")
        return ("train", "train.after" if self.over else "train.live")

    def can(self, action: Action) -> bool:
        view = self.view
        watching = self.charlstm.run_path is not None
        match action.handler:
            case "previous_run" | "next_run":
                return bool(self.charlstm.runs_state.runs)
            case "log_axis" | "time_axis" | "smoothing" | "zoom_in" | "zoom_out" | "save_chart":
                return watching
            case "others":
                return watching and (self._shows_others or bool(self._others))
            case "start":
                return self.setup.startable
            case "preset" | "all_settings" | "from_model":
                return self.setup.ready
            case "reset":
                return self.setup.ready and self.setup.changes_count > 0
            case "from_nothing":
                return self.setup.can_choose_start
            case "more_time":
                return self.setup.can_train_longer
            case "pause" | "stop" | "rate" | "finish" | "checkpoint":
                return view is not None and view.live
            case "more":
                return view is not None and (view.live or view.status.state in ENDED)
            case "resume":
                return view is not None and (view.status.state != "finished" or self._diverged)
            case _:
                return True

    def labels(self) -> dict[str, str]:
        view = self.view
        state = view.status.state if view is not None else ""
        return {
            "train.pause": "continue" if state == "paused" else "pause",
            "train.others": "hide other runs" if self._shows_others else "other runs",
        }

    def entered(self) -> None:
        """Without a text to train on, show a run that trains, else the last one."""
        if not self.panes_mounted:
            return
        app = self.charlstm
        if app.corpus is None and app.run_path is None:
            state = app.runs_state
            last = next((run for run in (*state.live, *state.runs) if not run.problem), None)
            if last is not None:
                app.attach(last.path, show=False, play=app.model is None)
        self.setup.show_text(app.corpus)

    def watch_attached(self) -> None:
        self.refresh_state()

    def _change(self, **changes: Any) -> None:
        """Change some fields of ``attached``."""
        self.attached = replace(self.attached, **changes)

    def focus_main(self) -> None:
        for pane in self.query("#presets" if self.charlstm.run_path is None else "#chart"):
            pane.focus()

    def show_runs_state(self, runs_state: RunsState) -> None:
        if not self.panes_mounted:
            return
        path = self.charlstm.run_path
        if path != self.attached.path:
            self._show_run(path)
            return
        if path is None:
            self._close_question_about_ended(runs_state)
            self.setup.show(runs_state, self.charlstm.bits)
            return
        if runs_state.attached != path:  # the data thread has not got there yet
            runs_state = RunsState(runs=runs_state.runs, attached=path)
        asked = self.attached.asked
        if asked is not None and self._is_answered(asked, runs_state):
            self._change(asked=None)
            if asked.command == "more" and asked.value is not None and not _is_logged(asked, runs_state):
                # it came during the final validation: the run has ended without it
                self.run_worker(self._more(Run(path), asked.value), group="asked")
            return
        attached = self.attached
        last = attached.asked or next(reversed(runs_state.pending), None)
        remark = f"Asked to {_command_words(last)}; it acts between two steps." if last is not None else ""
        self.watching.shown = ShownRun(
            runs_state, attached.spec, self.charlstm.bits, attached.references, remark, attached.refusal
        )

    @staticmethod
    def _is_answered(command: Command, runs_state: RunsState) -> bool:
        """Whether the worker has carried the command out, or has ended without that."""
        view = runs_state.attached_run
        return view is None or not view.status.alive or _is_logged(command, runs_state)

    def _show_run(self, path: Path | None) -> None:
        """Show another run, or the settings for a new one."""
        self.minimize()
        self.watching.clear()
        self.query_one(ContentSwitcher).current = "setup" if path is None else "watch"
        if path is None:
            self.setup.show_text(self.charlstm.corpus)
        else:
            self.run_worker(self._read_spec(path), group="spec", exclusive=True)
            self._show_others()
        if self.is_current:
            self.focus_main()
        self.attached = _Attached(path)

    async def _read_spec(self, path: Path) -> None:
        """Read the run's settings, and count the losses of simple models on its text."""
        run = Run(path)
        for _ in range(2):
            try:
                spec = await in_thread(lambda check: run.spec())
            except RunError:
                return  # the run's row shows what is wrong with it
            self._change(spec=spec)
            found = await baseline_losses(spec.corpus, spec.settings)
            if found is not None:
                self._change(references=found)
            if spec.plan is not None:
                return
            await self._until(lambda: self.view is not None and self.view.status.state != "starting", START)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``condition`` holds; whether it came to that in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    def copyable(self) -> Copyable | None:
        return self.query_one(Samples).copyable()

    def handle_escape(self) -> bool:
        if self.attached.refusal:
            self._change(refusal="")
        elif self.charlstm.run_path is not None and self.over and not self.watching.card_closed:
            self.watching.card_closed = True
        else:
            return False
        return True

    # ---- what was refused
    def _refuse(self, run: Run, sentence: str) -> None:
        """Say in the pane, until the next action, why what was asked of ``run`` cannot be."""
        if run.path != self.charlstm.run_path:  # the pane is another run's by now
            self.charlstm.notify_error(sentence)
            return
        self._change(refusal=sentence)

    async def action_do(self, name: str) -> None:
        if BY_ID[name].handler != "back":  # which removes it itself
            self._change(refusal="")
        await super().action_do(name)

    # ---- before: choosing
    def do_preset(self, by: int) -> None:
        self.setup.move(by)

    def do_all_settings(self) -> None:
        self.setup.edit()

    def do_from_nothing(self) -> None:
        self.setup.toggle_from_nothing()

    def do_from_model(self) -> None:
        self.setup.choose_model()

    def do_reset(self) -> None:
        self.setup.reset()

    def do_more_time(self) -> None:
        self.setup.train_longer()

    async def do_start(self) -> None:
        """Start the run; beside one that trains only when that is confirmed."""
        if self.setup.starting:  # its thread could not be called back, and would start a second run
            return
        live = self.setup.live_runs
        if not live:
            await self._start_now("start")
            return
        name = live[0].name
        dialog = self._question(
            f"Train beside {name}?",
            "Both would share the processor: each takes about twice as long, and with a time limit each learns less.",
            [
                Choice("w", f"watch {name}", live[0].path),
                Choice("s", "start it anyway", "start"),
            ],
            self._start_now,
        )
        self._beside = dialog, live[0].path

    def _close_question_about_ended(self, runs_state: RunsState) -> None:
        """Close the question whether to train beside a run, once that has ended."""
        if self._beside is None:
            return
        dialog, path = self._beside
        if dialog not in self.app.screen_stack:
            self._beside = None
        elif path not in (view.path for view in runs_state.live):
            self._beside = None
            dialog.dismiss_later(None)
            self.charlstm.notify_info(f"{path.name} has ended; {key_of('train.start')} starts the next run.")

    async def _start_now(self, answer: Any) -> None:
        if answer == "start":
            self.run_worker(self._start(), group="start", exclusive=True)
        elif isinstance(answer, Path):
            self.charlstm.attach(answer, show=False)

    async def _start(self) -> None:
        run = await self.setup.start(self.charlstm.start_options.runs_dir)
        if run is not None:
            self.charlstm.attach(run.path, show=False)

    @on(SetupPane.Changed)
    def _setup_changed(self) -> None:
        self.refresh_bindings()

    # ---- the chart
    @property
    def chart(self) -> LossChart:
        return self.query_one(LossChart)

    def do_log_axis(self) -> None:
        """Linear, the loss by logarithm, the steps too, the steps alone."""
        order = [(False, False), (False, True), (True, True), (True, False)]
        view = self.chart.view
        log_x, log_y = order[(order.index((view.log_x, view.log_y)) + 1) % len(order)]
        self.watching.set_view(log_x=log_x, log_y=log_y)

    def do_time_axis(self) -> None:
        self.watching.set_view(seconds=not self.chart.view.seconds, zoom=0)

    def do_smoothing(self) -> None:
        self.charlstm.remember(smoothing=self.watching.smooth_more())

    def do_zoom_in(self) -> None:
        self.watching.set_view(zoom=self.chart.view.zoom + 1)

    def do_zoom_out(self) -> None:
        self.watching.set_view(zoom=self.chart.view.zoom - 1)

    @property
    def _others(self) -> tuple[RunView, ...]:
        """The runs that the one that is shown can be compared with."""
        return runs_on_same_text(self.charlstm.runs_state, self.charlstm.run_path)

    def do_others(self) -> None:
        self._shows_others = not self._shows_others
        self._show_others()
        self.refresh_bindings()

    def _show_others(self) -> None:
        if self._shows_others:
            self.run_worker(self._read_others(), group="others", exclusive=True)
        else:
            self.workers.cancel_group(self, "others")
            self.watching.others = ()

    async def _read_others(self) -> None:
        views = self._others
        self.watching.others = await in_thread(lambda check: read_other_runs(views))

    def do_save_chart(self) -> None:
        """Save the curves of the run, by steps or by time and as smooth as the chart shows them."""
        path = self.charlstm.run_path
        if path is not None:
            axis: Axis = "seconds" if self.chart.view.seconds else "step"
            weight = SMOOTHING[self.watching.smoothing][1]

            def write(to: Path) -> None:
                write_chart_of(to, [path], axis, weight)

            self.charlstm.save_file("Save the chart", f"{path.name}.svg", CHART_FORMATS, write)

    # ---- run to run
    def do_previous_run(self) -> None:
        self._walk(1)

    def do_next_run(self) -> None:
        self._walk(-1)

    def _walk(self, by: int) -> None:
        """To the next earlier (1) or later (-1) run; after the latest come the settings for a new one."""
        paths = [run.path for run in self.charlstm.runs_state.runs]
        here = paths.index(self.attached.path) if self.attached.path in paths else -1
        target = here + by
        if 0 <= target < len(paths):
            self.charlstm.attach(paths[target], show=False)
        elif target == -1 and self.charlstm.corpus is not None:
            self.charlstm.attach(None, show=False)

    # ---- during
    async def _send(self, run: Run, command: str, value: float | None = None) -> bool:
        """Send a command to the worker of ``run``. Returns whether that was possible."""
        try:
            sent = await in_thread(lambda check: send_command(run, command, value))
        except CharLSTMError as error:
            self._refuse(run, str(error))
            return False
        if run.path == self.attached.path:
            self._change(asked=sent)
        self.charlstm.watcher.read_soon()
        return True

    async def do_pause(self) -> None:
        view = self.view
        if view is not None and view.status.state == "paused":
            await self._send(view.run, "resume")
        elif view is not None:
            await self._send(view.run, "pause")

    def do_stop(self) -> None:
        view = self.view
        if view is None:
            return
        self._question(
            f"Stop {view.name}?",
            "It saves its exact state and ends. It can be resumed later and continues as if nothing had been.",
            [
                Choice("s", "stop at a checkpoint now", "stop"),
                Choice("f", "finish: rate to zero in half a minute, then end", "finish"),
                Choice("c", "continue training", None),
            ],
            lambda answer: self._send(view.run, answer),
        )

    async def do_finish(self) -> None:
        if self.view is not None:
            await self._send(self.view.run, "finish")

    async def do_checkpoint(self) -> None:
        if self.view is not None and await self._send(self.view.run, "checkpoint"):
            self._change(asked=None)
            self.charlstm.notify_info("The exact state is saved between two steps.")

    def do_rate(self) -> None:
        view, series = self.view, self.charlstm.runs_state.series
        if view is None:
            return
        last = series.last_step if series is not None else None
        now = f"The rate now is {learning_rate(last.lr)}" if last else "No step is done yet"
        lower = self.watching.shown.verdict.needs_lower_rate
        offered = last.lr / SMALLER if last and lower else last.lr if last else None
        self._prompt(
            "Learning rate",
            f"{now}. What you type acts from the next step on, and the rest of the schedule is scaled to it.",
            learning_rate(offered) if offered else "",
            _check_rate,
            lambda text: self._send(view.run, "set-lr", float(text)),
        )

    def do_play(self) -> None:
        """Play the run in Generate, which waits until it has learnt something."""
        view = self.view
        if view is None:
            return
        choice = playable(view.run)
        if choice is not None:
            self.charlstm.play(choice.model)
        else:
            self._refuse(view.run, f"{view.name} has no model that has learnt anything: it ended too early.")

    # ---- after, and more
    def do_new(self) -> None:
        """The settings for another run; after one whose learning rate was too high with a smaller one."""
        spec = self.attached.spec
        too_high = self.watching.shown.rate_was_too_high
        if self.charlstm.corpus is None and spec is not None:
            self.charlstm.corpus = _choice(spec)
        self.charlstm.attach(None, show=False)
        if spec is not None and too_high:
            self.setup.show_text(self.charlstm.corpus)
            self.setup.limit_rate(spec.settings.lr / SMALLER)

    async def do_resume(self) -> None:
        view = self.view
        if view is None:
            return
        if not self._diverged:
            await self._resume(view.run, {})
            return
        try:
            spec = await in_thread(lambda check: view.run.spec())  # what an earlier resume changed is in it
        except RunError as error:
            self._refuse(view.run, str(error))
            return
        usual = spec.settings.lr / 3
        self._prompt(
            "Continue with a lower rate",
            Diverged.question,
            learning_rate(usual),
            _check_rate,
            lambda text: self._resume(view.run, {"lr": float(text)}),
        )

    @property
    def _diverged(self) -> bool:
        return isinstance(self.watching.shown.verdict, Diverged)

    async def _resume(self, run: Run, changes: dict[str, Any]) -> None:
        self.watching.card_closed = False
        try:
            await in_thread(lambda check: resume_run(run, changes=changes))
        except CharLSTMError as error:
            self._refuse(run, str(error))
            return
        self.charlstm.watcher.read_soon()

    def do_more(self) -> None:
        view, series = self.view, self.charlstm.runs_state.series
        if view is None or series is None:
            return
        usual = 10 if self.watching.shown.flaw else max(1, round(series.work_seconds / 60))
        self._prompt(
            f"Train {view.name} further",
            "Minutes more. "
            + (CLIMBS if self.over else "It continues without a stop; the rest of its schedule is stretched."),
            str(usual),
            _check_minutes,
            lambda text: self._more(view.run, float(text)),
        )

    async def _more(self, run: Run, minutes: float) -> None:
        """Lengthen ``run``, which may be another than the one that is shown by now. A run that trains gets a command,
        one that has ended is resumed."""
        try:
            if (await in_thread(lambda check: run.status())).alive:
                await self._send(run, "more", minutes)
            else:
                await self._resume(run, await in_thread(lambda check: changes_for_more(run, minutes)))
        except CharLSTMError as error:
            self._refuse(run, str(error))

    # ---- small dialogs
    def _question(self, title: str, about: str, choices: list[Choice], then: Callable[[Any], Any]) -> ChoiceDialog:
        async def answered(answer: Any) -> None:
            if answer is not None:
                await then(answer)

        dialog = ChoiceDialog(title, about, choices)
        self.app.push_screen(dialog, answered)
        return dialog

    def _prompt(
        self, title: str, about: str, value: str, check: Callable[[str], str | None], then: Callable[[str], Any]
    ) -> None:
        async def answered(text: str | None) -> None:
            if text is not None:
                self.run_worker(then(text), group="asked")

        self.app.push_screen(PromptDialog(title, about, value, check=check), answered)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_rate(text: str) -> str | None:
    return None if 0 < _number(text) <= 1000 else "A learning rate is a number above zero, such as 1e-3."


def _check_minutes(text: str) -> str | None:
    return None if 0 < _number(text) <= 1e6 else "Minutes are a number above zero, such as 5."


def _choice(spec: RunSpec) -> CorpusChoice | None:
    """The text of a run as if it had been chosen in Corpus; ``None`` when it came from several places or a pipe."""
    sources = list(spec.corpus.get("sources") or [])
    if len(sources) != 1 or "-" in (*sources, *spec.validation_sources):
        return None
    options = spec.corpus.get("options") or {}
    return CorpusChoice(
        str(sources[0]),
        spec.corpus_name,
        strip_boilerplate=bool(options.get("strip_boilerplate")),
        clean=bool(options.get("clean")),
        split=spec.settings.split,
        encoding=encoding if isinstance(encoding := options.get("encoding"), str) else None,
        validation=spec.validation_sources,
    )
