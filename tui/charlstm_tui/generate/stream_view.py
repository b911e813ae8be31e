"""A growing text with a style for each character: it wraps, scrolls, selects and copies, and has a cursor.

It is hand-made because no widget of Textual's does this: a ``TextArea`` or ``RichLog`` lays out or highlights whole
lines again with each appended character, has no style per character, and expands tabs and shows marks and wide
characters in its own way. Here a million characters are held, an edit lays out the rows that it changes alone, and only
visible rows are drawn. The text is shown literally; models and sessions are not known here.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style as VisualStyle

from charlstm_tui.generate.level_colors import level_styles
from charlstm_tui.generate.text_layout import TextLayout
from charlstm_tui.ordered_keys import TakesKeys
from charlstm_tui.player.marks import (
    COPIED,
    RANK,
    SURPRISE,
    Origin,
    Scale,
    level,
    origin,
    set_levels,
    uniform,
    without_levels,
)
from charlstm_tui.theme import TEXT, legible
from charlstm_tui.widgets.find import FindTarget, Search
from charlstm_tui.widgets.painted import MOST_LINES, Painted

if TYPE_CHECKING:
    import numpy.typing as npt

SUGGESTED = next(iter(uniform(" ", Origin.SUGGESTION)))
WRAPPED = "›"
"""What ends a row of verse whose line goes on in the next row."""


def has_backgrounds(app: App[Any]) -> bool:
    """Whether levels can be shown by the background: with 256 colours or more. Each terminal has 16
    colours of its own, and some themes use no others."""
    return app.console.color_system in ("truecolor", "256") and not app.no_color and not app.current_theme.ansi


def default_scale(app: App[Any]) -> Scale:
    """What colours the text unless the user chooses: a calm background where there are colours for it, else marks."""
    return SURPRISE if has_backgrounds(app) else RANK


class StreamView(FindTarget, Painted, ScrollView, can_focus=True, inherit_bindings=False):
    """The text of a session. While the end is in view, it follows new text; scrolled up, it stays where it is."""

    ALLOW_SELECT = True
    PARTS: ClassVar = {
        "own": "italic",
        "suggestion": "$quiet",
        "wrapped": "$quiet",
        "copied": "underline on $copied",
        "copied-underlined": "underline",
        "cursor": "reverse $foreground on $background",
        "found": "reverse $accent on $background",
        "found-current": "bold reverse $foreground on $background",
        "level-2": "underline $primary",
        "level-3": "bold $accent",
        "level-4": "reverse $error",
        "diverging-1": "bold italic $primary",
        "diverging-2": "italic $primary",
        "diverging-4": "underline $accent",
        "diverging-5": "bold underline $accent",
    }
    ANSI_PARTS: ClassVar = {"suggestion": "dim $quiet"}
    # These keys scroll. A screen may take them, as it takes the arrow keys, which move the cursor.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page_up", "page up", show=False),
        Binding("pagedown", "page_down", "page down", show=False),
        Binding("home", "scroll_home", "start", show=False),
        Binding("end", "scroll_end", "end", show=False),
    ]
    DEFAULT_CSS = """
    StreamView {
        overflow-x: hidden; overflow-y: auto; scrollbar-gutter: stable; scrollbar-size-vertical: 1;
    }
    """

    class CursorMoved(Message):
        """The mouse or a search moved the cursor: to the end, or before the character at ``position``. Until the
        message is handled, the document of the text may have its cursor elsewhere."""

        def __init__(self, position: int | None) -> None:
            super().__init__()
            self.position = position

    def __init__(self, *, keys_scroll: bool = True, can_replace: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.can_replace = can_replace
        self._keys_scroll = keys_scroll
        self._text_layout = TextLayout()
        self._marks = array("H")
        self._length = 0
        self._suggested_at, self._suggested = 0, 0  # where the suggestion stands in the text, and its length
        self._words = 0
        self._breaks = 0  # line breaks of all that is shown, the suggestion too
        self._is_verse = False
        self._read_to: int | None = None
        self._cursor: int | None = None
        self._cursor_drawn = 0
        self._column: int | None = None
        self._height_before = 0  # the rows in view until the size changes
        self._thumb = (0, 0, 0)
        """Of the scrollbar: where it begins and its length, in eighths of a cell; and the scrollbar's own length."""
        self._scale: Scale = SURPRISE
        self._shows_levels = True
        self._styles: dict[int, Style] = {}
        """The style of each mark."""
        self._distinct: dict[Style, Style] = {}
        self._level_styles: dict[int, Style] = {}
        self._search = Search()
        self._found: int | None = None
        self.search_origin = 0
        self._anchor = 0  # the fixed end of the selection

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._keys_scroll or action not in ("page_up", "page_down", "scroll_home", "scroll_end")

    # ---- the text: positions are its characters', indices those of the layout, which has the suggestion too

    def _layout_index(self, position: int) -> int:
        """The index of a position in the layout; the suggestion's position has the index of its first character."""
        return position + self._suggested if position > self._suggested_at else position

    def _position(self, index: int) -> int:
        """The position at an index of the layout. The whole suggestion is at one position."""
        return index if index <= self._suggested_at else max(self._suggested_at, index - self._suggested)

    def _row_of(self, position: int) -> int:
        return self._text_layout.row_of(self._layout_index(position))

    @property
    def length(self) -> int:
        """The characters held, without the suggestion."""
        return self._length

    def text(self, start: int = 0, stop: int | None = None) -> str:
        """The text, without the suggestion."""
        stop = self._length if stop is None else min(stop, self._length)
        at, size, layout = self._suggested_at, self._suggested, self._text_layout
        before = layout.text(min(start, at), min(stop, at))
        return before + layout.text(max(start, at) + size, max(stop, at) + size)

    def marks(self) -> array[int]:
        """The mark of each character, without the suggestion: a copy."""
        return self._marks[:]

    def append(self, text: str, marks: Iterable[int] | None = None) -> None:
        """Add ``text`` at the end, with a mark for each character (default: those of the prime)."""
        self.replace(self._length, self._length, text, uniform(text, Origin.PRIME) if marks is None else marks)

    def replace(self, start: int, stop: int, text: str, marks: Iterable[int]) -> None:
        """Put ``text``, with a mark for each character, in the place of the characters from ``start`` to ``stop``."""
        start, stop = min(start, self._length), min(stop, self._length)
        if start == stop and not text:
            return
        self._words -= self._words_within(start, stop)
        if start < self._suggested_at < stop:
            self.show_suggestion("")
        added, at, size = len(text) - (stop - start), self._suggested_at, self._suggested
        self._length += added
        self._marks[start:stop] = array("H", marks)
        if stop <= at:
            self._change(start, stop, text, at + added, size)
        else:
            self._change(start + size, stop + size, text, at, size)
        self._words += self._words_within(start, start + len(text))
        if self._cursor is not None and self._cursor >= self._length:
            self.cursor = None

    @property
    def words(self) -> int:
        """How many words there are: stretches between spaces."""
        return self._words

    def _words_within(self, start: int, stop: int) -> int:
        """Words that begin among the characters from ``start`` to ``stop``, or right after them."""
        text = self.text(max(0, start - 1), stop + 1)
        return len(text.split()) - (start > 0 and not text[:1].isspace())

    def set_marks(self, start: int, marks: array[int], read_to: int | None) -> None:
        """Give the characters from ``start`` on these marks. Those from ``read_to`` on are drawn without levels: a
        model has not read them."""
        stop = start + len(marks)
        if marks:
            copied = np.frombuffer(self._marks[start:stop], np.uint16) & np.uint16(COPIED)
            self._marks[start:stop] = array("H", (np.frombuffer(marks, np.uint16) | copied).tobytes())
        before, self._read_to = self._read_to, read_to
        if before != read_to:
            ends = [self._length if end is None else end for end in (before, read_to)]
            start, stop = (min(start, *ends), max(stop, *ends)) if marks else (min(ends), max(ends))
        if start < stop:
            self._draw_again(self._row_of(start), self._row_of(stop) + 1)

    def _find_out_whether_verse(self) -> None:
        """In verse, rows that wrap get a mark, as they look like lines of the text. Verse is a text in which more than
        two rows of three end a line. In prose nearly all rows wrap, and marks would be in the way."""
        is_verse = 3 * self._breaks > 2 * self._text_layout.rows
        if is_verse != self._is_verse:
            self._is_verse = is_verse
            self.repaint()

    def _draw_again(self, first: int, last: int) -> None:
        """Draw the rows from ``first`` up to ``last`` again."""
        if last - first > MOST_LINES:
            self.repaint()
        else:
            self.forget_lines(*range(first, last))
            self.refresh_lines(first, last - first)

    def clear(self) -> None:
        """Remove all of the text."""
        self.replace(0, self._length, "", ())
        self.cursor = None

    def show_suggestion(self, text: str, position: int | None = None) -> None:
        """Show ``text`` as a suggestion before the character at ``position``, or at the end; it does not become part of
        the text."""
        position = self._length if position is None else position
        at, end = self._suggested_at, self._suggested_at + self._suggested
        if end > at and not (text and position == at):
            self._change(at, end, "", 0, 0)
        if text and text != self._text_layout.text(position, position + self._suggested):
            self._change(position, position + self._suggested, text, position, len(text))

    def mark_copied(self, passages: Iterable[tuple[int, int]]) -> None:
        """Mark these stretches, and no others, as standing word for word in the training text."""
        marks = np.frombuffer(self._marks, np.uint16)
        before = marks.copy()
        marks &= np.uint16(0xFFFF ^ COPIED)
        for start, stop in passages:
            marks[start:stop] |= np.uint16(COPIED)
        if not np.array_equal(marks, before):
            self.repaint()

    def _change(self, start: int, stop: int, text: str, suggested_at: int, suggested: int) -> None:
        """Put ``text`` in the layout from ``start`` to ``stop``. Then ``suggested`` characters at ``suggested_at`` are
        the suggestion."""
        follow, selected = self.following, self.selected
        layout = self._text_layout
        rows, cursor_row = layout.rows, self._row_of(self._cursor_drawn)
        self._breaks += text.count("\n") - layout.text(start, stop).count("\n")
        row, last = layout.replace(start, stop, text)
        self._suggested_at, self._suggested = suggested_at, suggested
        if self._search.needle:  # a place that ends in the new text may begin in a row above
            row = min(row, layout.row_of(max(0, start - len(self._search.needle))))
        if layout.rows != rows:  # those below have moved
            last = max(rows, layout.rows)
        self._update_size()
        self._find_out_whether_verse()
        if follow:
            self._show_end()  # draws all rows again when it scrolls
        # Only the rows that changed are drawn and sent: all of them are some 10 kB for the terminal each time.
        self._draw_again(row, last + 1)
        for drawn in (cursor_row, self._row_of(self.cursor)):
            self._draw_again(drawn, drawn + 1)
        self._cursor_drawn = self.cursor
        if selected is not None and selected[1] <= self._length:  # Textual keeps it by rows, which have changed
            self._select(*selected)

    # ---- colouring

    @property
    def scale(self) -> Scale:
        """The figure that colours the text."""
        return self._scale

    @scale.setter
    def scale(self, scale: Scale) -> None:
        self._scale = scale
        self.forget_styles()
        self.repaint()

    @property
    def shows_levels(self) -> bool:
        """Whether the levels of the scale and what is copied are shown; who wrote a character always is."""
        return self._shows_levels

    @shows_levels.setter
    def shows_levels(self, shows: bool) -> None:
        if shows != self._shows_levels:
            self._shows_levels = shows
            self.forget_styles()
            self.repaint()

    def set_levels(self, scale: Scale, start: int, levels: npt.NDArray[np.uint16]) -> None:
        """Give the characters from ``start`` on these levels on ``scale``, and all others none."""
        set_levels(self._marks, scale, start, levels)
        self.repaint()

    def set_levels_from(self, scale: Scale, start: int, levels: npt.NDArray[np.uint16]) -> None:
        """Give the characters from ``start`` on these levels on ``scale``; others keep theirs. Only their rows are
        drawn again."""
        tail = self._marks[start : start + len(levels)]
        set_levels(tail, scale, 0, levels)
        self._marks[start : start + len(levels)] = tail
        first, last = self._row_of(start), self._row_of(start + len(levels))
        self._draw_again(first, last + 1)

    def row_at(self, position: int) -> tuple[int, int]:
        """The positions of the row that shows ``position``: of its first character and after its last."""
        start, stop = self._text_layout.row_span(self._row_of(position))
        return self._position(start), min(self._position(stop), self._length)

    @property
    def shows_backgrounds(self) -> bool:
        """Whether the scale is shown by the background, not by marks."""
        if self._scale.diverging and self.app.console.color_system != "truecolor":
            return False  # with 256 colours the levels are greys, which have no two hues
        return self._scale.as_background and has_backgrounds(self.app)

    def level_style(self, level: int) -> VisualStyle:
        """How characters of a level look: for a legend."""
        return VisualStyle.from_rich_style(self._level_style(level))

    @property
    def copied_style(self) -> VisualStyle:
        """How copied characters look: for a legend."""
        return VisualStyle.from_rich_style(self._copied_style)

    @property
    def own_style(self) -> VisualStyle:
        """How the user's own characters look, the prime too: for a legend."""
        return VisualStyle.from_rich_style(self.part_style("own"))

    def forget_styles(self) -> None:
        super().forget_styles()
        self._styles.clear()
        self._distinct.clear()
        self._level_styles = {}

    @property
    def selected(self) -> tuple[int, int] | None:
        """The positions of the selection: of its first character and after its last. ``None`` for no selection."""
        selection = self.text_selection if self.is_attached else None
        if selection is None:
            return None
        start, stop = self._positions(selection)
        return (start, stop) if start < stop else None

    def extend_selection(self, position: int) -> None:
        """Move the cursor to ``position`` and select the text in between; an existing selection grows or shrinks."""
        selected, anchor = self.selected, self._anchor
        if selected is None:
            anchor = self.cursor
        elif anchor not in selected:  # it was made by the mouse
            anchor = selected[0]
        self._anchor = anchor
        self.cursor = position
        self.reveal(position)
        self.screen.selections = {}
        self._select(anchor, min(position, self._length))

    def _select(self, start: int, stop: int) -> None:
        selection = Selection.from_offsets(self._drawn_offset(start), self._drawn_offset(stop))
        self.screen.selections = {**self.screen.selections, self: selection}

    @property
    def selection_end(self) -> int:
        """The end of the selection that :meth:`extend_selection` moves; the cursor if nothing is selected."""
        selected = self.selected
        if selected is None:
            return self.cursor
        return selected[0] if self._anchor == selected[1] else selected[1]

    def selection_updated(self, selection: Selection | None) -> None:
        self.repaint()

    # ---- the cursor

    @property
    def cursor(self) -> int:
        """The position of the cursor. At the end it is the length, and stays at the end as the text grows."""
        return self._length if self._cursor is None else self._cursor

    @cursor.setter
    def cursor(self, position: int | None) -> None:
        self._column = None
        self._cursor = None if position is None or position >= self._length else max(0, position)
        screen = self.screen if self.is_attached else None
        if isinstance(screen, TakesKeys):
            screen.before_draw(self._draw_cursor)
        else:
            self._draw_cursor()

    def _draw_cursor(self) -> None:
        """Draw the row that the cursor has left, and the row of the cursor."""
        for position in {self._cursor_drawn, self.cursor}:
            row = self._row_of(position)
            self._draw_again(row, row + 1)
        self._cursor_drawn = self.cursor

    @property
    def at_end(self) -> bool:
        return self._cursor is None

    def walk(self, characters: int, lines: int = 0) -> int:
        """Move the cursor by characters and rows and scroll it into view. Returns its new position."""
        if lines:
            column = self._column_of(self.cursor) if self._column is None else self._column
            self.cursor = self.rows_away(self.cursor, lines, column)
            self._column = column
        if characters:
            self.cursor = self.cursor + characters
        self.reveal(self.cursor)
        return self.cursor

    def _column_of(self, position: int) -> int:
        return self._text_layout.column_of(self._layout_index(position))

    def rows_away(self, position: int, rows: int, column: int | None = None) -> int:
        """The position so many rows below ``position``, in its column or another one: the start or the end of the text
        if there are not so many."""
        layout = self._text_layout
        row = self._row_of(position) + rows
        if not 0 <= row < layout.rows:
            return 0 if row < 0 else self._length
        return self._position(layout.position_at(row, self._column_of(position) if column is None else column))

    def row_start(self, position: int) -> int:
        """The first position in the row of ``position``."""
        return self._position(self._text_layout.row_span(self._row_of(position))[0])

    def row_end(self, position: int) -> int:
        """The last position in the row of ``position``: before the line break, or before the last character of a row
        that wraps."""
        layout = self._text_layout
        start, stop = layout.row_span(self._row_of(position))
        if stop >= self._layout_index(self._length) and not (stop > start and layout.ends_row(stop - 1)):
            return self._length
        return self._position(stop - 1)

    def go_to_end(self) -> None:
        """Put the cursor at the end, in view."""
        self.cursor = None
        self.reveal(self._length)

    def reveal(self, position: int) -> None:
        """Scroll just as far as needed to show ``position``."""
        if self.at_end and position >= self._length:
            self._show_end()
            return
        row, top, height = self._row_of(position), self.scroll_offset.y, self.size.height
        if row < top:
            self.scroll_to(y=row, animate=False, force=True)
        elif height and row >= top + height:
            self.scroll_to(y=row - height + 1, animate=False, force=True)

    # ---- finding

    def find_text(self) -> str:
        return self.text()

    def find_start(self) -> int:
        return 0 if self.at_end else self.cursor

    def show_search(self, search: Search, place: int | None) -> None:
        if search.needle and not self._search.needle:
            self.search_origin = self.cursor
        elif search.needle and place is None and self._found is not None:  # back to the start of the search
            self.cursor = self.search_origin
            self.reveal(self.cursor)
            self.post_message(self.CursorMoved(self._cursor))
        self._search, self._found = search, place
        if place is not None:
            self.cursor = place
            self.reveal(place)
            self.post_message(self.CursorMoved(self._cursor))
        self.repaint()

    def _found_styles(self, start: int, stop: int) -> dict[int, Style]:
        """The styles of the positions of a row that belong to a place that was found."""
        length = len(self._search.needle)
        first = max(0, start - length)
        styles: dict[int, Style] = {}
        for begin in self._search.places(self.text(first, min(stop + length, self._length))):
            name = "found-current" if first + begin == self._found else "found"
            style = self.part_style(name)
            styles |= dict.fromkeys(range(first + begin, first + begin + length), style)
        return styles

    def on_click(self, event: events.Click) -> None:
        if self.text_selection is not None or event.chain > 1:
            return
        offset = event.get_content_offset(self)
        if offset is not None:
            self.cursor = self._position(self._text_layout.position_at(offset.y + self.scroll_offset.y, offset.x))
            self.post_message(self.CursorMoved(self._cursor))

    # ---- scrolling and size

    def _show_end(self) -> None:
        # Forced, because the scrollbar that the newest row needs is not shown yet.
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    @property
    def following(self) -> bool:
        """Whether the end is in view, so that new text scrolls the view."""
        return self.scroll_offset.y >= self.max_scroll_y and not self.is_vertical_scrollbar_grabbed

    def resized(self) -> None:
        # One cell is left for the cursor after a full row, beside the scrollbar.
        width = self.scrollable_content_region.width - 1
        # Keep the cursor in view if it was, else the first row.
        top, height, layout = self.scroll_offset.y, self._height_before, self._text_layout
        shows_cursor = not height or top <= self._row_of(self.cursor) < top + height
        self._height_before = self.size.height
        first, selected = layout.starts[min(top, layout.rows - 1)], self.selected
        layout.resize(width)
        self.repaint()
        self._find_out_whether_verse()
        self._update_size()
        self.scroll_to(y=layout.row_of(first), animate=False, force=True)
        if shows_cursor:
            self.reveal(self.cursor)
        if selected is not None:
            self._select(*selected)

    def _update_size(self) -> None:
        """Tell the scrollbar how many rows there are. A new virtual size would lay out the whole screen, for which keys
        wait 20 to 30 ms; while the scrollbar stays, there is nothing to lay out."""
        size = Size(self.size.width, self._text_layout.rows)
        if self.show_vertical_scrollbar and size.height > self.size.height and size.width == self.virtual_size.width:
            self.set_reactive(ScrollView.virtual_size, size)
            self._move_scrollbar()
        else:
            self.virtual_size = size

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Replaces Textual's, which draws the scrollbar at every row."""
        if self.show_vertical_scrollbar:
            self._move_scrollbar()
        if round(old_value) != round(new_value):
            self.refresh(self.size.region)

    def _move_scrollbar(self) -> None:
        """Tell the scrollbar where the view is, if that moves its thumb, which is drawn in eighths of a cell: of a long
        text, many rows go by between two of these, and drawing the scrollbar takes as long as drawing the text."""
        if not self.size.height:  # the view is hidden
            return
        height, rows = self.size.height, max(self.virtual_size.height, self.size.height + 1)
        length = max(1.0, height / (rows / height))
        start = (height - length) * (self.scroll_y / (rows - height))
        thumb = int(8 * start), math.ceil(8 * length), height
        if thumb != self._thumb:
            self._thumb = thumb
            self.vertical_scrollbar.window_virtual_size = self.virtual_size.height
            self.vertical_scrollbar.position = self.scroll_y

    # ---- drawing

    def render_lines(self, crop: Region) -> list[Strip]:
        """Textual's own puts borders, padding, tints and filters on each row again whenever the view scrolls, for 1 to
        3 ms, a third of a frame. This view has none but padding, and keeps its rows with it."""
        lines = [self.render_line(y - self.styles.padding.top) for y in crop.line_range]
        background = self.background_colors[1]
        for line_filter in self.get_line_filters():
            lines = [line.apply_filter(line_filter, background) for line in lines]
        return [line.crop(*crop.column_span) for line in lines]

    def line_key(self, y: int) -> int | None:
        """The row ``y`` of those in view; ``None`` above and below the text."""
        row = y + self.scroll_offset.y
        return row if 0 <= y < self.size.height and row < self._text_layout.rows else None

    def blank_line(self) -> Strip:
        return Strip.blank(self.region.width, self.look())

    def draw_line(self, row: int) -> Strip:
        """A row with its padding."""
        layout, base = self._text_layout, self.look()
        start, stop = layout.row_span(row)
        cursor = self._layout_index(self.cursor)
        selected = self._selected(row)
        selection = self._selection_style() if selected else Style()
        found = self._found_styles(self._position(start), self._position(stop)) if self._search.needle else {}
        runs: list[tuple[str, Style]] = []
        suggested = range(self._suggested_at, self._suggested_at + self._suggested)
        unread, width_used = self._read_to, 0
        for index, (shown, cells) in enumerate(layout.glyphs(start, stop), start):
            position = index if index < suggested.stop else index - len(suggested)
            mark = SUGGESTED if index in suggested else self._marks[position]
            style = self._style(mark if unread is None or position < unread else without_levels(mark))
            if position in found and index not in suggested:
                style += found[position]
            if index in selected:
                style += selection
            if index == cursor and position not in found:
                shown, cells = (shown, cells) if shown.strip() or cells else ("↵", 1)
                style += self.part_style("cursor")
            width_used += cells
            if runs and runs[-1][1] is style:
                runs[-1] = (runs[-1][0] + shown, style)
            else:
                runs.append((shown, style))
        if cursor == len(layout) and row == layout.rows - 1:
            runs.append((" ", self.look("cursor")))
            width_used += 1
        width = self.size.width
        strip = Strip([Segment(text, base + style) for text, style in runs], width_used)
        strip = strip.adjust_cell_length(width, base).apply_offsets(0, row)
        if self._is_verse and row < layout.rows - 1 and not layout.ends_row(stop - 1):
            strip = self._mark_wrapped(strip, cursor == stop - 1, base)
        before = Strip.blank(self.styles.padding.left, base)
        return Strip.join([before, strip]).adjust_cell_length(self.region.width, base)

    def _mark_wrapped(self, strip: Strip, has_cursor: bool, base: Style) -> Strip:
        """Put the mark into the last cell of a row that is not under the scrollbar, if that is blank."""
        last = self.scrollable_content_region.width - 1
        if strip.crop(last, last + 1).text.strip() or has_cursor:
            return strip
        mark = Segment(WRAPPED, base + self.part_style("wrapped"))
        return Strip.join([strip.crop(0, last), Strip([mark], 1), strip.crop(last + 1)])

    def _style(self, mark: int) -> Style:
        if (style := self._styles.get(mark)) is None:
            style = self._make_style(mark)
            # One object for equal styles, so that neighbours with the same style become one segment.
            self._styles[mark] = style = self._distinct.setdefault(style, style)
        return style

    def _make_style(self, mark: int) -> Style:
        if not self._shows_levels:
            mark = without_levels(mark) & ~COPIED
        source, style = origin(mark), Style()
        if source is Origin.SUGGESTION:
            style += self.part_style("suggestion")
        elif source is not Origin.MODEL and not self._scale.diverging:  # whose low end is italic too
            style += self.part_style("own")
        style += self._level_style(level(mark, self._scale))
        # On a diverging scale, underlined is high.
        return style + self._copied_style if mark & COPIED and not self._scale.diverging else style

    def _level_style(self, level: int) -> Style:
        if level in (0, self._scale.plain_level):
            return Style()
        if not self.shows_backgrounds:
            name = "diverging" if self._scale.diverging else "level"
            return self.part_style(f"{name}-{level}")
        if not self._level_styles:
            self._level_styles = self._background_styles()
        return self._level_styles[level]

    def _background_styles(self) -> dict[int, Style]:
        if not self._scale.diverging:
            return dict(enumerate(level_styles(self, "surprise"), 2))
        # The ends have a mark too, so that they are not told apart by the hue alone.
        low, _, lowest = level_styles(self, "primary")
        high, _, highest = level_styles(self, "accent")
        return {1: lowest + Style(italic=True), 2: low, 4: high, 5: highest + Style(underline=True)}

    @property
    def _copied_style(self) -> Style:
        return self.part_style("copied-underlined" if self.shows_backgrounds else "copied")

    def _selection_style(self) -> Style:
        """Textual's colour of a selection, with a text colour that can be read on it: Textual's style has none, and
        that of the text may be the same as the selection's."""
        _, _, background, text = self.colors
        selected = background + self.screen.get_component_styles("screen--selection").background
        return Style.from_color(legible(text, (selected,), TEXT).rich_color, selected.rich_color)

    # ---- selection: Textual counts rows, and characters as they are drawn in a row

    def _selected(self, row: int) -> range:
        selection = self.text_selection
        span = selection.get_span(row) if selection is not None else None
        if span is None:
            return range(0)
        start, stop = self._text_layout.row_span(row)
        first, last = span
        return range(self._drawn_at(start, stop, first), stop if last == -1 else self._drawn_at(start, stop, last))

    def _drawn_at(self, start: int, stop: int, offset: int) -> int:
        """The position whose glyph holds the ``offset``-th drawn character of a row."""
        drawn = 0
        for step, (shown, _) in enumerate(self._text_layout.glyphs(start, stop)):
            if drawn >= offset:
                return start + step
            drawn += len(shown)
        return stop

    def _drawn_offset(self, position: int) -> Offset:
        """Where ``position`` is, as Textual counts."""
        row, index = self._row_of(position), self._layout_index(position)
        start, _ = self._text_layout.row_span(row)
        return Offset(sum(len(shown) for shown, _ in self._text_layout.glyphs(start, index)), row)

    def _positions(self, selection: Selection) -> tuple[int, int]:
        start = 0 if selection.start is None else self._position_at(selection.start)
        return start, self._length if selection.end is None else self._position_at(selection.end)

    def _position_at(self, offset: Offset) -> int:
        """The position at an offset, as Textual counts."""
        layout = self._text_layout
        if offset.y >= layout.rows:
            return self._length
        return self._position(self._drawn_at(*layout.row_span(offset.y), offset.x))

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        return self.text(*self._positions(selection)), "\n"
