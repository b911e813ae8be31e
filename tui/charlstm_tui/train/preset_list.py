"""The presets as a small table: what each is for and what it will cost, known figures at once, measured ones later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from charlstm_tui.formatting import clock, count, size

MEASURING = "…"


@dataclass(frozen=True)
class PresetFacts:
    """What a preset costs on this text. ``None`` is what is still being measured."""

    name: str
    about: str
    network: str
    parameters: int | None = None
    seconds: float | None = None
    memory: int | None = None
    chars_per_second: float | None = None
    changed: bool = False
    measuring: bool = False


class PresetList(Widget, can_focus=True):
    """Rows to choose from with ↑↓ (and ←→, which the screen owns)."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"preset-list--head"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Preset before", show=False),
        Binding("down", "move(1)", "Preset after", show=False),
    ]
    DEFAULT_CSS = "PresetList { height: auto; }"

    class Chosen(Message):
        """Another preset is chosen."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.facts: tuple[PresetFacts, ...] = ()
        self.index = 0

    def show(self, facts: Sequence[PresetFacts], index: int) -> None:
        facts = tuple(facts)
        if (facts, index) != (self.facts, self.index):
            taller = len(facts) != len(self.facts)
            self.facts, self.index = facts, index
            self.refresh(layout=taller)

    def action_move(self, by: int) -> None:
        if self.facts and 0 <= self.index + by < len(self.facts):
            self.post_message(self.Chosen(self.index + by))

    def on_click(self, event: object) -> None:
        row = getattr(event, "y", 0) - 1
        if 0 <= row < len(self.facts):
            self.post_message(self.Chosen(row))

    def render(self) -> Content:
        width = self.size.width
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

        def row(values: dict[str, str], marker: str) -> str:
            parts = (values[name].rjust(cells) if right else values[name].ljust(cells) for name, cells, right in fits)
            return f" {marker} {''.join(parts)}".ljust(width)[:width]

        lines = [Content.styled(row({name: name for name, _, _ in fits}, " "), "$foreground 50%")]
        for number, facts in enumerate(self.facts):
            chosen = number == self.index
            focused = "bold on $foreground 12%" if self.has_focus else "bold"
            lines.append(
                Content.styled(row(_values(facts), "▸" if chosen else " "), focused if chosen else "$foreground 80%")
            )
        return Content("\n").join(lines)


def _values(facts: PresetFacts) -> dict[str, str]:
    """A preset's figures by column; what is not known shows a dash, what is being measured an ellipsis."""
    waits = MEASURING if facts.measuring else "–"
    return {
        "PRESET": facts.name + (" *" if facts.changed else ""),
        "TIME": clock(facts.seconds) if facts.seconds is not None else waits,
        "NETWORK": facts.network,
        "WEIGHTS": count(facts.parameters) if facts.parameters is not None else waits,
        "MEMORY": size(facts.memory) if facts.memory is not None else waits,
        "": "",
        "WHAT FOR": facts.about,
        "CHARS/S": f"{facts.chars_per_second:,.0f}" if facts.chars_per_second is not None else waits,
    }
