"""The app: four modes, the state that they share, and the ways in and out.

It draws nothing itself. What the modes have in common is in ``screens.base``, what the keys mean in ``actions``, what
the world looks like in ``backend``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textual.app import App
from textual.errors import NoWidget
from textual.events import Event, MouseDown
from textual.reactive import var
from textual.screen import Screen
from textual.widgets import Input, TextArea

from charlstm.display import visible
from charlstm.runs.folder import Run
from charlstm_tui.actions import ANYWHERE, BY_ID, DIGITS, MODES, OUTSIDE, PANES, bindings
from charlstm_tui.backend import RunsState, Watcher
from charlstm_tui.messages import RunsChanged
from charlstm_tui.screens.base import ModeScreen
from charlstm_tui.terminal import catch_endings
from charlstm_tui.theme import theme_for
from charlstm_tui.widgets.top_bar import TopBar
from charlstm_tui.words import status_words

if TYPE_CHECKING:
    from charlstm.text.reading import TextOptions


@dataclass(frozen=True, slots=True)
class Opening:
    """What the command line asked for."""

    text: str | None = None
    run: str | None = None
    model: str | None = None
    runs_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class CorpusChoice:
    """The text to train on, as chosen in Corpus: what ``open_corpus`` takes, and how the held-out part is cut."""

    source: str
    name: str
    strip_boilerplate: bool = False
    clean: bool = False
    split: Literal["tail", "blocks"] = "tail"
    validation: tuple[str, ...] = ()
    """The sources of a separate text to validate on, as of a run that was started with ``--val-file``."""

    def options(self) -> TextOptions:
        """The same for ``open_corpus``."""
        from charlstm.text.reading import TextOptions

        return TextOptions(strip_boilerplate=self.strip_boilerplate, clean=self.clean)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The model to play: MODEL as on the command line (run folder, file or ``demo``), and the snapshot's step."""

    model: str
    step: int | None = None


def playable(run: Run) -> ModelChoice | None:
    """What to play of a run: its best model; its latest snapshot while there is no other, or while the best is the
    untrained network that it began with."""
    grown = [snapshot.step for snapshot in run.snapshots()]
    best = run.model_path.is_file()
    if grown and (not best or (grown[-1] and run.status().best_step == 0)):
        return ModelChoice(str(run.path), grown[-1])
    return ModelChoice(str(run.path)) if best else None


def _screen(mode: str) -> Callable[[], Screen[None]]:
    def load() -> Screen[None]:
        module = importlib.import_module(f"charlstm_tui.screens.{mode}")
        screen: Screen[None] = getattr(module, f"{mode.capitalize()}Screen")()
        return screen

    return load


class CharLSTMApp(App[None]):
    """The charlstm app."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "charlstm"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {mode: _screen(mode) for mode, _ in MODES}
    BINDINGS = bindings(ANYWHERE, PANES, DIGITS, OUTSIDE)

    #: What the modes share. Watch them with ``self.watch(self.app, "corpus", …)``.
    corpus: var[CorpusChoice | None] = var(None)
    run_path: var[Path | None] = var(None)
    model: var[ModelChoice | None] = var(None)
    runs_state: var[RunsState] = var(RunsState())
    bits: var[bool] = var(False)

    def __init__(self, opening: Opening = Opening()) -> None:
        super().__init__()
        self.opening = opening
        self.farewell = ""
        self.leaving = False
        self.asked_anew = False
        """Whether somebody asked to play a model, and Generate has not answered yet."""
        self._quitting: Screen[Any] | None = None
        self._complaints: set[str] = set()
        self._newly_watched: Path | None = None  # what Generate is to play when one goes there without a choice
        self.watcher = Watcher(self._post_runs_changed, opening.runs_dir)
        theme = theme_for(self.console.color_system)
        self.register_theme(theme)
        self.theme = theme.name

    # ---- in
    def on_mount(self) -> None:
        catch_endings(lambda code: self.exit(return_code=code))
        self.watcher.read()
        self.runs_state = self.watcher.latest()
        self._open()
        self.watcher.start()

    def _open(self) -> None:
        asked, runs = self.opening, self.runs_state.runs
        if asked.text is not None:
            self.go("corpus")
        elif asked.model is not None:
            self.play(asked.model)
        elif asked.run is not None:
            named = next((run for run in runs if run.name == asked.run or str(run.path) == asked.run), None)
            if named is None:
                self.go("runs")
                self.call_later(self._say_missing, asked.run)
            else:
                self.attach(named.path)
        elif self.runs_state.live:
            self.attach(self.runs_state.live[0].path)
        else:
            self.go("runs" if runs else "corpus")

    def _say_missing(self, run: str) -> None:
        from charlstm_tui.screens.runs import RunsScreen

        if isinstance(self.screen, RunsScreen):
            self.screen.note(f"There is no run called {run}; these are the runs that there are.", bad=True)

    # ---- the ways from mode to mode
    def go(self, mode: str) -> None:
        """Show a mode. Generate plays the run that was turned to last, once it has something to play."""
        path = self._newly_watched
        if mode == "generate" and path is not None and (choice := playable(Run(path))) is not None:
            self.model, self._newly_watched = choice, None
        self.switch_mode(mode)

    do_go = go

    def use_corpus(self, choice: CorpusChoice) -> None:
        """Train is to use this text: remember it and go there."""
        self.corpus = choice
        self.run_path = self._newly_watched = None
        self.watcher.attach(None)
        self.go("train")

    def attach(self, path: Path | None, show: bool = True) -> None:
        """Follow this run (its series comes with the state of the runs) and show it in Train."""
        self.run_path = self._newly_watched = path
        self.watcher.attach(path)
        if show:
            self.go("train")

    def play(self, model: str, step: int | None = None) -> None:
        """Play a model: a run's folder or name, a file, or ``demo``; ``step`` picks a snapshot of a run."""
        self.model, self._newly_watched = ModelChoice(model, step), None
        self.asked_anew = True
        here = self.mode_screen
        self.go("generate")
        if here is not None and here.MODE == "generate":
            here.entered()

    async def on_event(self, event: Event) -> None:
        """Pass over a press of the mouse on what is just being taken away, such as a notification whose time is up:
        Textual would look for its parent."""
        if isinstance(event, MouseDown) and not event.is_forwarded:
            with contextlib.suppress(NoWidget):
                widget, _ = self.get_widget_at(event.x, event.y)
                if widget.parent is None:
                    return
        await super().on_event(event)

    # ---- what the watcher reads
    def _post_runs_changed(self) -> None:
        """Called by the watcher's thread when it has a newer state of the runs."""
        self.post_message(RunsChanged())

    def on_runs_changed(self) -> None:
        self.runs_state = self.watcher.latest()
        self.refresh_screen()

    def refresh_screen(self) -> None:
        """Show the newest state of the runs in the mode that is on screen."""
        screen = self.mode_screen
        if screen is None or not screen.is_mounted or screen.leaving:
            return
        with self.batch_update():
            for bar in screen.query(TopBar):
                bar.show_status(*status_words(self.runs_state))
            screen.show_runs_state(self.runs_state)

    @property
    def mode_screen(self) -> ModeScreen | None:
        """The mode under any dialogs."""
        return next((screen for screen in self.screen_stack if isinstance(screen, ModeScreen)), None)

    # ---- words to the user, always literal
    def say(self, sentence: str) -> None:
        """A remark that needs no answer."""
        self.notify(visible(sentence), markup=False, timeout=4)

    def complain(self, sentence: str) -> None:
        """Something went wrong, and there is no pane of its own to say it in."""
        self.notify(visible(sentence), severity="error", markup=False, timeout=8)

    def complain_once(self, sentence: str) -> None:
        """The same of something that is met again and again."""
        if sentence not in self._complaints:
            self._complaints.add(sentence)
            self.complain(sentence)

    # ---- actions of the table
    async def action_do(self, name: str) -> None:
        """Carry out one of the app's own actions."""
        action = BY_ID[name]
        outcome = getattr(self, f"do_{action.handler}")(*action.args)
        if inspect.isawaitable(outcome):
            await outcome

    def exit(self, result: None = None, return_code: int = 0, message: object = None) -> None:
        """Leave; keys that come after do nothing any more."""
        self.leaving = True
        super().exit(result, return_code, message)  # type: ignore[arg-type]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.leaving:
            return False
        if action == "do" and parameters and isinstance(self.screen, ModeScreen):
            return self.screen.check_action(action, parameters)
        return True

    def do_help(self) -> None:
        from charlstm_tui.widgets.help import HelpScreen

        if isinstance(self.screen, ModeScreen):
            self.push_screen(HelpScreen(self.screen.MODE, self.screen.available()))

    def do_palette(self) -> None:
        from charlstm_tui.widgets.palette import Palette

        screen = self.screen
        if not isinstance(screen, ModeScreen):
            return

        async def chosen(name: str | None) -> None:
            if name is not None:
                await screen.action_do(name)

        self.push_screen(Palette(screen.available()), chosen)

    def do_back(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.screen.leave_one()

    def do_zoom(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.screen.zoom()

    def do_units(self) -> None:
        self.bits = not self.bits
        self.refresh_screen()

    def do_next_pane(self) -> None:
        self.screen.focus_next()

    def do_previous_pane(self) -> None:
        self.screen.focus_previous()

    def do_copy(self) -> None:
        focused = self.focused
        text = focused.selected_text if isinstance(focused, Input | TextArea) else self.screen.get_selected_text()
        if text:
            self.copy_to_clipboard(text)
            self.say("Copied.")
        else:
            self.say("Nothing is selected to copy. Ctrl+Q quits.")

    def do_quit(self) -> None:
        from charlstm_tui.widgets.dialogs import Choice, ChoiceDialog

        live = self.runs_state.live
        if not live:
            self.exit()
            return
        if self._quitting is not None and self.screen is self._quitting:
            return
        names = ", ".join(run.name for run in live)
        it, them = ("it", "It goes") if len(live) == 1 else ("them", "They go")
        self._quitting = ChoiceDialog(
            "Quit while training goes on?",
            f"{names} trains in a process of its own. {them} on without this screen, and charlstm-tui finds {it} "
            "again.",
            [
                Choice("l", f"leave {it} running, and quit", "leave"),
                Choice("s", f"stop {it} at a checkpoint, and quit", "stop"),
                Choice("c", "stay", None),
            ],
        )
        self.push_screen(self._quitting, self._quit)

    def _quit(self, answer: str | None) -> None:
        if answer is None:
            return
        live = self.runs_state.live
        if answer == "stop":
            from charlstm.errors import CharLSTMError
            from charlstm.runs.control import send_command

            for run in live:
                try:
                    send_command(Run(run.path), "stop")
                except CharLSTMError as error:
                    self.complain(str(error))
                    return
        names = visible(", ".join(run.name for run in live), keep="")
        self.farewell = f"Stopping {names} at a checkpoint." if answer == "stop" else f"{names} goes on training."
        self.exit()

    # ---- out
    async def on_unmount(self) -> None:
        self.watcher.close()
