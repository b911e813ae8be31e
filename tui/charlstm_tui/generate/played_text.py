"""The text that is played, in its view: moving the cursor in it, and what a writer's keys do."""

from __future__ import annotations

import re
from collections.abc import Callable

from textual.events import Key

from charlstm.generation.document import LONGEST_WORD
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player.played import Played
from charlstm_tui.player.text_player import TextPlayer
from charlstm_tui.widgets.text_input import has_alt


class PlayedText:
    """The text of ``player``, as ``view`` shows it. In Write the cursor goes into the prime too."""

    def __init__(self, player: TextPlayer, view: StreamView) -> None:
        self.player, self._view = player, view

    @property
    def view(self) -> StreamView:
        """The view, with the text as it is now."""
        self.player.show_text()
        return self._view

    def follow(self, before: Played | None, played: Played) -> None:
        """Scroll to the cursor, if it has moved."""
        view, splice = self.view, played.splice
        if moves_cursor(before, played):
            is_new = before is None or before.session_id != played.session_id
            if not is_new and splice.start < played.position <= splice.start + splice.added:
                view.reveal(splice.start)  # what came in before the cursor, or as much of it as the view can show
            view.reveal(view.cursor)

    @property
    def _first(self) -> int:
        """The first position that the cursor can have."""
        return 0 if self.player.writing else self.player.document.prime_length

    # ---- moving

    def move_to(self, position: int) -> None:
        """Put the cursor before the character at ``position`` of the view."""
        self.player.move(position)
        self.player.before_draw(self._reveal_cursor)

    def _reveal_cursor(self) -> None:
        self.view.reveal(self.view.cursor)

    def do_walk(self, characters: int, lines: int) -> None:
        """Move the cursor by characters or rows; beyond the end, generate a character."""
        if characters > 0 and self.view.at_end and not self.player.running:
            self.player.generate_one()
        else:
            self.walk(characters, lines)

    def walk(self, characters: int, lines: int) -> None:
        """Move the cursor by characters or rows."""
        if lines:
            self.player.move(self.view.walk(0, lines))
        else:
            self.player.move_by(characters)

    def do_walk_words(self, direction: int) -> None:
        """Move the cursor by a word."""
        self.player.move_by_word(direction)

    def do_walk_page(self, direction: int) -> None:
        """Move the cursor by as many rows as are in view."""
        self.walk(0, direction * max(1, self.view.size.height - 1))

    def do_walk_row(self, direction: int) -> None:
        """Move the cursor to the beginning (-1) or the end (1) of its row."""
        view = self.view
        ends = view.row_start if direction < 0 else view.row_end
        self.move_to(ends(view.cursor))

    def do_walk_text(self, direction: int) -> None:
        """Move the cursor to the beginning (-1) or the end (1) of the text."""
        self.move_to(0 if direction < 0 else len(self.player.document))

    # ---- writing

    @staticmethod
    def handles(event: Key) -> bool:
        """Whether a key does something in every text editor."""
        typed = event.character is not None and event.is_printable and not has_alt(event)
        return typed or any(event.key in keys for keys in (_WALKS, _MOVES, _SELECTS, _ERASES, ("enter", "ctrl+v")))

    def handle(self, event: Key, times: int) -> int:
        """Do what such a key does: move, select, erase or type. Returns how many of ``times`` keys this was."""
        if (characters := _WALKS.get(event.key)) is not None:
            self._select_nothing()
            self.player.move_by(characters * times)
            return times
        if (moves := _MOVES.get(event.key)) is not None:
            self._select_nothing()
            moves(self)
        elif (selects_to := _SELECTS.get(event.key)) is not None:
            view = self.view
            view.extend_selection(max(0, selects_to(view, view.selection_end)))
            self.player.move(view.cursor)
        elif (erases := _ERASES.get(event.key)) is not None:
            if not self._replace_selected(""):
                erases(self.player)
        elif event.key == "ctrl+v":
            self.type(self.view.app.clipboard)
        else:
            self.type("\n" if event.key == "enter" else event.character or "")
        return 1

    def type(self, typed: str) -> None:
        """Put ``typed`` in at the cursor, or in the place of what is selected."""
        if not self._replace_selected(typed):
            self.player.insert(typed)

    def _selected(self) -> tuple[int, int] | None:
        """The positions of the selection, which ends; ``None`` if nothing is selected."""
        if self._view.selected is None or (selected := self.view.selected) is None:
            return None
        self._select_nothing()
        return max(selected[0], self._first), max(selected[1], self._first)

    def _select_nothing(self) -> None:
        if self._view.screen.selections:
            self._view.screen.clear_selection()

    def _replace_selected(self, typed: str) -> bool:
        """Put ``typed`` in the place of what is selected. Returns whether something is."""
        selected = self._selected()
        if selected is None:
            return False
        self.player.replace(*selected, typed)
        return True

    def cut_selected(self) -> bool:
        """Take out what is selected, for the clipboard. Returns whether something is."""
        selected = self._selected()
        if selected is None:
            return False
        self._copy(self.player.cut(*selected))
        return True

    def cut_rest(self) -> None:
        """Take out what stands after the cursor, for the clipboard."""
        self._select_nothing()
        self._copy(self.player.cut_rest())

    def _copy(self, taken: str) -> None:
        if taken:
            self.view.app.copy_to_clipboard(taken)


def moves_cursor(before: Played | None, played: Played) -> bool:
    """Whether the cursor or the text before it is another. Text that streams does not count: one may read another part
    meanwhile."""
    if before is None or before.session_id != played.session_id:
        return True
    splice = played.splice
    if before.running and splice.start >= before.size:
        return False
    return before.position != played.position or bool(splice.added or splice.removed)


def _word_before(text: StreamView, position: int) -> int:
    found = re.search(r"\S*\s*$", text.text(max(0, position - LONGEST_WORD), position))
    return position if found is None else position - len(found.group())


def _word_after(text: StreamView, position: int) -> int:
    found = re.match(r"\s*\S*", text.text(position, position + LONGEST_WORD))
    return position if found is None else position + found.end()


_WALKS = {"left": -1, "right": 1}
"""Keys that are held: as many of them as wait move the cursor at once."""
_MOVES: dict[str, Callable[[PlayedText], None]] = {
    "ctrl+left": lambda text: text.player.move_by_word(-1),
    "ctrl+right": lambda text: text.player.move_by_word(1),
    "alt+left": lambda text: text.player.move_by_word(-1),
    "alt+right": lambda text: text.player.move_by_word(1),
    "up": lambda text: text.walk(0, -1),
    "down": lambda text: text.walk(0, 1),
    "pageup": lambda text: text.do_walk_page(-1),
    "pagedown": lambda text: text.do_walk_page(1),
    "home": lambda text: text.do_walk_row(-1),
    "ctrl+a": lambda text: text.do_walk_row(-1),
    "end": lambda text: text.do_walk_row(1),
    "ctrl+e": lambda text: text.do_walk_row(1),
    "ctrl+home": lambda text: text.do_walk_text(-1),
    "ctrl+end": lambda text: text.do_walk_text(1),
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

_ERASES: dict[str, Callable[[TextPlayer], None]] = {
    "backspace": lambda player: player.erase(1, 0),
    "delete": lambda player: player.erase(0, 1),
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
