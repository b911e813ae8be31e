"""The app as the modes know it: the state that they share, the ways from one to another, files and messages."""

from __future__ import annotations

import contextlib
import inspect
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.notifications import SeverityLevel
from textual.reactive import var
from textual.screen import Screen
from textual.signal import Signal

from charlstm import system
from charlstm.config import load_config, located
from charlstm.display import visible
from charlstm.errors import CharLSTMError, ExitCode
from charlstm.runs.folder import RunFolder
from charlstm.runs.on_end import end_words, terminal_sequence
from charlstm_tui.actions import Action
from charlstm_tui.app_state import AppState, Remembered, load_state, save_state
from charlstm_tui.background import JobQueue, in_thread, write_in_thread
from charlstm_tui.choices import CorpusChoice, ModelChoice, StartOptions, playable
from charlstm_tui.dialogs import ask
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.formatting import home, typed_path
from charlstm_tui.ordered_keys import OrderedKeys
from charlstm_tui.run_watcher import RunsChanged, RunsState, Watcher
from charlstm_tui.safe_workers import JobFailed, SafeWorkers
from charlstm_tui.save_dialog import Format, SaveDialog
from charlstm_tui.terminal import write_to_terminal
from charlstm_tui.to_play import Asked, ToPlay
from charlstm_tui.widgets.find import Search

if TYPE_CHECKING:
    from charlstm.runs.launch import PreparedWorker

REPORT_AGAIN = 60.0
"""Seconds after which an unexpected error that goes on is reported again."""


class Mode(Screen[None]):
    """What the app asks of the screen of a mode."""

    MODE: ClassVar[str] = ""

    def entered(self) -> None:
        """The mode came on screen."""

    def key_pressed(self, key: str) -> None:
        """A key came, wherever it goes."""

    def show_error(self, sentence: str) -> None:
        """Say what went wrong."""


class ModeApp(SafeWorkers, OrderedKeys):
    """What the modes know of the app: the state that they share, the ways from one to another, and messages.

    Watch the state with ``self.watch(self.app, "corpus", …)``.
    """

    corpus: var[CorpusChoice | None] = var(None)
    run_path: var[Path | None] = var(None)
    to_play: var[ToPlay] = var(ToPlay())
    runs_state: var[RunsState] = var(RunsState())
    bits: var[bool] = var(False)

    def __init__(self, start_options: StartOptions | None = None) -> None:
        super().__init__()
        self.start_options = start_options or StartOptions()
        self.config, problems = load_config(self.start_options.config)
        self.config_problems: tuple[str, ...] = problems
        """A sentence for each entry of the configuration that is wrong."""
        self.remembered: AppState = load_state()
        self.start_folder = self._start_folder()
        self.jobs = JobQueue()  # for writes of ``remembered``: a disk may be slow
        self.bits = self.config.loss_unit == "bits"
        self.exiting = False
        """Whether the app is about to exit."""
        self.farewell = ""
        """Printed after the exit."""
        self.not_saved = ""
        """Why a session of Generate is not saved; empty otherwise."""
        self.unfinished: list[Callable[[], str]] = []
        """Functions to call in order before the process ends. Each saves something, which may take longer than an exit
        may take, and returns a sentence to print."""
        self.curves_to_show: tuple[Path, ...] = ()
        """The runs whose curves Runs is to show when it is entered next."""
        self.watcher = Watcher(lambda: self.post_message(RunsChanged()), self.start_options.runs_dir)
        self.run_renamed: Signal[tuple[Path, Path]] = Signal(self, "run_renamed")
        """Published with the old and the new folder of a run that was renamed here."""
        self.prepared_worker: PreparedWorker | None = None
        """A process that has loaded torch, for the next run."""
        self.tells_focus = False
        """Whether the terminal reports its focus: it has reported a loss."""
        self.last_search = Search()
        """What was looked for last."""
        self._queue_stood: tuple[Path, ...] = ()  # at the last look, the runs that waited while no run trained
        self._shown_until: dict[tuple[str, str, str], float] = {}  # when each message goes
        self._reported: dict[str, float] = {}
        self._newly_watched: Path | None = None  # played when Generate opens without a choice

    # ---- configuration, and what is remembered
    def add_config_problem(self, table: str, name: str, problem: str) -> None:
        """Something that only the app can know is wrong with an entry of the configuration."""
        self.config_problems += (located(self.start_options.config, table, name, problem),)

    def _start_folder(self) -> Path:
        """The folder of the configuration, else the one that the app is started in."""
        configured = typed_path(self.config.start_folder)
        if not self.config.start_folder or os.path.isdir(configured):
            return configured.absolute()
        self.add_config_problem("", "start_folder", f"There is no folder {self.config.start_folder}")
        return Path.cwd()

    def remember(self, **changes: Remembered) -> None:
        """Keep these fields of :class:`AppState` for the next start."""
        before, self.remembered = self.remembered, replace(self.remembered, **changes)  # type: ignore[arg-type]
        if self.remembered != before:
            self.jobs.add(partial(save_state, changes), "writing what the app remembers")

    def first_folder(self) -> Path:
        """The folder whose texts Corpus lists first: where it was left, if the app was started in the same one then."""
        remembered = Path(self.remembered.folder)
        again = self.remembered.folder and self.remembered.folder_from == str(self.start_folder)
        return remembered if again and os.path.isdir(remembered) else self.start_folder

    def choose_theme(self, name: str) -> None:
        """Use this theme, at the next start too."""
        self.theme = name
        self.remember(theme=name)
        if self.config.theme not in ("", name):
            self.notify_info(f"The next start has the theme of the configuration again, {self.config.theme}.")

    # ---- from mode to mode
    def go(self, mode: str) -> None:
        """Show a mode. Generate plays the run that was turned to last, unless that ended without a model."""
        path = self._newly_watched
        if mode == "generate" and path is not None and (choice := playable(RunFolder(path))) is not None:
            self.to_play, self._newly_watched = self.to_play.choose(choice), None
        self.switch_mode(mode)

    do_go = go

    def use_corpus(self, choice: CorpusChoice) -> None:
        """Go to Train with this text, and remember the choice."""
        self.corpus = choice
        self.run_path = self._newly_watched = None
        self.watcher.attach(None)
        self.go("train")

    def attach(self, path: Path | None, show: bool = True, *, play: bool = True) -> None:
        """Follow this run (its series comes with the state of the runs) and show it in Train. With ``play``, Generate
        plays it when it is entered next."""
        self.run_path = path
        self._newly_watched = path if play else None
        self.watcher.attach(path)
        if show:
            self.go("train")

    def prepare_worker(self) -> None:
        """Have a process load torch, unless one has, or a run is watched: who looks at a text may soon train on it."""
        ready = self.prepared_worker is not None and self.prepared_worker.poll() is None
        if not ready and self.run_path is None and system.torch_folder() is not None:
            from charlstm.runs.launch import prepare_worker  # 0.2 s, with numpy: not before the first paint

            with contextlib.suppress(OSError):  # what is wrong is said when a run is started
                self.prepared_worker = prepare_worker()

    def renamed(self, old: Path, new: Path) -> None:
        """The run in the folder ``old`` is in ``new`` now. What Train shows and Generate plays stays the same."""
        if self._newly_watched == old:
            self._newly_watched = new
        self.to_play = self.to_play.after_rename(old, new)
        self.run_renamed.publish((old, new))
        if self.run_path == old:
            self.run_path = new
            self.watcher.attach(new)

    def play(self, model: str, step: int | None = None) -> None:
        """Play a model: a run's folder or name, a file, or ``demo``; ``step`` picks a snapshot of a run. Generate waits
        for a run that trains until it has learnt something."""
        self.to_play, self._newly_watched = self.to_play.choose(ModelChoice(model, step), Asked.PLAY), None
        self._go_to_generate()

    def add_farewell(self, sentence: str) -> None:
        """Print something more after the app has exited."""
        # after other signals there may be no terminal to print to
        if self.return_code in (None, ExitCode.DONE, ExitCode.INTERRUPTED):
            self.farewell = visible(" ".join(filter(None, (self.farewell, sentence))), keep="")

    def open_session(self, path: Path) -> None:
        """Continue a saved session."""
        self.to_play = self.to_play.continue_session(path)
        self._go_to_generate()

    def show_curves(self, runs: tuple[Path, ...]) -> None:
        """Show the curves of these runs on one chart, in Runs."""
        self.curves_to_show = runs
        self.go("runs")

    def _go_to_generate(self) -> None:
        """Go to Generate, which decides what to play on entering, also if already on screen."""
        here = self.mode_screen
        self.go("generate")
        if here is not None and here.MODE == "generate":
            here.entered()

    # ---- the runs
    def on_runs_changed(self) -> None:
        if self.is_running:  # not while the app ends, when its screens are gone one after another
            self.runs_state = self.watcher.latest()

    def watch_runs_state(self, before: RunsState, state: RunsState) -> None:
        for problem, known in ((state.failure, before.failure), (state.queue_problem, before.queue_problem)):
            if problem not in ("", known):
                self.show_error(problem)
        for was in before.live:
            now = state.find(was.path)
            if now is not None and not now.live:
                self._ring(end_words(now.name, now.status))
        stands = () if state.live else tuple(run.path for run in state.runs if run.may_begin)
        if stands and stands != self._queue_stood:  # as after the machine was started again; once for each queue
            self.run_worker(self._continue_queue(), group="queue")
        self._queue_stood = stands

    async def _continue_queue(self) -> None:
        """Start the next run of the queue, and say so."""
        if run := await in_thread(_start_next):
            self.notify_info(f"The queue goes on: {run.name} trains now.")
            self.watcher.read_soon()

    def on_app_blur(self) -> None:
        self.tells_focus = True

    def _ring(self, words: str) -> None:
        """Tell these words in the terminal, as the configuration says, unless somebody looks at the app."""
        if not (self.tells_focus and self.app_focus):
            write_to_terminal(self, terminal_sequence(words, self.config.notify))

    @property
    def mode_screen(self) -> Mode | None:
        """The mode under any dialogs."""
        return next((screen for screen in self.screen_stack if isinstance(screen, Mode)), None)

    # ---- files
    def save_file(self, title: str, name: str, formats: Sequence[Format], write: Callable[[Path], object]) -> None:
        """Ask where to save something and as what, and call ``write`` with the path, off the screen's thread. Does
        nothing while another such question is open."""
        if any(isinstance(screen, SaveDialog) for screen in self.screen_stack):
            return
        ask(self, SaveDialog(title, name, formats), lambda path: self._save_file(path, write))

    async def _save_file(self, path: Path, write: Callable[[Path], object]) -> None:
        await write_in_thread(lambda check: write(path))
        self.notify_info(f"Saved {home(path)}.")

    # ---- messages, shown literally
    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """See ``App.notify``. A message that is on the screen already is not shown a second time."""
        now, key = time.monotonic(), (severity, title, message)
        self._shown_until = {shown: until for shown, until in self._shown_until.items() if until > now}
        if key in self._shown_until:
            return
        self._shown_until[key] = now + (self.NOTIFICATION_TIMEOUT if timeout is None else timeout)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def notify_info(self, sentence: str) -> None:
        """A remark that needs no answer."""
        self.notify(visible(sentence), markup=False, timeout=3)

    def notify_error(self, sentence: str) -> None:
        """Something went wrong, and there is no pane of its own to say it in."""
        LOG.info("shown: %s", sentence)
        self.notify(visible(sentence), severity="error", markup=False, timeout=6)

    def show_error(self, sentence: str) -> None:
        """Say what went wrong in the mode on screen."""
        LOG.info("error: %s", sentence)
        screen = self.mode_screen
        if screen is not None and screen.is_mounted:
            screen.show_error(sentence)
        else:
            self.notify_error(sentence)

    async def carry_out(self, action: Action, handler: Callable[..., object]) -> None:
        """Do what an action of the table does. An exception is shown; Textual would end the app."""
        LOG.info("action %s", action.id)
        try:
            outcome = handler(*action.args)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as error:
            self.report_error(error, action.label)

    def bring_up_to_date(self) -> None:
        """See :class:`OrderedKeys`. An exception is shown, as for an action."""
        try:
            super().bring_up_to_date()
        except Exception as error:
            self.report_error(error, "showing what the keys did")

    def report_error(self, error: Exception, doing: str = "") -> None:
        """Show an exception in one sentence, and log it if it was not expected. ``doing`` is what failed.

        The same sentence is logged and shown once a minute: what draws the screen may fail several times a second.
        """
        if self.exiting:
            return
        if isinstance(error, CharLSTMError):
            self.show_error(str(error))
            return
        words, now = sentence(error, doing), time.monotonic()
        if now - self._reported.get(words, -math.inf) < REPORT_AGAIN:
            return
        self._reported[words] = now
        LOG.error("%s", doing or "an unexpected error", exc_info=error)
        self.show_error(words)

    def on_job_failed(self, event: JobFailed) -> None:
        self.show_error(sentence(event.error))


def _start_next(check: Callable[[], None]) -> RunFolder | None:
    """Start the next run of the queue. In a thread."""
    from charlstm.runs.queue import start_next  # 0.3 s, with numpy: not before the first paint

    return start_next()
