"""At which value a cell is held, on a line from its lowest to its highest state, to be set by the mouse."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from charlstm_tui.actions import key_of
from charlstm_tui.widgets.painted import Painted

BEYOND = 0.5
"""How far the line goes beyond the states that the cell has on the text, in parts of their range."""


class HoldDial(Painted, Widget):
    """A heading, and a line: ``━`` where the cell's states are on the text, ``●`` where it is held. A click or a drag
    on the line holds it there."""

    PARTS: ClassVar = {"quiet": "$quiet", "range": "$kept", "held": "bold $accent", "key": "bold $primary"}
    DEFAULT_CSS = "HoldDial { height: 2; }"

    class Moved(Message):
        """The cell is to be held at ``value``."""

        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cell = ""
        self._range = (0.0, 0.0)
        self._held: float | None = None

    def show(self, cell: str, lowest: float, highest: float, held: float | None) -> None:
        """Show a cell with this name, its ``lowest`` and ``highest`` state on the text, and at which value it is held,
        if it is."""
        state = (cell, (lowest, highest), held)
        if state != (self._cell, self._range, self._held):
            self._cell, self._range, self._held = state
            self.repaint()

    @property
    def _ends(self) -> tuple[float, float]:
        lowest, highest = self._range
        beyond = BEYOND * (highest - lowest)
        return lowest - beyond, highest + beyond

    def _labels(self) -> tuple[str, str]:
        low, high = self._ends
        return f"{low:.1f} ", f" {high:.1f}"

    def _cells(self) -> int:
        return self.size.width - sum(map(len, self._labels()))

    def _cell_of(self, value: float) -> int:
        """The cell of the line that shows a value."""
        low, high = self._ends
        last = self._cells() - 1
        return min(last, max(0, round((value - low) / ((high - low) or 1) * last)))

    def value_at(self, x: int) -> float:
        """The value that a column of the widget stands for, to two digits after the point."""
        low, high = self._ends
        share = (x - len(self._labels()[0])) / max(1, self._cells() - 1)
        return round(low + min(1.0, max(0.0, share)) * (high - low), 2)

    def draw(self) -> list[Strip]:
        quiet = self.look("quiet")
        held = "" if self._held is None else f" at {self._held:g}"
        keys = f" {key_of('generate.hold_lower')} {key_of('generate.hold_higher')}"
        parts = [Segment(f"HOLD {self._cell}{held} ", quiet + Style(bold=True)), Segment(keys, self.look("key"))]
        if self._held is not None:
            parts += [Segment(f"  {key_of('generate.let_go')}", self.look("key")), Segment(" none ", quiet)]
        lines = [Strip(parts).adjust_cell_length(self.size.width, self.look())]
        if self._range[0] != self._range[1] and self._cells() >= 5:
            lines.append(self._draw_range())
        return lines

    def _draw_range(self) -> Strip:
        first, last = map(self._cell_of, self._range)
        held = None if self._held is None else self._cell_of(self._held)
        line = []
        for cell in range(self._cells()):
            inside = first <= cell <= last
            char, look = ("●", "held") if cell == held else ("━", "range") if inside else ("─", "quiet")
            line.append(Segment(char, self.look(look)))
        low, high = self._labels()
        parts = [Segment(low, self.look("quiet")), *line, Segment(high, self.look("quiet"))]
        return Strip(parts).simplify().adjust_cell_length(self.size.width, self.look())

    # ---- the mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y == 1 and self._range[0] != self._range[1]:
            self.capture_mouse()
            self.post_message(self.Moved(self.value_at(offset.x)))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self.app.mouse_captured is self:
            self.post_message(self.Moved(self.value_at(event.get_content_offset_capture(self).x)))

    def on_mouse_up(self) -> None:
        self.release_mouse()
