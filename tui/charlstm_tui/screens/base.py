"""What the four modes have in common: top bar, body, key bar, and actions that come from the one table."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea

from charlstm_tui.actions import ANYWHERE, BY_ID, DIGITS, OUTSIDE, PANES, Action, active
from charlstm_tui.screens.steady import pass_over_old_sizes
from charlstm_tui.widgets.key_bar import KeyBar
from charlstm_tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from charlstm_tui.app import CharLSTMApp
    from charlstm_tui.backend import RunsState


def leaving(node: Widget) -> bool:
    """Whether the app is on its way out: messages still come then, but some widgets have gone and some never came."""
    return not (node.is_attached and node.app.is_running)


class ModeScreen(Screen[None]):
    """One of the four modes.

    How a mode plugs in::

        class TrainScreen(ModeScreen):
            MODE = "train"                                  # a mode of actions.MODES
            MAIN_PANE = "#chart"                            # has the focus on entering (CSS selector)
            CSS_PATH = "train.tcss"                         # beside the module; app.tcss has the common classes
            BINDINGS = bindings("train")                    # from charlstm_tui.actions

            def compose_body(self) -> ComposeResult:        # what lies between top bar and key bar
                yield LossChart(id="chart")

            def scopes(self) -> tuple[str, ...]:            # which of the table's scopes act now
                return ("train", "train.live" if live else "train.before")

            def show_runs_state(self, state: RunsState) -> None: ...   # 5-10 times a second at most, and on entering
            def do_pause(self) -> None: ...                 # the handler of the action with handler="pause"
            def can(self, action) -> bool: ...              # optional: False switches an action off for now
            def labels(self) -> dict[str, str]: ...         # optional: action id -> another footer label for now
            def step_out(self) -> bool: ...                 # optional: Esc, after inputs and zoom; True when it did

    Handlers ``do_*`` may be coroutines; they run on the message loop and must not block: ``await in_thread(...)`` or
    ``await run_command(...)`` of ``charlstm_tui.backend`` inside ``self.run_worker(...)`` for anything that takes
    longer than a few milliseconds. The classes ``-narrow`` (under 72 columns), ``-normal`` and ``-wide`` (from 140),
    ``-short`` (under 22 rows), ``-medium`` and ``-tall`` (from 40) stand on the screen, for its CSS. Call
    ``self.refresh_keys()`` after anything that changes ``scopes()``, ``can()`` or ``labels()``. The shared state is the
    app's: ``self.charlstm.corpus``, ``.run_path``, ``.model``, ``.runs_state`` and ``.bits``, and the ways from mode to
    mode are its ``use_corpus``, ``attach``, ``play`` and ``go``.
    """

    MODE: ClassVar[str] = ""
    MAIN_PANE: ClassVar[str] = ""
    AUTO_FOCUS = ""
    ALLOW_IN_MAXIMIZED_VIEW = "KeyBar"  # which says the way back
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-normal"), (140, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (22, "-medium"), (40, "-tall")]  # noqa: RUF012

    @property
    def charlstm(self) -> CharLSTMApp:
        """The app, by its own type."""
        from charlstm_tui.app import CharLSTMApp

        assert isinstance(self.app, CharLSTMApp)
        return self.app

    @property
    def leaving(self) -> bool:
        """Whether the app is on its way out; then there is nothing to bring up to date."""
        return leaving(self)

    def compose(self) -> ComposeResult:
        yield TopBar(self.MODE)
        with Vertical(id="body"):
            yield from self.compose_body()
        yield KeyBar()

    # ---- what a mode fills in
    def compose_body(self) -> ComposeResult:
        """The widgets of the mode."""
        yield from ()

    def scopes(self) -> tuple[str, ...]:
        """The mode's scopes of the action table that are active now."""
        return (self.MODE,)

    def show_runs_state(self, state: RunsState) -> None:
        """Show the runs as the watcher last read them. Called only while the mode is on screen."""

    def can(self, action: Action) -> bool:
        """Whether an action of an active scope has something to act on now."""
        return True

    def labels(self) -> dict[str, str]:
        """Footer labels that differ from the table's now, by action id."""
        return {}

    def step_out(self) -> bool:
        """Esc, when there was neither input nor zoom to leave. True when something was left."""
        return False

    def entered(self) -> None:
        """The mode came on screen."""

    # ---- the table at work
    def in_input(self) -> bool:
        """Whether keys go into a text field now, so that letters are letters."""
        return isinstance(self.focused, Input | TextArea)

    def all_scopes(self) -> tuple[str, ...]:
        """Every scope that is active now, the app's own among them."""
        scopes = self.scopes()
        if "generate.write" in scopes:
            return (ANYWHERE, *(() if "generate.write.ghost" in scopes else (PANES,)), *scopes)
        if self.in_input():
            return (ANYWHERE, PANES, *scopes)
        return (ANYWHERE, PANES, *(() if "generate.choices" in scopes else (DIGITS,)), OUTSIDE, *scopes)

    def available(self) -> tuple[Action, ...]:
        """All actions that would act now, in the table's order. In an input only those that no letter sets off."""
        if not self.is_mounted or self.charlstm.leaving:  # a key that was quicker than the screen, or too late
            return ()
        typing = self.in_input()
        return tuple(
            action for action in active(self.all_scopes()) if (not typing or action.acts_in_inputs) and self.can(action)
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "do" or not parameters or BY_ID.get(str(parameters[0])) in self.available()

    async def action_do(self, name: str) -> None:
        """Carry out the action of the table with this id: the handler is this screen's, else the app's."""
        action = BY_ID[name]
        target = self if action.mode == self.MODE else self.app
        outcome = getattr(target, f"do_{action.handler}")(*action.args)
        if inspect.isawaitable(outcome):
            await outcome

    def refresh_keys(self) -> None:
        """Bring the footer up to date with :meth:`scopes`, :meth:`can` and :meth:`labels`."""
        labels, first = self.labels(), ""
        if self.maximized is not None:
            first = "app.zoom"
            labels = {**labels, first: "back"}
        for bar in self.query(KeyBar):
            bar.show_actions(self.available(), labels, help_hint=not self.in_input(), first=first)

    def focus_main(self) -> None:
        """Give the focus to the mode's main pane."""
        if self.MAIN_PANE:
            for pane in self.query(self.MAIN_PANE):
                pane.focus()
                return

    def zoom(self) -> None:
        """Give the body to the pane in focus, or give it back."""
        if self.maximized is not None:
            self.minimize()
        elif isinstance(self.focused, Widget):
            self.maximize(self.focused, container=False)

    def leave_one(self) -> bool:
        """Esc: out of the input, the zoom, or whatever :meth:`step_out` leaves."""
        if self.in_input():
            if not self.step_out():
                self.focus_main()
            return True
        if self.maximized is not None:
            self.minimize()
            return True
        return self.step_out()

    def on_mount(self) -> None:
        self.watch(self, "focused", self._focus_moved, init=False)
        self.watch(self, "maximized", self.refresh_keys, init=False)

    def _focus_moved(self) -> None:
        """A pane that fills the screen gives way to another that gets the keys."""
        shown, focused = self.maximized, self.focused
        if shown is not None and focused is not None and shown not in focused.ancestors_with_self:
            self.minimize()
        self.refresh_keys()

    async def _on_resize(self, event: Resize) -> None:
        pass_over_old_sizes(self, event)

    def on_screen_resume(self) -> None:
        if self.leaving:
            return
        if self.focused is None:
            self.focus_main()
        self.entered()
        self.charlstm.refresh_screen()
        self.refresh_keys()
