"""The keys of the pane in focus with what they do, made from the action table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from charlstm_tui.actions import MODES, Action, key_name
from charlstm_tui.dialogs import Dialog


class HelpScreen(Dialog):
    """Every action that would act now: those of the pane first, then the mode's, then those of the app.

    Not Textual's HelpPanel: at 80 columns that leaves 50 to the mode, shows a label of two words for each key instead
    of a sentence, and lists the keys of every widget beside those of the app.
    """

    COMPONENT_CLASSES: ClassVar = {"help--key"}
    BINDINGS: ClassVar = [("question_mark,f1,q", "dismiss(None)", "close")]

    def __init__(self, mode: str, actions: Sequence[Action]) -> None:
        super().__init__()
        self._mode, self._actions = mode, actions

    def compose(self) -> ComposeResult:
        title = dict(MODES).get(self._mode, "")
        own = sorted((action for action in self._actions if action.mode), key=lambda action: -action.scope.count("."))
        common = [action for action in self._actions if not action.mode]
        with Vertical(classes="dialog wide"):
            yield Static(Content(f"{title}: keys" if title else "Keys"), classes="dialog-title")
            with VerticalScroll(can_focus=True):
                yield Static(self._table(own))
                yield Static(Content("Everywhere"), classes="dialog-section")
                yield Static(self._table(common))
            yield Static(Content("↑ ↓ scroll   Esc close"), classes="dialog-keys")

    def _table(self, actions: Sequence[Action]) -> Table:
        rows: dict[tuple[str, str], list[str]] = {}
        for action in actions:  # F1 and ? are two entries of one action
            rows.setdefault((action.handler + repr(action.args), action.help), []).extend(map(key_name, action.keys))
        table = Table.grid(padding=(0, 1))
        table.add_column(width=13, style=self.get_component_rich_style("help--key", partial=True))
        table.add_column()
        for (_, about), keys in rows.items():
            table.add_row(Text(" " + " ".join(keys)), Text(about))
        return table
