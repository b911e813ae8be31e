"""A list of one-line rows with a cursor, for texts and runs.

Textual's DataTable draws every cell in view again when one of them changes: 80 ms for 60 rows of 10 columns, which a
run that trains would cost six times a second, and 110 ms for another order of 200 rows. Its OptionList takes 21 and
30 ms. This list draws the changed lines only: 3 ms and 12 to 32 ms. Beside its colour the cursor has a sign, it stays
on its row when rows come and go, and Enter is left to the screen's table of actions. A click moves the cursor, and
only a second one chooses: in an OptionList the first click on a text would leave Corpus for Train before it is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content, Span
from textual.geometry import Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

from charlstm_tui.ordered_keys import TakesHeldKeys
from charlstm_tui.widgets.painted import Painted

_LineKey = tuple[str, tuple[Span, ...], int, Style]


@dataclass(frozen=True, slots=True)
class Row:
    """One line. The cursor stays with a ``key``, and skips captions, which have no key."""

    key: str | None
    content: Content


class RowList(TakesHeldKeys, Painted, ScrollView, can_focus=True):
    """Rows to move a cursor over."""

    DEFAULT_CSS = """
    RowList { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "up", show=False),
        Binding("down", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "move(-1000000)", "first", show=False),
        Binding("end", "move(1000000)", "last", show=False),
    ]

    cursor: var[str | None] = var(None)

    @dataclass
    class Moved(Message):
        """The cursor is on another row now."""

        key: str | None

    class Chosen(Message):
        """The row under the cursor was clicked."""

    class Resized(Message):
        """The list has another size, so that rows that depend on its width have to be made again."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: tuple[Row, ...] = ()
        self._home: str | None = None  # the row to which the cursor comes back when that was hidden for a while

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, captions among them."""
        return self._rows

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows. The cursor stays on its row, or near where that was, and in view if it was. To a
        row that was hidden it comes back, unless it was moved meanwhile."""
        index, before = self._index(), self._rows
        in_view = index is not None and 0 <= index - round(self.scroll_offset.y) < self.size.height
        self._rows = tuple(rows)
        if len(self._rows) != len(before):
            self.virtual_size = Size(self.size.width, len(self._rows))
            self.refresh()
        else:
            for y, (row, old) in enumerate(zip(self._rows, before, strict=True)):
                if row.key != old.key or not row.content.is_same(old.content):  # == passes over styles
                    self.refresh_line(y)
        if self._home != self.cursor and any(row.key == self._home for row in self._rows):
            self.cursor, in_view = self._home, True
        if self._index() is None:
            self.cursor = self._near(index or 0)
        if self._home is None:
            self.stay()
        if in_view:
            self._show_cursor()

    def move_to(self, key: str) -> None:
        """Put the cursor on the row with this key, if there is one."""
        if any(row.key == key for row in self._rows):
            self.cursor = key
            self.stay()
            self._show_cursor()

    def stay(self) -> None:
        """Keep the cursor on its row, even if the row before comes back."""
        if self.cursor is not None:
            self._home = self.cursor

    # ---- the cursor
    def _index(self) -> int | None:
        return next((i for i, row in enumerate(self._rows) if row.key is not None and row.key == self.cursor), None)

    def _near(self, index: int) -> str | None:
        keys = [(abs(i - index), row.key) for i, row in enumerate(self._rows) if row.key is not None]
        return min(keys, key=lambda pair: pair[0])[1] if keys else None

    def watch_cursor(self, old: str | None, key: str | None) -> None:
        self.post_message(self.Moved(key))
        for y, row in enumerate(self._rows):
            if row.key is not None and row.key in (old, key):
                self.refresh_line(y)

    def action_move(self, by: int) -> None:
        keys = [row.key for row in self._rows if row.key is not None]
        if keys:
            now = keys.index(self.cursor) if self.cursor in keys else 0
            self.cursor = keys[max(0, min(len(keys) - 1, now + by))]
            self.stay()
            self._show_cursor()

    def action_page(self, pages: int) -> None:
        self.action_move(pages * self._page)

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def take_key(self, key: str, times: int) -> int:
        by = {"up": -1, "down": 1, "pageup": -self._page, "pagedown": self._page}.get(key)
        if by is None:
            return 0
        self.action_move(by * times)
        return times

    def _show_cursor(self) -> None:
        index = self._index()
        if index is None:
            return
        top, height = round(self.scroll_offset.y), self.size.height
        first = index if self._rows[:index] and self._rows[index - 1].key is not None else max(0, index - 1)
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False)

    # ---- drawing
    def resized(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows))
        self.call_after_refresh(self._show_cursor)
        self.post_message(self.Resized())

    def line_key(self, y: int) -> _LineKey | None:
        """All that a line is drawn from. Drawing one takes 0.5 ms, and after another order most are the same."""
        index, style = y + round(self.scroll_offset.y), self.visual_style
        if index >= len(self._rows):
            return None
        row = self._rows[index]
        at_cursor = row.key is not None and row.key == self.cursor
        sign = "▸ " if at_cursor else "  "
        if row.key is None:
            sign = " "
        line = Content.assemble((sign, "bold $accent"), row.content)
        if at_cursor:
            style += Style.parse("bold on $cursor-line" if self.has_focus else "on $cursor-line")
        return line.plain, tuple(line.spans), self.size.width, style

    def draw_line(self, key: _LineKey) -> Strip:
        plain, spans, width, style = key
        line = Content(plain, list(spans)).truncate(width, ellipsis=True, pad=True)
        strips = Visual.to_strips(self, line, width, 1, style)
        return strips[0] if strips else Strip.blank(width, style.rich_style)

    def blank_line(self) -> Strip:
        return Strip.blank(self.size.width, self.visual_style.rich_style)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:  # the border
            return
        index = offset.y + round(self.scroll_offset.y)
        if 0 <= index < len(self._rows) and (key := self._rows[index].key) is not None:
            if key == self.cursor:
                self.post_message(self.Chosen())
            self.cursor = key
            self.stay()
