"""What the four modes have in common: the app as they know it, and a screen with top bar, body and key bar."""

from __future__ import annotations

import inspect
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key, Paste
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.reactive import var
from textual.screen import Screen
from textual.signal import Signal
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, TextArea

from charlstm.config import load_config, located
from charlstm.display import visible
from charlstm.errors import CharLSTMError, ExitCode
from charlstm.runs.folder import Run
from charlstm_tui.actions import BY_ID, COMMON, DIGITS, MODES, OUTSIDE, SCOPES, Action, active
from charlstm_tui.app_state import AppState, Remembered, load_state, save_state
from charlstm_tui.background import JobQueue, in_thread
from charlstm_tui.choices import CorpusChoice, ModelChoice, StartOptions, path_after_rename, playable
from charlstm_tui.clipboard import Copyable
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.formatting import home, typed_path
from charlstm_tui.ordered_keys import OrderedKeys, TakesKeys
from charlstm_tui.process import SAVE_WITHIN
from charlstm_tui.run_watcher import RunsChanged, RunsState, Watcher
from charlstm_tui.safe_workers import JobFailed, SafeWorkers
from charlstm_tui.save_dialog import Format, SaveDialog
from charlstm_tui.widgets.find import FindBar, FindTarget, Search
from charlstm_tui.widgets.key_bar import KeyBar
from charlstm_tui.widgets.message_line import MessageLine
from charlstm_tui.widgets.split import Split
from charlstm_tui.widgets.textual_repairs import SteadyScreen
from charlstm_tui.widgets.top_bar import TopBar


def is_detached(node: Widget) -> bool:
    """Whether the widget has left the app, or the app ends: messages still come then, but other widgets have gone, or
    were never there."""
    return not (node.is_attached and node.app.is_running)


REPORT_AGAIN = 60.0
"""Seconds after which an unexpected error that goes on is reported again."""


class ModeApp(SafeWorkers, OrderedKeys):
    """What the modes know of the app: the state that they share, the ways from one to another, and messages.

    Watch the state with ``self.watch(self.app, "corpus", …)``.
    """

    corpus: var[CorpusChoice | None] = var(None)
    run_path: var[Path | None] = var(None)
    model: var[ModelChoice | None] = var(None)
    runs_state: var[RunsState] = var(RunsState())
    bits: var[bool] = var(False)
    pane_shares: var[dict[str, float]] = var({})
    """The share of the space that each pane has which was resized, see :class:`~charlstm_tui.widgets.split.Split`."""

    def __init__(self, start_options: StartOptions | None = None) -> None:
        super().__init__()
        self.start_options = start_options or StartOptions()
        self.config, problems = load_config(self.start_options.config)
        self.config_problems: tuple[str, ...] = problems
        """A sentence for each entry of the configuration that is wrong."""
        self.remembered: AppState = load_state()
        self.pane_shares = self.remembered.pane_shares
        self.start_folder = self._start_folder()
        self._jobs = JobQueue()  # which write what is remembered: a disk may take its time
        self.bits = self.config.loss_unit == "bits"
        self.exiting = False
        """Whether the app is about to exit."""
        self.farewell = ""
        """What to print after it has exited."""
        self.not_saved = ""
        """Why a session of Generate is not saved, as long as it is not."""
        self.unfinished: list[Callable[[], str]] = []
        """What is to be called before the process ends, one after the other, each of which gives a sentence to print:
        it saves what is not saved, which may take longer than an exit may take."""
        self.play_again = False
        """Whether :meth:`play` was called and Generate has not answered yet."""
        self.session_to_open: Path | None = None
        """A saved session that Generate is to continue when it is shown next."""
        self.curves_to_show: tuple[Path, ...] = ()
        """The runs whose curves Runs is to show when it is entered next."""
        self.watcher = Watcher(self._post_runs_changed, self.start_options.runs_dir)
        self.run_renamed: Signal[tuple[Path, Path]] = Signal(self, "run_renamed")
        """Published with the old and the new folder of a run that was renamed here."""
        self.last_search = Search()
        """What was looked for last."""
        self._shown_errors: set[str] = set()
        self._shown_until: dict[tuple[str, str, str], float] = {}  # when each message goes
        self._reported: dict[str, float] = {}
        self._newly_watched: Path | None = None  # what Generate plays when one goes there without a choice

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
            self._jobs.add(partial(save_state, changes), "writing what the app remembers")

    def first_folder(self) -> Path:
        """The folder whose texts Corpus lists first: where it was left, if the app was started in the same one then."""
        remembered = Path(self.remembered.folder)
        again = self.remembered.folder and self.remembered.folder_from == str(self.start_folder)
        return remembered if again and os.path.isdir(remembered) else self.start_folder

    def remember_folder(self, folder: Path) -> None:
        """Corpus lists this folder now."""
        self.remember(folder=str(folder), folder_from=str(self.start_folder))

    def theme_chosen(self, theme: Theme) -> None:
        """Use this theme at the next start too."""
        self.remember(theme=theme.name)
        if self.config.theme not in ("", theme.name):
            self.notify_info(f"The next start has the theme of the configuration again, {self.config.theme}.")

    def use_pane_shares(self, shares: dict[str, float]) -> None:
        """Give the panes of all modes these shares of the space, and the others their usual ones."""
        self.pane_shares = shares
        self.remember(pane_shares=shares)

    def on_split_moved(self, event: Split.Moved) -> None:
        others = {name: share for name, share in self.pane_shares.items() if name != event.name}
        self.use_pane_shares(others if event.share is None else {**others, event.name: event.share})

    def finish_remembering(self) -> None:
        """Wait a moment for the disk, before the process ends."""
        self._jobs.wait(SAVE_WITHIN)

    # ---- from mode to mode
    def go(self, mode: str) -> None:
        """Show a mode. Generate plays the run that was turned to last, unless that ended without a model."""
        path = self._newly_watched
        if mode == "generate" and path is not None and (choice := playable(Run(path))) is not None:
            self.model, self._newly_watched = choice, None
        self.switch_mode(mode)

    do_go = go

    def do_in_mode(self, action: Action) -> None:
        """Go to the mode of an action and carry it out there, if it has something to act on."""
        self.go(action.mode or "")
        screen = self.mode_screen
        if screen is not None:
            screen.call_after_refresh(screen.do_if_possible, action)

    def use_corpus(self, choice: CorpusChoice) -> None:
        """Train is to use this text: remember it and go there."""
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

    def renamed(self, old: Path, new: Path) -> None:
        """The run in the folder ``old`` is in ``new`` now. What Train shows and Generate plays stays the same."""
        if self._newly_watched == old:
            self._newly_watched = new
        if self.model is not None:
            self.model = self.model.after_rename(old, new)
        if self.session_to_open is not None:
            self.session_to_open = path_after_rename(self.session_to_open, old, new)
        self.run_renamed.publish((old, new))
        if self.run_path == old:
            self.run_path = new
            self.watcher.attach(new)

    def play(self, model: str, step: int | None = None) -> None:
        """Play a model: a run's folder or name, a file, or ``demo``; ``step`` picks a snapshot of a run. Generate waits
        for a run that trains until it has learnt something."""
        self.model, self._newly_watched = ModelChoice(model, step), None
        self.play_again = True
        self._go_to_generate()

    def add_farewell(self, sentence: str) -> None:
        """Print something more after the app has exited."""
        # after other signals there may be no terminal to print to
        if self.return_code in (None, ExitCode.DONE, ExitCode.INTERRUPTED):
            self.farewell = visible(" ".join(filter(None, (self.farewell, sentence))), keep="")

    def open_session(self, path: Path) -> None:
        """Continue a saved session."""
        self.session_to_open = path
        self._go_to_generate()

    def show_curves(self, runs: tuple[Path, ...]) -> None:
        """Show the curves of these runs on one chart, in Runs."""
        self.curves_to_show = runs
        self.go("runs")

    def _go_to_generate(self) -> None:
        """Go to Generate, which sees what it is to play when it is entered, also if it is on screen already."""
        here = self.mode_screen
        self.go("generate")
        if here is not None and here.MODE == "generate":
            here.entered()

    # ---- the runs
    def _post_runs_changed(self) -> None:
        """Called by the watcher's thread when it has a newer state of the runs."""
        self.post_message(RunsChanged())

    def on_runs_changed(self) -> None:
        if self.is_running:  # not while the app ends, when its screens are gone one after another
            self.runs_state = self.watcher.latest()

    def watch_runs_state(self, before: RunsState, state: RunsState) -> None:
        if state.failure not in ("", before.failure):
            self.show_error(state.failure)

    @property
    def mode_screen(self) -> ModeScreen | None:
        """The mode under any dialogs."""
        return next((screen for screen in self.screen_stack if isinstance(screen, ModeScreen)), None)

    # ---- files
    def save_file(self, title: str, name: str, formats: Sequence[Format], write: Callable[[Path], object]) -> None:
        """Ask where to save something and as what, and call ``write`` with the path, off the screen's thread. Does
        nothing while another such question is open."""
        if any(isinstance(screen, SaveDialog) for screen in self.screen_stack):
            return

        async def save(path: Path) -> None:
            try:
                await in_thread(lambda check: write(path))
            except CharLSTMError as error:
                self.show_error(f"{error}.")
            except OSError as error:
                self.show_error(f"{home(path)} cannot be written: {error.strerror or error}.")
            else:
                self.notify_info(f"Saved {home(path)}.")

        def named(path: Path | None) -> None:
            if path is not None:
                self.run_worker(save(path))

        self.push_screen(SaveDialog(title, name, formats), named)

    # ---- finding in a text
    async def do_find(self, *, replace: bool = False) -> None:
        """Open the bar that finds in the text in focus, else in the first text of the screen; with ``replace`` also the
        line for what replaces it there."""
        screen = self.screen
        for bar in screen.query(FindBar):
            if replace:
                bar.action_other_field()
            else:
                bar.action_step(1)
            return
        target = _find_target(screen)
        if target is None:
            self.notify_info("There is no text here to find something in.")
        elif isinstance(screen, ModeScreen):
            bar = FindBar(target, self.last_search, replace=replace)
            await screen.mount(bar, before=screen.query_one(KeyBar))

    def on_find_bar_closed(self, event: FindBar.Closed) -> None:
        self.last_search = event.search

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

    def report_error(self, error: Exception, doing: str = "") -> None:
        """Log an exception that was not expected, and show it in one sentence. ``doing`` is what failed.

        The same sentence is logged and shown once a minute: what draws the screen may fail several times a second.
        """
        if self.exiting:
            return
        words, now = sentence(error, doing), time.monotonic()
        if now - self._reported.get(words, -math.inf) < REPORT_AGAIN:
            return
        self._reported[words] = now
        LOG.error("%s", doing or "an unexpected error", exc_info=error)
        self.show_error(words)

    def on_job_failed(self, event: JobFailed) -> None:
        self.show_error(sentence(event.error))

    def notify_error_once(self, sentence: str) -> None:
        """Show an error at most once until the app ends."""
        if sentence not in self._shown_errors:
            self._shown_errors.add(sentence)
            self.notify_error(sentence)


def _find_target(screen: Screen[Any]) -> FindTarget | None:
    focused = screen.focused
    if focused is not None:
        for node in focused.ancestors_with_self:
            if isinstance(node, FindTarget):
                return node
    for target in screen.walk_children(FindTarget):
        if all(node.display for node in target.ancestors_with_self if isinstance(node, Widget)):
            return target
    return None


class View(SafeWorkers, Widget):
    """What a mode shows at one time, with what its keys do meanwhile. A mode has one view or several.

    The screen asks the view that is shown which actions act (:attr:`scopes_key`, :meth:`can`), what the key bar says
    (:meth:`labels`) and what Esc leaves in it (:meth:`handle_escape`), and carries actions out by its methods ``do_*``.
    These may be coroutines; they run on the message loop and must not block: ``await in_thread(...)`` or ``await
    run_command(...)`` of ``charlstm_tui.background`` inside ``self.run_worker(...)`` for anything that takes longer
    than a few milliseconds. An unexpected exception in an action or a worker is logged and shown.

    The state that the modes share comes by the reactive attributes ``runs_state``, ``run_path`` and ``bits``, which the
    screen sets while the view is shown: watch them. After another change of what :attr:`scopes_key`,
    :meth:`can`, :meth:`labels` or :attr:`escape_label` say, post :class:`Changed`. These must not change anything.
    """

    DEFAULT_CSS = "View { height: 1fr; }"
    MAIN_PANE: ClassVar[str] = ""
    """What has the focus when the view is shown, as a CSS selector."""

    back_to = ""
    """The id of the view that Esc goes to; empty for none."""

    charlstm = getters.app(ModeApp)
    """The app, by its own type."""

    runs_state: var[RunsState] = var(RunsState(), init=False)
    """The newest state of the runs."""
    run_path: var[Path | None] = var(None, init=False)
    """The run that Train shows."""
    bits: var[bool] = var(False, init=False)
    """Whether losses are shown in bits; else in nats."""

    class Changed(Message):
        """Other actions are possible, or their labels are others."""

    class Said(Message):
        """A sentence for the line above the key bar, for some seconds; an ``error`` and what ``stays`` until the next
        key. An empty sentence removes what is said there, or with ``only`` that sentence if it still is.
        """

        def __init__(self, sentence: str, error: bool = False, stays: bool = False, only: str = "") -> None:
            super().__init__()
            self.sentence, self.error, self.stays, self.only = sentence, error, stays, only

    @property
    def name_shown(self) -> str:
        """The name of the view in titles; empty for that of its mode."""
        return ""

    @property
    def takes_letters(self) -> bool:
        """Whether letters are typed into the view, although no text field has the focus."""
        return False

    @property
    def editing_keys(self) -> Sequence[tuple[str, str]]:
        """The keys of a text editor that act now, which are not actions, with what they do: for the help."""
        return ()

    @property
    def scopes_key(self) -> str:
        """Which of :data:`~charlstm_tui.actions.SCOPES` are active now: by default those with the id of the view."""
        return self.id or ""

    def scopes(self) -> tuple[str, ...]:
        """The scopes of the action table that are active while no text field has the focus."""
        return SCOPES[self.scopes_key]

    def can(self, action: Action) -> bool:
        """Whether an action of these scopes has something to act on now."""
        return True

    def labels(self) -> dict[str, str]:
        """Labels of the key bar that differ from the table's now, by action id."""
        return {}

    @property
    def escape_label(self) -> str:
        """What Esc does as long as it does not leave the view, in words; empty for nothing."""
        return ""

    def handle_escape(self) -> bool:
        """Esc: leave what is open in the view; whether there was anything."""
        return False

    def parts(self) -> tuple[object, ...]:
        """What carries out the actions by methods ``do_*``: the view, and parts of it that have some of their own."""
        return (self,)

    def begin_action(self, action: Action) -> None:
        """An action is about to be carried out."""

    def leave(self) -> None:
        """Another view is shown from now on."""

    def copyable(self) -> Copyable | None:
        """What is copied while nothing is selected; ``None`` for nothing."""
        return None

    @property
    def opens(self) -> bool:
        """Whether something is being opened here that is not there yet: a key that nothing acts on now waits for it."""
        return False

    def focus_main(self) -> None:
        """Give the focus to the main pane."""
        for pane in self.query(self.MAIN_PANE) if self.MAIN_PANE else ():
            pane.focus()

    def say(self, sentence: str, error: bool = False, *, stays: bool = False) -> None:
        """Say something in the place that the mode has for it."""
        self.post_message(self.Said(sentence, error, stays))

    def unsay(self, sentence: str) -> None:
        """Remove a sentence, if nothing else was said since."""
        self.post_message(self.Said("", only=sentence))


class ModeScreen(SafeWorkers, TakesKeys, SteadyScreen, Screen[None]):
    """One of the four modes.

    How a mode plugs in::

        class RunsScreen(ModeScreen):
            MODE = "runs"                                   # a mode of actions.MODES
            CSS_PATH = "screen.tcss"                        # beside the module; app.tcss has the common classes
            BINDINGS = bindings("runs")                     # from charlstm_tui.actions

            def __init__(self) -> None:
                super().__init__()
                self.use_views(TableView(details, id="runs-list"))

            async def do_overlay(self) -> None:
                self.views.setdefault("runs-overlay", OverlayPane(details, id="runs-overlay"))
                await self.open_view("runs-overlay")        # Esc leaves it

    The first view is shown at first. Actions are carried out by the view that is shown or, if it has no method
    ``do_*`` for one, by the screen, which has those that lead from view to view.

    The classes ``-narrow`` (under 72 columns), ``-normal`` and ``-wide`` (from 140), ``-short`` (under 22 rows),
    ``-medium`` and ``-tall`` (from 40) stand on the screen, for its CSS.

    The shared state is the app's: ``self.charlstm.corpus``, ``.run_path``, ``.model``, ``.runs_state`` and ``.bits``,
    and the ways from mode to mode are its ``use_corpus``, ``attach``, ``play`` and ``go``. Runs, run and unit are
    reactive attributes here and in the view that is shown, brought up to date while the mode is on screen; the key bar
    is too.
    """

    charlstm = getters.app(ModeApp)
    """The app, by its own type."""

    MODE: ClassVar[str] = ""
    AUTO_FOCUS = ""
    ALLOW_IN_MAXIMIZED_VIEW = "KeyBar, FindBar"  # the key bar says the way back
    ESCAPE_TO_MINIMIZE = False  # go_back does it, after the bar that finds has left
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-normal"), (140, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (22, "-medium"), (40, "-tall")]  # noqa: RUF012

    runs_state: var[RunsState] = var(RunsState(), init=False)
    """The newest state of the runs, while this mode is on screen; else the one when it was left."""
    run_path: var[Path | None] = var(None, init=False)
    bits: var[bool] = var(False, init=False)

    _behind_dialog = False

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[str, View] = {}
        """The views by their id, those too that were not shown yet."""
        self.switcher = ContentSwitcher(id="views")
        self._message_line = MessageLine()

    def use_views(self, *views: View, later: Sequence[View] = ()) -> None:
        """Have these views, of which the first is shown at first. Those that come ``later`` are mounted when they are
        first shown. Call it once, before the screen is composed."""
        self.views = {view.id or "": view for view in (*views, *later)}
        self.switcher = ContentSwitcher(*views, initial=views[0].id, id="views")

    @property
    def view(self) -> View:
        """The view that is shown. While the screen is being mounted, the switcher may not know it yet."""
        return self.views.get(self.switcher.current or "", next(iter(self.views.values())))

    def show_view(self, name: str) -> None:
        """Show the view with this id, which is mounted."""
        before = self.view
        if before.id != name:
            before.leave()
            self.switcher.current = name
        self._bring_up_to_date()
        self.refresh_bindings()

    async def open_view(self, name: str, back_to: str = "") -> None:
        """Show the view with this id, which may not be mounted yet, and give its main pane the focus. Esc goes from
        there to the view ``back_to``, by default to the first one.

        Views are mounted when they are first shown, where all of them at once would make the opening of the mode
        slower.
        """
        if not self.views[name].is_attached:
            await self.switcher.add_content(self.views[name])
        self.views[name].back_to = back_to or next(iter(self.views))
        self.show_view(name)
        self.focus_main()

    def leave_view(self) -> bool:
        """Show the view that Esc goes to; whether there is one."""
        if not self.view.back_to:
            return False
        self.show_view(self.view.back_to)
        self.focus_main()
        return True

    @property
    def detached(self) -> bool:
        """Whether the screen has left the app, or the app ends; then there is nothing to bring up to date."""
        return is_detached(self)

    def compose(self) -> ComposeResult:
        yield TopBar(self.MODE).data_bind(ModeScreen.runs_state)
        with Vertical(id="body"):
            yield from self.compose_body()
        yield self._message_line
        yield from self.compose_foot()
        yield KeyBar(self.available, self.footer_labels)

    # ---- what a mode fills in
    def compose_body(self) -> ComposeResult:
        """What stands between top bar and key bar: the views, and what all of them have around them."""
        yield self.switcher

    def compose_foot(self) -> ComposeResult:
        """What stands below them, also while one pane is shown alone if ``ALLOW_IN_MAXIMIZED_VIEW`` names it."""
        yield from ()

    @property
    def name_shown(self) -> str:
        """What is on screen: the name of the view, or of the mode."""
        return self.view.name_shown or dict(MODES)[self.MODE]

    def can(self, action: Action) -> bool:
        """Whether an action of an active scope has something to act on now."""
        if action.mode != self.MODE:
            return True
        return self._target(action) is not None and self.view.can(action)

    def _target(self, action: Action) -> object | None:
        """What carries out an action: a part of the view or else this screen, or the app for its own actions."""
        targets = (*self.view.parts(), self) if action.mode == self.MODE else (self.app,)
        return next((each for each in targets if hasattr(each, f"do_{action.handler}")), None)

    def handle_escape(self) -> bool:
        """Esc, when there was neither input nor zoom to leave: leave what is open in the view, else the view. True when
        something was left."""
        return self.view.handle_escape() or self.leave_view()

    def copyable(self) -> Copyable | None:
        """What is copied while nothing is selected; ``None`` for nothing."""
        return self.view.copyable()

    def entered(self) -> None:
        """The mode came on screen."""

    def dialog_closed(self) -> None:
        """A dialog above the mode was closed."""
        self.entered()

    def show_error(self, sentence: str) -> None:
        """Say what went wrong."""
        self.show_message(sentence, error=True)

    @on(View.Said)
    def _view_said(self, event: View.Said) -> None:
        event.stop()
        if self.is_mounted and not self.detached and event.only in ("", self.message):
            self.show_message(event.sentence, event.error, event.stays)

    @property
    def message(self) -> str:
        """What is said there now."""
        return self._message_line.sentence

    def show_message(self, sentence: str, error: bool = False, stays: bool = False) -> None:
        """Say what a view says; see :class:`View.Said`."""
        self._message_line.show(sentence, error=error, stays=error or stays)

    def key_pressed(self, key: str) -> None:
        """A key came: what was said of the last one goes. Where that was an error, Esc does nothing else."""
        if not (self._message_line.is_error and key in BY_ID["app.back"].keys):
            self._message_line.clear()

    @on(View.Changed)
    def _view_changed(self) -> None:
        if self.is_mounted and not self.detached:
            self.view_changed()

    def view_changed(self) -> None:
        """What the view says of its keys may have changed."""
        self.refresh_bindings()

    # ---- the state of the app
    def refresh_state(self) -> None:
        """Show the newest state of the runs, if this mode is on screen. Happens by itself when the state changes."""
        if not self.is_mounted or self.detached or self.charlstm.mode_screen is not self:
            return
        with self.app.batch_update():
            try:
                self.bits, self.run_path = self.charlstm.bits, self.charlstm.run_path
                self.runs_state = self.charlstm.runs_state
                self._bring_up_to_date()
            except Exception as error:
                self.charlstm.report_error(error, "showing the runs")
        self.refresh_bindings()

    def _bring_up_to_date(self) -> None:
        """Give the view that is shown the state of the screen."""
        view = self.view
        view.bits, view.run_path, view.runs_state = self.bits, self.run_path, self.runs_state

    # ---- the action table
    def in_input(self) -> bool:
        """Whether keys go into a text field now, so that letters are letters."""
        return self.view.takes_letters or isinstance(self.focused, Input | TextArea)

    def all_scopes(self) -> tuple[str, ...]:
        """Every scope that is active now, the app's own among them."""
        outside = (DIGITS, OUTSIDE) if self.in_input() else ()
        return tuple(scope for scope in self.view.scopes() if scope not in outside)

    def available(self) -> tuple[Action, ...]:
        """All actions that would act now, in the table's order. In an input only those that no letter sets off."""
        return self._acting(self.all_scopes(), self.in_input()) if self.ready else ()

    def palette_actions(self) -> tuple[Action, ...]:
        """All actions that the palette offers: also those that would act if no text field had the focus."""
        if not self.ready:
            return ()
        return self._acting((*COMMON, *self.view.scopes()), typing=False)

    @property
    def ready(self) -> bool:
        """Whether keys can do something: the screen has all of its parts, and the app is not about to exit."""
        return self.is_mounted and not self.charlstm.exiting and not self.detached and self.view.is_mounted

    @property
    def opens(self) -> bool:
        """See :attr:`View.opens`."""
        return self.view.opens

    def keys_wait(self, event: Key | Paste) -> bool:
        if self.charlstm.exiting or self.detached or (self.ready and not self.opens):
            return False
        return isinstance(event, Paste) or not any(event.key in action.keys for action in self.available())

    def _acting(self, scopes: tuple[str, ...], typing: bool) -> tuple[Action, ...]:
        return tuple(action for action in active(scopes) if (not typing or action.acts_in_inputs) and self.can(action))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action != "do" or not parameters:
            return True
        asked = BY_ID.get(str(parameters[0]))
        if asked is None or not self.ready or not set(asked.scopes).intersection(self.all_scopes()):
            return False
        return (asked.acts_in_inputs or not self.in_input()) and self.can(asked)

    def handler(self, action: Action) -> Callable[..., object]:
        """The method that carries out an action."""
        method: Callable[..., object] = getattr(self._target(action), f"do_{action.handler}")
        return method

    async def action_do(self, name: str) -> None:
        """Carry out the action of the table with this id."""
        action = BY_ID[name]
        LOG.info("action %s", name)
        try:
            self.view.begin_action(action)
            outcome = self.handler(action)(*action.args)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as error:  # Textual would end the app
            self.charlstm.report_error(error, action.label)

    async def do_if_possible(self, action: Action) -> None:
        """Carry out an action, or say that it has nothing to act on."""
        if action in self.palette_actions():
            await self.action_do(action.id)
        else:
            self.charlstm.notify_info(f"There is nothing for “{action.label}” to act on now.")

    def footer_labels(self) -> dict[str, str]:
        """Labels of the key bar that differ from the table's now, by action id."""
        labels = self.view.labels()
        return {**labels, "app.zoom": "back"} if self.maximized is not None else labels

    def focus_main(self) -> None:
        """Give the focus to the main pane of the view."""
        self.view.focus_main()

    def zoom(self) -> None:
        """Give the body to the pane in focus, or give it back."""
        if self.maximized is not None:
            self.minimize()
        elif isinstance(self.focused, Widget):
            self.maximize(self.focused, container=False)

    def go_back(self) -> bool:
        """Esc: leave an error, the zoom or the input, else :meth:`handle_escape`; whether there was any of them."""
        if self._message_line.is_error:
            self._message_line.clear()
            return True
        if self.maximized is not None:
            self.minimize()
            return True
        if self.in_input():
            if not self.handle_escape():
                self.focus_main()
            return True
        return self.handle_escape()

    @on(TopBar.ModeChosen)
    def _mode_chosen(self, event: TopBar.ModeChosen) -> None:
        if not self.charlstm.exiting:
            self.charlstm.go(event.mode)  # not by the action of a digit, which in an input is a letter

    def on_mount(self) -> None:
        for state in ("runs_state", "run_path", "bits"):
            self.watch(self.charlstm, state, self.refresh_state, init=False)
        self.watch(self, "focused", self._focus_moved, init=False)
        self.watch(self, "maximized", self.refresh_bindings, init=False)

    def _focus_moved(self) -> None:
        """A pane that fills the screen gives way to another that gets the keys, and so does the bar that finds."""
        shown, focused = self.maximized, self.focused
        for bar in self.query(FindBar):
            if focused is not None and bar not in focused.ancestors_with_self:
                bar.close()
            return
        if shown is not None and focused is not None and shown not in focused.ancestors_with_self:
            self.minimize()

    def on_screen_suspend(self) -> None:
        self._behind_dialog = self in self.app.screen_stack

    def on_screen_resume(self) -> None:
        if self.detached:
            return
        if self.focused is None:
            self.focus_main()
        if self._behind_dialog:
            self.dialog_closed()
        else:
            self.entered()
        self.refresh_state()
