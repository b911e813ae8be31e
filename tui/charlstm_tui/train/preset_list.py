"""The presets as a table: what each is for and what it will cost, known figures at once, measured ones later.

Textual's option list with the column names as an option that cannot be chosen. A ``DataTable`` would take Enter, which
starts the run here, and draws its cursor only by colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from charlstm_tui.widgets.textual_repairs import SteadyOptionList

NAME, ABOUT = "PRESET", "WHAT FOR"
COLUMNS = (("TIME", 9, 24), ("NETWORK", 10, 34), ("WEIGHTS", 10, 44), ("MEMORY", 10, 60), ("CHARS/S", 11, 72))
"""The columns of figures: title, cells, and the cells of the list from which on they are shown."""
ABOUT_FROM = 110


class PresetList(SteadyOptionList, inherit_bindings=False):
    """Rows to choose from with ↑↓, a click, and ←→, which are actions of ``setup_pane``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "Preset before", show=False),
        Binding("down", "cursor_down", "Preset after", show=False),
    ]

    class Chosen(Message):
        """Another preset is chosen."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, markup=False)
        self.rows: Sequence[Mapping[str, str]] = ()
        self.index = 0

    def show(self, rows: Sequence[Mapping[str, str]], index: int) -> None:
        """Show these presets, each with its words by column, the chosen one at ``index``."""
        if (rows, index) != (self.rows, self.index):
            self.rows, self.index = rows, index
            self._draw()

    def on_resize(self, event: Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if not width or not self.rows:
            return
        head, *rows = _lines(self.rows, self.index, width)
        if self.option_count != len(rows) + 1:
            self.set_options([Option(head, disabled=True), *(Option(row) for row in rows)])
        else:
            for number, line in enumerate((head, *rows)):
                self.replace_option_prompt_at_index(number, line)
        self.highlighted = self.index + 1

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_index == self.highlighted and event.option_index != self.index + 1:
            self.post_message(self.Chosen(event.option_index - 1))

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()  # the click has highlighted it


def _lines(rows: Sequence[Mapping[str, str]], index: int, width: int) -> list[Content]:
    """The column names and a line for each preset, with the columns that fit into ``width``."""
    head = {title: title for title in (NAME, *(title for title, _, _ in COLUMNS), ABOUT)}
    lines = [_line(row, "▸" if number == index else " ", width) for number, row in enumerate(rows)]
    return [_line(head, " ", width), *lines]


def _line(row: Mapping[str, str], marker: str, width: int) -> Content:
    figures = "".join(row[title].rjust(cells) for title, cells, least in COLUMNS if width >= least)
    about = f"   {row[ABOUT]}" if width >= ABOUT_FROM else ""
    words = f" {marker} {row[NAME]:<12}{figures}{about}"
    return Content(words.ljust(width)).truncate(width, ellipsis=True)
