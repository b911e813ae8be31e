"""A mode: a screen with top bar, views and key bar, which asks the view that is shown what its keys do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from textual import getters, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key, Paste
from textual.reactive import var
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, TextArea

from charlstm_tui.actions import BY_ID, COMMON, DIGITS, MODES, OUTSIDE, Action, active, keys_in
from charlstm_tui.clipboard import Copyable
from charlstm_tui.mode_app import Mode, ModeApp
from charlstm_tui.ordered_keys import TakesKeys
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.safe_workers import SafeWorkers
from charlstm_tui.view import View, is_detached
from charlstm_tui.widgets.find import FindBar, find_target
from charlstm_tui.widgets.key_bar import KeyBar
from charlstm_tui.widgets.message_line import MessageLine
from charlstm_tui.widgets.textual_repairs import SteadyScreen
from charlstm_tui.widgets.top_bar import TopBar

LISTS_ACTIONS = ("help", "palette")
"""Handlers of the actions that list what acts now, which is not known of a view that still opens."""


class ModeScreen(SafeWorkers, TakesKeys, SteadyScreen, Mode):
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
        """The views by id, with the views not shown yet."""
        self.switcher = ContentSwitcher(id="views")
        self._message_line = MessageLine()

    def use_views(self, *views: View, later: Sequence[View] = ()) -> None:
        """Set the views, of which the first is shown at first; views in ``later`` are mounted when first shown. To be
        called once, before the screen is composed."""
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

    async def do_view(self, name: str) -> None:
        """Show the view with this id."""
        await self.open_view(name)

    def leave_view(self) -> bool:
        """Show the view that Esc goes to; False without such a view."""
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
        """The widgets between top bar and key bar: the views and their common surroundings."""
        yield self.switcher

    def compose_foot(self) -> ComposeResult:
        """What stands below them, also while one pane is shown alone if ``ALLOW_IN_MAXIMIZED_VIEW`` names it."""
        yield from ()

    @property
    def name_shown(self) -> str:
        """What is on screen: the name of the view, or of the mode."""
        return self.view.name_shown or dict(MODES)[self.MODE]

    @property
    def busy(self) -> bool:
        """See :attr:`View.busy`."""
        return self.view.busy

    def has(self) -> dict[str, bool]:
        """See :meth:`View.has`; also what actions of the screen need."""
        return self.view.has()

    def handle_escape(self) -> bool:
        """Esc, when there was neither input nor zoom to leave: leave what is open in the view, else the view. True when
        something was left."""
        return self.view.handle_escape() or self.leave_view()

    def copyable(self) -> Copyable | None:
        """What is copied while nothing is selected; ``None`` for nothing."""
        return self.view.copyable()

    def dialog_closed(self) -> None:
        """A dialog above the mode was closed."""
        self.entered()

    def show_error(self, sentence: str) -> None:
        """Say what went wrong."""
        self.show_message(sentence, error=True)

    @on(View.Said)
    def _view_said(self, event: View.Said) -> None:
        event.stop()
        if self.is_mounted and not self.detached:
            self.show_message(event.sentence, event.error, event.stays)

    @property
    def message(self) -> str:
        """The sentence in the line for messages."""
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

    def available(self) -> tuple[Action, ...]:
        """All actions that would act now, in the table's order. In an input only those that no letter sets off."""
        typing = self.in_input()
        outside = (DIGITS, OUTSIDE) if typing else ()
        return self._acting(tuple(scope for scope in self.view.scopes() if scope not in outside), typing)

    def palette_actions(self) -> tuple[Action, ...]:
        """All actions that the palette offers: also those that would act if no text field had the focus."""
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
        acting = (action for action in self.available() if not (self.busy and action.handler in LISTS_ACTIONS))
        return isinstance(event, Paste) or not any(event.key in action.keys for action in acting)

    def starts_action(self, event: Key | Paste) -> bool:
        return isinstance(event, Key) and event.key in keys_in((*COMMON, *self.view.scopes()), self.in_input())

    def take_key(self, event: Key | Paste, times: int) -> int:
        taken = self.view.take_key(event, times) if isinstance(event, Key) and self.ready else 0
        return taken or super().take_key(event, times)

    def _acting(self, scopes: tuple[str, ...], typing: bool) -> tuple[Action, ...]:
        if not self.ready:
            return ()
        has = {} if self.busy else {"": True, **self.has()}
        return tuple(
            action
            for action in active(scopes)
            if (action.acts_in_inputs or not typing) and (action.mode != self.MODE or has.get(action.needs, False))
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "do" or not parameters or BY_ID.get(str(parameters[0])) in self.available()

    def handler(self, action: Action) -> Callable[..., object]:
        """The method that carries out an action."""
        target = self.app if action.mode is None else self if action.by == "screen" else self.view.part(action.by)
        method: Callable[..., object] = getattr(target, f"do_{action.handler}")
        return method

    async def action_do(self, name: str) -> None:
        """Carry out the action of the table with this id."""
        action = BY_ID[name]
        self.view.begin_action(action)
        await self.charlstm.carry_out(action, self.handler(action))

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

    # ---- finding in a text
    async def find_in_text(self, *, replace: bool = False) -> None:
        """Open the bar that finds in the text in focus, else in the first text of the screen; with ``replace`` also the
        line for what replaces it there."""
        for bar in self.query(FindBar):
            if replace:
                bar.action_other_field()
            else:
                bar.action_step(1)
            return
        target = find_target(self)
        if target is None:
            self.charlstm.notify_info("There is no text here to find something in.")
        else:
            bar = FindBar(target, self.charlstm.last_search, replace=replace)
            await self.mount(bar, before=self.query_one(KeyBar))

    def on_find_bar_closed(self, event: FindBar.Closed) -> None:
        self.charlstm.last_search = event.search

    # ---- focus
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
