"""The presets as a table: what each is for and what it will cost, known figures at once, measured ones later.

Textual's option list with the column names as an option that cannot be chosen. A ``DataTable`` would take Enter, which
starts the run here, and draws its cursor only by colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from charlstm_tui.formatting import count, rough_clock, size
from charlstm_tui.train.run_plan import UNKNOWN
from charlstm_tui.train.setup import PresetFacts
from charlstm_tui.widgets.textual_repairs import SteadyOptionList


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
        self.facts: tuple[PresetFacts, ...] = ()
        self.index = 0

    def show(self, facts: Sequence[PresetFacts], index: int) -> None:
        """Show these presets, the chosen one at ``index``."""
        facts = tuple(facts)
        if (facts, index) != (self.facts, self.index):
            self.facts, self.index = facts, index
            self._draw()

    def on_resize(self, event: Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if not width or not self.facts:
            return
        head, *rows = _lines(self.facts, self.index, width)
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


def _lines(facts: Sequence[PresetFacts], index: int, width: int) -> list[Content]:
    """The column names and a line for each preset, with the columns that fit into ``width``."""
    columns = [("PRESET", 12, False), ("TIME", 9, True), ("NETWORK", 10, True), ("WEIGHTS", 10, True)]
    if width >= 60:
        columns.append(("MEMORY", 10, True))
    if width >= 72:
        columns.append(("CHARS/S", 11, True))
    if width >= 110:
        columns.append(("", 3, False))
        columns.append(("WHAT FOR", width - 68, False))
    fits = [columns[0]]
    for column in columns[1:]:
        if 3 + sum(cells for _, cells, _ in fits) + column[1] <= width:
            fits.append(column)

    def line(values: dict[str, str], marker: str) -> Content:
        parts = (values[name].rjust(cells) if right else values[name].ljust(cells) for name, cells, right in fits)
        words = f" {marker} {''.join(parts)}".rstrip()
        return Content(words.ljust(width)).truncate(width, ellipsis=True)

    head = line({name: name for name, _, _ in fits}, " ")
    return [head, *(line(_values(each), "▸" if number == index else " ") for number, each in enumerate(facts))]


def _values(facts: PresetFacts) -> dict[str, str]:
    """A preset's figures by column; what is not known shows a dash, what is being measured an ellipsis."""
    unknown = UNKNOWN if facts.measuring else "–"
    limit = unknown if facts.most_seconds is None else f"≤ {rough_clock(facts.most_seconds)}"
    rough = "~" if facts.rough else ""
    return {
        "PRESET": facts.name + (" *" if facts.changed else ""),
        "TIME": rough + rough_clock(facts.seconds) if facts.seconds is not None else limit,
        "NETWORK": facts.network,
        "WEIGHTS": count(facts.parameters) if facts.parameters is not None else unknown,
        "MEMORY": size(facts.memory) if facts.memory is not None else unknown,
        "": "",
        "WHAT FOR": facts.about,
        "CHARS/S": f"{rough}{facts.chars_per_second:,.0f}" if facts.chars_per_second is not None else unknown,
    }
