"""Any action by its name: a line to type in and what matches, made from the action table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.fuzzy import Matcher
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from charlstm_tui.actions import Action
from charlstm_tui.dialogs import Dialog
from charlstm_tui.widgets.option_list import SteadyOptionList
from charlstm_tui.widgets.text_input import TextInput


class Palette(Dialog):
    """Returns the id of the chosen action, or ``None``."""

    BINDINGS: ClassVar = [("up", "move(-1)", "up"), ("down", "move(1)", "down"), ("ctrl+p", "dismiss(None)", "close")]

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__()
        shown = [action for action in actions if action.palette]
        # the pane's own first, then the mode's, then the app's
        self._actions = sorted(shown, key=lambda action: (action.mode is None, -action.scope.count(".")))

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield TextInput(placeholder="What would you like to do?", compact=True)
            yield SteadyOptionList(compact=True)

    def opened(self) -> None:
        self.query_one(OptionList).can_focus = False
        self._fill("")

    def action_move(self, by: int) -> None:
        """Move the cursor of the list while the line keeps the focus."""
        options = self.query_one(OptionList)
        (options.action_cursor_down if by > 0 else options.action_cursor_up)()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._fill(event.value.strip())

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def _fill(self, typed: str) -> None:
        matcher = Matcher(typed)
        scored = [
            (max(matcher.match(action.label) * 1.5, matcher.match(action.help)) if typed else 1.0, action)
            for action in self._actions
        ]
        found = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(
            Option(
                Content.assemble(
                    (f" {action.key_label:<8}", "bold $primary"), f"{action.label:<14} ", (action.help, "$quiet")
                ),
                id=action.id,
            )
            for _, action in found
        )
        options.highlighted = 0 if found else None
