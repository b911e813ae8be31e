"""The keys of the pane in focus with what they do, made from the action table."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from charlstm_tui.actions import Action, key_name, key_of
from charlstm_tui.clipboard import Copyable
from charlstm_tui.dialogs import Dialog
from charlstm_tui.widgets.find import FindTarget, Search

MOST_KEYS = 24
"""Cells of the column of keys, at most."""


class HelpText(FindTarget, VerticalScroll, can_focus=True):
    """Rows of keys and what they do, in a section for the mode and one for the app."""

    COMPONENT_CLASSES: ClassVar = {"help--key", "help--found", "help--found-current"}

    def __init__(self, own: Sequence[tuple[str, str]], common: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._sections = (own, common)
        longest = max((cell_len(keys) for rows in self._sections for keys, _ in rows), default=0)
        self._keys_width = min(longest, MOST_KEYS)

    def compose(self) -> ComposeResult:
        yield Static(self._table(0, Search(), None), classes="help-keys")
        yield Static(Content("Everywhere"), classes="dialog-section")
        yield Static(self._table(1, Search(), None), classes="help-keys")

    def _table(self, section: int, search: Search, current: int | None) -> Table:
        """The rows of a section, with the places of ``search`` highlighted, in row ``current`` more than elsewhere."""
        table = Table.grid(padding=(0, 1, 0, 0))  # Rich 14 and 15 collapse a padding of both sides differently
        table.add_column(width=self._keys_width, style=self.get_component_rich_style("help--key", partial=True))
        table.add_column()
        for row, cells in enumerate(self._sections[section]):
            shown = [Text(text) for text in cells]
            for text in shown:
                found = f"help--{'found-current' if row == current else 'found'}"
                for place in search.places(text.plain):
                    style = self.get_component_rich_style(found, partial=True)
                    text.stylize(style, place, place + len(search.needle))
            table.add_row(*shown)
        return table

    def _lines(self) -> list[str]:
        return [f"{keys}\n{about}\n" for rows in self._sections for keys, about in rows]

    def find_text(self) -> str:
        return "".join(self._lines())

    def show_search(self, search: Search, place: int | None) -> None:
        ends = list(accumulate(map(len, self._lines())))
        current = -1 if place is None else bisect.bisect_right(ends, place)
        first = len(self._sections[0])
        own, title, common = self.query(Static)
        own.update(self._table(0, search, current))
        common.update(self._table(1, search, current - first))
        if place is not None:
            section, table = (0, own) if current < first else (1, common)
            row = current - first * section
            width = table.content_region.width - self._keys_width - 1
            above = sum(len(Content(about).wrap(max(1, width))) for _, about in self._sections[section][:row])
            top = 0 if section == 0 else own.outer_size.height + title.outer_size.height
            self.scroll_to(y=top + above - self.size.height // 2, animate=False)


class HelpScreen(Dialog):
    """Every action that would act now: those of the pane first, then the mode's, then those of the app.

    Not Textual's HelpPanel: at 80 columns that leaves 50 to the mode, shows a label of two words for each key instead
    of a sentence, and lists the keys of every widget beside those of the app.
    """

    BINDINGS: ClassVar = [("question_mark,f1,q", "dismiss(None)", "close")]

    def __init__(
        self, name_shown: str, actions: Sequence[Action], editing_keys: Sequence[tuple[str, str]] = ()
    ) -> None:
        """``name_shown`` is the name of the mode or view whose keys these are, ``editing_keys`` are further keys with
        what they do."""
        super().__init__()
        self._name_shown, self._actions, self._editing_keys = name_shown, actions, editing_keys

    def compose(self) -> ComposeResult:
        own = sorted((action for action in self._actions if action.mode), key=lambda action: -action.scope.count("."))
        common = [action for action in self._actions if not action.mode]
        with Vertical(classes="dialog wide"):
            yield Static(Content(f"{self._name_shown}: keys"), classes="dialog-title")
            yield HelpText([*_rows(own), *self._editing_keys], _rows(common))
            yield Static(Content(f"↑ ↓ scroll   {key_of('app.find')} find   Esc close"), classes="dialog-keys")

    def copyable(self) -> Copyable:
        return Copyable("the keys", self.query_one(HelpText).find_text())


def _rows(actions: Sequence[Action]) -> list[tuple[str, str]]:
    """The keys of each action and what it does. F1 and ? are two entries of one action."""
    rows: dict[tuple[str, str], list[str]] = {}
    for action in actions:
        rows.setdefault((action.handler + repr(action.args), action.help), []).extend(map(key_name, action.keys))
    return [(" ".join(keys), about) for (_, about), keys in rows.items()]
