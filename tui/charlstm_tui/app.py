"""The app: the four modes, the first screen, and the exit.

The modes know ``mode_app``; ``actions`` has the keys, ``run_watcher`` the state of the runs.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.color import Color
from textual.command import CommandPalette
from textual.events import Event, Key, MouseDown, Paste
from textual.screen import Screen
from textual.widgets import Input, TextArea

from charlstm import paths, user_files
from charlstm.display import plural
from charlstm.errors import CharLSTMError
from charlstm.runs.control import send_command
from charlstm.runs.folder import RunFolder
from charlstm_tui.actions import ANYWHERE, BY_ID, DIGITS, MODES, OUTSIDE, PANES, bindings, key_of, use_keys
from charlstm_tui.app_state import own_files
from charlstm_tui.background import in_thread
from charlstm_tui.choices import StartOptions
from charlstm_tui.clipboard import copy_on_mac
from charlstm_tui.dialogs import Choice, ChoiceDialog, Dialog, ask
from charlstm_tui.errors_dialog import ErrorsDialog
from charlstm_tui.help import HelpScreen
from charlstm_tui.keymap import checked_keys, textual_keymap
from charlstm_tui.mode_app import ModeApp
from charlstm_tui.mode_screen import ModeScreen
from charlstm_tui.palette import Actions, ThemePalette
from charlstm_tui.pastes import without_controls
from charlstm_tui.process import SAVE_WITHIN, search_garbage_rarely, switch_threads_quickly
from charlstm_tui.run_watcher import RunView
from charlstm_tui.save_dialog import Format
from charlstm_tui.terminal import exit_on_signals
from charlstm_tui.theme import DARK, LIGHT, legible_colours, luminance, own_variables, themes_for
from charlstm_tui.widgets.textual_repairs import SteadyPalette, SteadyTimers, is_on_what_goes

PROBLEMS_SHOWN = 3
"""Wrong entries of the configuration that are shown at the start."""
LIGHT_FROM = 0.18
"""The luminance from which on black is easier to read on a background than white (WCAG 2.2)."""


def _screen(mode: str) -> Screen[None]:
    module = importlib.import_module(f"charlstm_tui.{mode}.screen")
    screen: Screen[None] = getattr(module, f"{mode.capitalize()}Screen")()
    return screen


class CharLSTMApp(SteadyTimers, ModeApp):
    """The charlstm app."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False  # it has two keys in the action table
    TITLE = "charlstm"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {mode: partial(_screen, mode) for mode, _ in MODES}
    BINDINGS = bindings(ANYWHERE, PANES, DIGITS, OUTSIDE)

    def __init__(self, start_options: StartOptions | None = None) -> None:
        super().__init__(start_options)
        self._quitting: Dialog | None = None
        for theme in themes_for(self.console.color_system):
            self.register_theme(theme)
        self.theme = self._first_theme()
        keys = checked_keys(self.config.keys, partial(self.add_config_problem, "keys"))
        use_keys(keys)
        self.set_keymap(textual_keymap(keys))

    # ---- colours
    def _first_theme(self) -> str:
        """The theme of the configuration, else the one that was chosen last, else a dark one."""
        wanted, remembered = self.config.theme, self.remembered.theme
        if wanted and wanted not in self.available_themes:
            near = difflib.get_close_matches(wanted, self.available_themes, n=1)
            self.add_config_problem(
                "", "theme", f"There is no theme {wanted!r}{f': did you mean {near[0]}?' if near else ''}"
            )
        return next((each for each in (wanted, remembered) if each in self.available_themes), self._own_themes[0])

    @property
    def _own_themes(self) -> tuple[str, str]:
        """A dark theme and a light one to start in. Of 16 colours the terminal's own palette makes the best."""
        few = self.console.color_system in ("standard", "windows")
        return ("ansi-dark", "ansi-light") if few else (DARK.name, LIGHT.name)

    def suit_background(self, rgb: tuple[int, int, int]) -> None:
        """Start in a light theme if the background of the terminal (0 to 255) is light."""
        if luminance(Color(*rgb)) > LIGHT_FROM:
            self.theme = self._own_themes[1]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return own_variables(self.current_theme)

    def get_css_variables(self) -> dict[str, str]:
        variables = super().get_css_variables()
        self.theme_variables = {**variables, **legible_colours(self.current_theme, variables)}
        return self.theme_variables

    # ---- in
    def on_mount(self) -> None:
        exit_on_signals(self._exit_on_signal, lambda: [finish() for finish in list(self.unfinished)])
        switch_threads_quickly()
        search_garbage_rarely()
        self.watcher.read()
        self.runs_state = self.watcher.latest()
        self._open()
        self.call_after_refresh(self._show_config_problems)
        self.watcher.start()

    def _open(self) -> None:
        asked, runs = self.start_options, self.runs_state.runs
        if asked.session is not None:
            self.open_session(asked.session)
        elif asked.text is not None:
            self.go("corpus")
        elif asked.model is not None:
            self.play(asked.model)
        elif asked.run is not None:
            named = next((run for run in runs if run.name == asked.run or str(run.path) == asked.run), None)
            if named is None:
                self.go("runs")
                missing = f"There is no run called {asked.run}; these are the runs that there are."
                self.call_later(self.show_error, missing)
            else:
                self.attach(named.path)
        elif self.runs_state.live:
            self.attach(self.runs_state.live[0].path)
        else:
            self._open_last()

    def _open_last(self) -> None:
        """Open what was worked on last, a text or a run, and without any the texts to choose from."""
        used = {run.path: max(run.created, run.status.updated) for run in self.runs_state.runs if not run.problem}
        last = max(used, key=lambda path: used[path], default=None)
        text = self._last_text(0.0 if last is None else used[last])
        if text is not None:
            self.open_session(text)
        elif last is not None:
            self.attach(last)
        else:
            self.go("corpus")

    def _last_text(self, since: float) -> Path | None:
        """The session that was worked on last, if that was after ``since`` (Unix seconds)."""
        folders = [*(paths.state_dir(make=False) / "sessions").glob("*")]
        folders += [run.run.sessions_dir for run in self.runs_state.runs]
        with contextlib.suppress(OSError):
            files = itertools.chain(own_files(), *(folder.glob("*.json") for folder in folders))
            if any(path.stat().st_mtime > since for path in files if path.exists()):
                from charlstm_tui.player.saved_sessions import left_off  # 0.2 s, which Generate takes anyway

                session = left_off(self.start_options.runs_dir, since)
                return None if session is None else session.path
        return None

    def _show_config_problems(self) -> None:
        problems = self.config_problems
        for problem in problems[:PROBLEMS_SHOWN]:
            self.notify_error(problem if problem.endswith((".", "?")) else f"{problem}.")
        if len(problems) > PROBLEMS_SHOWN:
            self.notify_error(
                f"{len(problems)} entries of the configuration are wrong: {key_of('app.errors')} lists them."
            )

    async def on_event(self, event: Event) -> None:
        """Take the control characters out of a paste, and what is said of the last key away with the next."""
        if isinstance(event, Paste) and not event.is_forwarded:
            event.text, left_out = without_controls(event.text)
            if left_out:
                self.notify_info(f"Left {plural(left_out, 'control character')} out of what was pasted.")
        if isinstance(event, Key) and not event.is_forwarded and self.mode_screen is not None:
            self.mode_screen.key_pressed(event.key)
        if isinstance(event, MouseDown) and not event.is_forwarded and is_on_what_goes(self, event):
            return
        await super().on_event(event)

    # ---- actions of the table
    async def action_do(self, name: str) -> None:
        """Carry out one of the app's own actions, as the mode does its own unless a dialog covers it."""
        if isinstance(self.screen, ModeScreen):
            await self.screen.action_do(name)
        else:
            await self.carry_out(BY_ID[name], getattr(self, f"do_{BY_ID[name].handler}"))

    def exit(self, result: None = None, return_code: int = 0, message: object = None) -> None:
        """Leave; keys that come after do nothing any more."""
        self.bring_up_to_date()
        self.exiting = True
        super().exit(result, return_code, message)  # type: ignore[arg-type]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if self.exiting:
            return False
        screen = self.mode_screen
        return True if action != "do" or screen is None else screen.check_action(action, parameters)

    def do_help(self) -> None:
        """Open the help, or close it."""
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
        elif isinstance(self.screen, ModeScreen):
            self.push_screen(HelpScreen(self.screen.name_shown, self.screen.available(), self.screen.view.editing_keys))

    def do_palette(self) -> None:
        """Open the palette, or close it."""
        if isinstance(self.screen, CommandPalette):
            self.screen.dismiss()
        elif isinstance(self.screen, ModeScreen):
            self.push_screen(SteadyPalette([Actions], placeholder="What would you like to do?"))

    def search_themes(self) -> None:
        self.push_screen(ThemePalette())

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Those of Textual that no action of ours stands for."""
        ours = {"Quit", "Keys", "Minimize", "Maximize", "Screenshot"}
        return (command for command in super().get_system_commands(screen) if command.title not in ours)

    def do_errors(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.push_screen(ErrorsDialog(self.config_problems))

    def do_screenshot(self) -> None:
        """Save what is on the screen now, before the dialog covers it."""
        write = partial(_write, self.export_screenshot(title=self.TITLE))
        name = f"charlstm-{time.strftime('%Y%m%d-%H%M%S')}.svg"
        self.save_file("Save a picture of the screen", name, [Format(".svg", "a drawing, for browsers")], write)

    def do_back(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.screen.go_back()

    def do_zoom(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.screen.zoom()

    async def do_find(self) -> None:
        if isinstance(self.screen, ModeScreen):
            await self.screen.find_in_text()

    def do_units(self) -> None:
        self.bits = not self.bits

    def do_next_pane(self) -> None:
        self.screen.focus_next()

    def do_previous_pane(self) -> None:
        self.screen.focus_previous()

    def copy_to_clipboard(self, text: str) -> None:
        super().copy_to_clipboard(text)
        copy_on_mac(text)

    def do_copy(self) -> None:
        """Copy the selection; without one, all of the text that is shown."""
        focused, screen = self.focused, self.screen
        text = focused.selected_text if isinstance(focused, Input | TextArea) else screen.get_selected_text()
        if text:
            self.copy_to_clipboard(text)
            self.notify_info(f"Copied the selection, {plural(len(text), 'character')}.")
            return
        copyable = screen.copyable() if isinstance(screen, ModeScreen | Dialog) else None
        quits = f"{key_of('app.quit')} quits."
        if copyable is None or not copyable.text or isinstance(focused, Input):
            self.notify_info(f"Nothing is selected to copy. {quits}")
        else:
            self.copy_to_clipboard(copyable.text)
            self.notify_info(f"Copied {copyable.name}, {plural(len(copyable.text), 'character')}. {quits}")

    def do_quit(self) -> None:
        if self._quitting is not None and self.screen is self._quitting:
            return
        if not self.not_saved:
            self._quit_unless_training()
            return
        self._quitting = ChoiceDialog(
            "Quit although a session is not saved?",
            f"{self.not_saved} At the end a copy is put into the app's own folder, if that is possible.",
            [Choice("l", "leave without it", "leave"), Choice("c", "stay", None)],
            cursor=1,
        )
        ask(self, self._quitting, lambda answer: self._quit_unless_training())

    def _quit_unless_training(self) -> None:
        live = self.runs_state.live
        if not live:
            self.exit()
            return
        it, its_process = ("it", "Its process does") if len(live) == 1 else ("them", "Their processes do")
        is_paused = all(run.status.state == "paused" for run in live)
        self._quitting = ChoiceDialog(
            f"Quit while training {'is paused' if is_paused else 'continues'}?",
            f"{self._still_training(live)} {its_process} not need this screen, and charlstm-tui finds {it} again.",
            [
                Choice("l", f"leave {it} alone, and quit", "leave"),
                Choice("s", f"stop {it} at a checkpoint, and quit", "stop"),
                Choice("c", "stay", None),
            ],
        )
        ask(self, self._quitting, self._quit)

    def _still_training(self, live: Sequence[RunView]) -> str:
        """What becomes of the runs without the app, and of those that are paused; empty without any."""
        paused = [run.name for run in live if run.status.state == "paused"]
        training = [run.name for run in live if run.status.state != "paused"]
        words = [f"{', '.join(training)} {'trains' if len(training) == 1 else 'train'} on."] if training else []
        if paused:
            stay = "is paused and stays" if len(paused) == 1 else "are paused and stay"
            words.append(f"{', '.join(paused)} {stay} so.")
        return " ".join(words)

    def _exit_on_signal(self, code: int) -> None:
        self.exit(return_code=code)
        self.add_farewell(self._still_training(self.runs_state.live))

    def _quit(self, answer: str) -> None:
        live = self.runs_state.live
        sentence = self._still_training(live)
        if answer == "stop" and live:  # else they have ended meanwhile
            for run in live:
                try:
                    send_command(RunFolder(run.path), "stop")
                except CharLSTMError as error:
                    self.show_error(str(error))
                    return
            names = ", ".join(run.name for run in live)
            ends = "it ends" if len(live) == 1 else "each ends"
            sentence = f"Stopping {names}: a checkpoint is on its way, and {ends} when that is saved."
            if self.runs_state.queued:
                sentence += " The next run of the queue begins then."
        self.add_farewell(sentence)
        self.exit()

    # ---- out
    async def on_unmount(self) -> None:
        self.watcher.close()
        await in_thread(lambda check: self.jobs.wait(SAVE_WITHIN))


def _write(content: str, path: Path) -> None:
    user_files.save_text(path, content)
