"""The presets as a small table: what each is for and what it will cost, known figures at once, measured ones later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from charlstm_tui.widgets.chart_paint import clock

MEASURING = "…"


@dataclass(frozen=True)
class PresetFacts:
    """What a preset costs on this text. ``None`` is what is still being measured; ``unknown`` says it never will be."""

    name: str
    about: str
    network: str
    parameters: int | None = None
    seconds: float | None = None
    memory: int | None = None
    chars_per_second: float | None = None
    changed: bool = False
    measuring: bool = False


def short_count(value: float) -> str:
    """0.9 M, 12 k, 950."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.095 and size > 1e3:
            return f"{value / size:.1f} {letter}"
        if value >= size:
            return f"{value / size:.0f} {letter}"
    return f"{value:.0f}"


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
        fits = [columns[0]]
        for column in columns[1:]:
            if 3 + sum(size for _, size, _ in fits) + column[1] <= width:
                fits.append(column)
        head = "   " + "".join(name.rjust(size) if right else name.ljust(size) for name, size, right in fits)
        lines = [Content.styled(head, "$foreground 50%")]
        for number, facts in enumerate(self.facts):
            waits = MEASURING if facts.measuring else "–"
            cells = {
                "PRESET": facts.name + (" *" if facts.changed else ""),
                "TIME": clock(facts.seconds) if facts.seconds is not None else waits,
                "NETWORK": facts.network,
                "WEIGHTS": short_count(facts.parameters) if facts.parameters is not None else waits,
                "MEMORY": f"{facts.memory / 1e6:,.0f} MB" if facts.memory is not None else waits,
                "CHARS/S": f"{facts.chars_per_second:,.0f}" if facts.chars_per_second is not None else waits,
            }
            chosen = number == self.index
            row = (" ▸ " if chosen else "   ") + "".join(
                cells[name].rjust(size) if right else cells[name].ljust(size) for name, size, right in fits
            )
            style = ("bold on $foreground 12%" if self.has_focus else "bold") if chosen else "$foreground 80%"
            lines.append(Content.styled(row.ljust(width)[:width], style))
        return Content("\n").join(lines)
