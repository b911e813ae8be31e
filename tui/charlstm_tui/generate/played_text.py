"""The text that is played, in its view: moving the cursor in it, and what a writer's keys do.

Positions are the view's; the prime, which stands before the text, is never entered.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from textual.events import Key

from charlstm.generation.editor import LONGEST_WORD
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.thread import Player
from charlstm_tui.widgets.text_input import has_alt

END = sys.maxsize
"""A position behind every text."""


class PlayedText:
    """The text of ``player`` after ``base`` characters of prime, as ``view`` shows it.

    The player has what keys before the last ones did; the view may not show it yet.
    """

    def __init__(self, player: Player, view: StreamView) -> None:
        self.player, self.view = player, view
        self.base = 0

    @property
    def cursor(self) -> int:
        """The position of the cursor, counted from the end of the prime."""
        return max(0, self.view.cursor - self.base)

    # ---- moving

    def move_to(self, position: int) -> None:
        """Put the cursor before the character at ``position`` of the view."""
        self.view.cursor = max(position, self.base)
        self.view.reveal(self.view.cursor)
        # The view may not have the last keys yet: its end is the end of the text, wherever that is.
        self.player.move_to(self.cursor if self.view.cursor < self.view.length else END)

    def walk(self, characters: int, lines: int) -> None:
        """Move the cursor by characters and rows."""
        position = self.view.walk(characters, lines)
        if position < self.base:
            self.view.cursor = self.base
        self.player.move_to(self.cursor)

    def walk_page(self, direction: int) -> None:
        """Move the cursor by as many rows as are in view."""
        self.walk(0, direction * max(1, self.view.size.height - 1))

    def walk_row(self, direction: int) -> None:
        """Move the cursor to the beginning (-1) or the end (1) of its row."""
        view = self.view
        self.move_to(view.row_start(view.cursor) if direction < 0 else view.row_end(view.cursor))

    def walk_text(self, direction: int) -> None:
        """Move the cursor to the beginning (-1) or the end (1) of the text."""
        self.move_to(0 if direction < 0 else self.view.length)

    # ---- writing

    def handle(self, event: Key) -> bool:
        """What a key does in every text editor: move, select, erase or type. Returns whether it does anything."""
        if (moves := _MOVES.get(event.key)) is not None:
            self.view.screen.clear_selection()
            moves(self)
        elif (selects_to := _SELECTS.get(event.key)) is not None:
            self.view.extend_selection(max(self.base, selects_to(self.view, self.view.selection_end)))
            self.player.move_to(self.cursor)
        elif (erases := _ERASES.get(event.key)) is not None:
            if not self._replace_selected(""):
                erases(self.player)
        elif event.key == "enter":
            self.type("\n")
        elif event.key == "ctrl+v":
            self.type(self.view.app.clipboard)
        elif event.character is not None and event.is_printable and not has_alt(event):
            self.type(event.character)
        else:
            return False
        return True

    def type(self, typed: str) -> None:
        """Put ``typed`` in at the cursor, or in the place of what is selected."""
        if not self._replace_selected(typed):
            self.player.insert_at_cursor(typed)

    def _replace_selected(self, typed: str) -> bool:
        """Put ``typed`` in the place of what is selected. Returns whether something is."""
        selected = self.view.selected
        if selected is None:
            return False
        self.view.screen.clear_selection()
        start, stop = (max(0, end - self.base) for end in selected)
        if start < stop:
            self.player.replace(start, stop, typed)
        return True

    def cut_selected(self) -> str | None:
        """Take out what is selected, and return it; ``None`` when nothing is."""
        selected = self.view.selected
        if selected is None:
            return None
        text = self.view.text(max(selected[0], self.base), selected[1])
        self._replace_selected("")
        return text

    def cut_rest(self) -> str:
        """Take out what stands after the cursor, and return it."""
        self.view.screen.clear_selection()
        text = self.view.text(self.view.cursor, self.view.length)
        if text:
            self.player.replace(self.cursor, END)
        return text


def _word_before(text: StreamView, position: int) -> int:
    found = re.search(r"\S*\s*$", text.text(max(0, position - LONGEST_WORD), position))
    return position if found is None else position - len(found.group())


def _word_after(text: StreamView, position: int) -> int:
    found = re.match(r"\s*\S*", text.text(position, position + LONGEST_WORD))
    return position if found is None else position + found.end()


_MOVES: dict[str, Callable[[PlayedText], None]] = {
    "left": lambda text: text.player.move_by(-1),
    "right": lambda text: text.player.move_by(1),
    "ctrl+left": lambda text: text.player.move_by_word(-1),
    "ctrl+right": lambda text: text.player.move_by_word(1),
    "alt+left": lambda text: text.player.move_by_word(-1),
    "alt+right": lambda text: text.player.move_by_word(1),
    "up": lambda text: text.walk(0, -1),
    "down": lambda text: text.walk(0, 1),
    "pageup": lambda text: text.walk_page(-1),
    "pagedown": lambda text: text.walk_page(1),
    "home": lambda text: text.walk_row(-1),
    "ctrl+a": lambda text: text.walk_row(-1),
    "end": lambda text: text.walk_row(1),
    "ctrl+e": lambda text: text.walk_row(1),
    "ctrl+home": lambda text: text.walk_text(-1),
    "ctrl+end": lambda text: text.walk_text(1),
}
"""What the keys of every text editor do in Write: they move the cursor."""

_SELECTS: dict[str, Callable[[StreamView, int], int]] = {
    "shift+left": lambda text, end: end - 1,
    "shift+right": lambda text, end: end + 1,
    "shift+up": lambda text, end: text.rows_away(end, -1),
    "shift+down": lambda text, end: text.rows_away(end, 1),
    "shift+home": lambda text, end: text.row_start(end),
    "shift+end": lambda text, end: text.row_end(end),
    "ctrl+shift+left": _word_before,
    "ctrl+shift+right": _word_after,
    "ctrl+shift+home": lambda text, end: 0,
    "ctrl+shift+end": lambda text, end: text.length,
}
"""The same with Shift: where they move the end of the selection."""

_ERASES: dict[str, Callable[[Player], None]] = {
    "backspace": lambda player: player.erase(before=1),
    "delete": lambda player: player.erase(after=1),
    "ctrl+w": lambda player: player.erase_word(-1),
    "ctrl+backspace": lambda player: player.erase_word(-1),
    "ctrl+delete": lambda player: player.erase_word(1),
    "alt+backspace": lambda player: player.erase_word(-1),
    "alt+delete": lambda player: player.erase_word(1),
    "alt+d": lambda player: player.erase_word(1),
}
"""The same for keys that remove characters."""
EDITING_KEYS = (
    ("← → ↑ ↓", "Move the cursor; with Ctrl or Alt by a word."),
    ("Home End", "Go to the start or the end of the line (Ctrl+A, Ctrl+E); with Ctrl of the text."),
    ("PgUp PgDn", "Move by one page."),
    ("Shift", "With one of these keys: select."),
    ("Backspace Del", "Remove a character; with Ctrl or Alt a word (Ctrl+W, Alt+D)."),
)
"""All of these in words, for the help."""
