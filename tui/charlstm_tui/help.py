"""The keys of the pane in focus with what they do, made from the action table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from charlstm_tui.actions import Action, key_name
from charlstm_tui.dialogs import Dialog

MOST_NEEDED = 12
"""Actions that come first: those of the key bar, in its order."""

MOST_KEYS = 24
"""Cells of the column of keys, at most."""


class HelpRows(Widget):
    """Rows of keys with their help."""

    COMPONENT_CLASSES: ClassVar = {"help--key"}
    DEFAULT_CSS = """
    HelpRows { height: auto; padding: 0 1; }
    HelpRows > .help--key { color: $primary; text-style: bold; }
    """

    def __init__(self, rows: Sequence[tuple[str, str]], keys_width: int) -> None:
        super().__init__()
        self._rows, self._keys_width = rows, keys_width

    def render(self) -> Table:
        table = Table.grid(padding=(0, 1, 0, 0))  # Rich 14 and 15 collapse a padding of both sides differently
        table.add_column(width=self._keys_width, style=self.get_component_rich_style("help--key", partial=True))
        table.add_column()
        for keys, about in self._rows:
            table.add_row(Text(keys), Text(about))
        return table


class HelpScreen(Dialog):
    """Every action that would act now: the most needed ones first, then the others of the pane, the mode and the app.

    Not Textual's HelpPanel: at 80 columns that leaves 50 to the mode, shows a label of two words for each key instead
    of a sentence, and lists the keys of every widget beside those of the app.
    """

    BINDINGS: ClassVar = [("question_mark,q", "dismiss(None)", "close")]

    def __init__(
        self, name_shown: str, actions: Sequence[Action], editing_keys: Sequence[tuple[str, str]] = ()
    ) -> None:
        """``name_shown`` is the name of the mode or view whose keys these are, ``editing_keys`` are further keys with
        what they do."""
        super().__init__()
        self._name_shown, self._actions, self._editing_keys = name_shown, actions, editing_keys

    def compose(self) -> ComposeResult:
        own = sorted((action for action in self._actions if action.mode), key=lambda action: -action.scope.count("."))
        needed = sorted((each for each in own if each.footer), key=lambda each: each.footer)[:MOST_NEEDED]
        sections = {
            "": _rows(needed),
            "More": [*_rows([each for each in own if each not in needed]), *self._editing_keys],
            "Everywhere": _rows([each for each in self._actions if not each.mode]),
        }
        width = min(MOST_KEYS, max(cell_len(keys) for rows in sections.values() for keys, _ in rows))
        with Vertical(classes="dialog wide"):
            yield Static(Content(f"{self._name_shown}: keys"), classes="dialog-title")
            with VerticalScroll(id="help-text"):
                for title, rows in sections.items():
                    if title and rows:
                        yield Static(Content(title), classes="dialog-section")
                    yield HelpRows(rows, width)
            yield Static(Content("↑ ↓ scroll   Esc close"), classes="dialog-keys")


def _rows(actions: Sequence[Action]) -> list[tuple[str, str]]:
    """The keys of each action and what it does. F1 and ? are two entries of one action."""
    rows: dict[tuple[str, str], list[str]] = {}
    for action in actions:
        rows.setdefault((action.handler + repr(action.args), action.help), []).extend(map(key_name, action.keys))
    return [(" ".join(keys), about) for (_, about), keys in rows.items()]
