"""The base of all views: a view is shown alone in its mode, with its own keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import getters
from textual.events import Key
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget

from charlstm_tui.actions import SCOPES, Action
from charlstm_tui.clipboard import Copyable
from charlstm_tui.mode_app import ModeApp
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.safe_workers import SafeWorkers


def is_detached(node: Widget) -> bool:
    """Whether the widget has left the app, or the app ends: messages still come then, but other widgets have gone, or
    were never there."""
    return not (node.is_attached and node.app.is_running)


class View(SafeWorkers, Widget):
    """A part of a mode that is shown alone, with its own keys. A mode has one view or several.

    The screen asks the view that is shown which actions act (:attr:`scopes_key`, :meth:`has`), what the key bar says
    (:meth:`labels`) and what Esc leaves in it (:meth:`handle_escape`), and carries actions out by its methods ``do_*``.
    These may be coroutines; they run on the message loop and must not block: ``await in_thread(...)`` or ``await
    run_command(...)`` of ``charlstm_tui.background`` inside ``self.run_worker(...)`` for anything that takes longer
    than a few milliseconds. An unexpected exception in an action or a worker is logged and shown.

    The state that the modes share comes by the reactive attributes ``runs_state``, ``run_path`` and ``bits``, which the
    screen sets while the view is shown: watch them. After another change of what :attr:`scopes_key`,
    :meth:`has`, :meth:`labels` or :attr:`escape_label` say, post :class:`Changed`. These must not change anything.
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
        key. An empty sentence removes the message."""

        def __init__(self, sentence: str, error: bool = False, stays: bool = False) -> None:
            super().__init__()
            self.sentence, self.error, self.stays = sentence, error, stays

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

    def take_key(self, event: Key, times: int) -> int:
        """Handle a key of no action now that came ``times`` times in a row, if that opens nothing; how many of these
        were handled. A key of which none is comes as Textual sends keys. For keys that a person holds or types
        quickly."""
        return 0

    def scopes(self) -> tuple[str, ...]:
        """The scopes of the action table that are active while no text field has the focus."""
        return SCOPES[self.scopes_key]

    @property
    def busy(self) -> bool:
        """Whether no action of the mode acts now."""
        return False

    def has(self) -> dict[str, bool]:
        """The ``needs`` of the actions of these scopes (:attr:`Action.needs`), each True if met now."""
        return {}

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

    def part(self, name: str) -> object:
        """What carries out actions by methods ``do_*``: the view, or the part of it with this name."""
        return self

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
        """Say something in the line that the mode has for messages."""
        self.post_message(self.Said(sentence, error, stays))
