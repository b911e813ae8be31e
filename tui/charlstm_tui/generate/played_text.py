"""The text that is played, in its view: moving the cursor in it, and what a writer's keys do.

The player's thread has the text; the view shows it a moment later. Keys that need no more than the text act there, on
the text as it is when their turn comes. Those that need rows wait until the view shows what the keys before them did.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from textual.events import Key

from charlstm.generation.document import LONGEST_WORD
from charlstm_tui.generate.stream_view import StreamView
from charlstm_tui.player import operations
from charlstm_tui.player.operations import Operation, SeenPosition
from charlstm_tui.player.state import PlaybackState
from charlstm_tui.player.thread import Player
from charlstm_tui.widgets.text_input import has_alt

LONGEST_WAIT = 1.0
"""Seconds for which an action waits until the view shows what the keys before did: reading a long text again after an
edit may take longer."""


class PlayedText:
    """The text of ``player``, as ``view`` shows it. In Write, ``writing``, the cursor goes into the prime too."""

    def __init__(self, player: Player, view: StreamView) -> None:
        self.player, self.view = player, view
        self.writing = False
        self.running = False
        """Whether the player generates."""
        self.prime_length = 0
        self._version = self._done = 0  # of the state that the view shows
        self._placed = 0  # how much was asked for when the cursor was put somewhere: before that it was elsewhere
        self._cuts_seen = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_its_turn = False  # of what has waited and is done now
        self._settled = asyncio.Event()

    # ---- the view and the player's thread

    def do(self, operation: Operation, *arguments: Any) -> None:
        """Let the player do something."""
        self.player.do(operation, *arguments)

    @property
    def cursor(self) -> SeenPosition:
        """The place of the view's cursor."""
        return self.at(self.view.cursor)

    def at(self, position: int) -> SeenPosition:
        """A place of the text that the view shows."""
        return SeenPosition(position, self._version)

    def show(self, before: PlaybackState | None, state: PlaybackState) -> None:
        """Show what has changed of the text and where its cursor is; what waited for that is done then."""
        view, is_new = self.view, before is None or before.session_id != state.session_id
        if is_new:
            view.clear()
        view.replace(state.start, state.start + state.removed, state.text, state.marks)
        view.set_marks(state.figures_start, state.figures, state.read_to)
        is_later = is_new or state.done >= self._placed
        if is_later and (not view.at_end or state.position < state.size) and view.cursor != state.position:
            view.cursor = state.position
        if is_later and moves_cursor(before, state):
            if not is_new and state.start < state.position <= state.start + len(state.text):
                view.reveal(state.start)  # what came in before the cursor, or as much of it as the view can show
            view.reveal(view.cursor)
        self._version, self._done, self.prime_length = state.version, state.done, state.prime_length
        self.running = state.running
        if state.cuts != self._cuts_seen:
            self._cuts_seen = state.cuts
            self.view.app.copy_to_clipboard(state.cut)
        while self._waiting and self._is_shown:
            action, self._is_its_turn = self._waiting.popleft(), True
            try:
                action()
            finally:
                self._is_its_turn = False
        if self.is_settled:
            self._settled.set()

    @property
    def _is_shown(self) -> bool:
        return self._done >= self.player.asked.get(0, 0)

    @property
    def is_settled(self) -> bool:
        """Whether the view shows what was asked for before, and nothing waits for that."""
        return self._is_shown and not self._waiting

    async def settled(self) -> None:
        """Wait until :attr:`is_settled`, :data:`LONGEST_WAIT` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                while not self.is_settled:
                    self._settled.clear()
                    await self._settled.wait()

    def when_shown(self, action: Callable[[], None]) -> None:
        """Do something once the view shows what was asked for before."""
        if self._is_shown:
            self.in_turn(action)
        else:
            self._waiting.append(action)

    def in_turn(self, action: Callable[[], None]) -> None:
        """Do something after what waits for the view, as the keys for that were pressed before."""
        if self._is_its_turn or not self._waiting:
            action()
        else:
            self._waiting.append(action)

    @property
    def _first(self) -> int:
        """The first position that the cursor can have."""
        return 0 if self.writing else self.prime_length

    # ---- moving

    def move_to(self, position: int) -> None:
        """Put the cursor before the character at ``position`` of the view."""
        self.view.cursor = max(position, self._first)
        self.view.reveal(self.view.cursor)
        if self.view.at_end:
            self.do(operations.MOVE_TO_END)
            self._placed = self.player.asked.get(0, 0)
        else:
            self._follow_view()

    def _follow_view(self) -> None:
        """Put the player's cursor where the view's is."""
        self.do(operations.MOVE_TO, self.cursor)
        self._placed = self.player.asked.get(0, 0)

    def do_walk(self, characters: int, lines: int) -> None:
        """Move the cursor by characters or rows; beyond the end, generate a character."""
        if characters > 0 and self.view.at_end and not self.running:
            self.do(operations.GENERATE_ONE)
        else:
            self.walk(characters, lines)

    def walk(self, characters: int, lines: int) -> None:
        """Move the cursor by characters or rows."""
        if lines:
            self.when_shown(lambda: self._walk_rows(lines))
        else:
            self.do(operations.MOVE_BY, characters)

    def _walk_rows(self, lines: int) -> None:
        if self.view.walk(0, lines) < self._first:
            self.view.cursor = self._first
        self._follow_view()

    def do_walk_words(self, direction: int) -> None:
        """Move the cursor by a word."""
        self.do(operations.MOVE_BY_WORD, direction)

    def do_walk_page(self, direction: int) -> None:
        """Move the cursor by as many rows as are in view."""
        self.walk(0, direction * max(1, self.view.size.height - 1))

    def do_walk_row(self, direction: int) -> None:
        """Move the cursor to the beginning (-1) or the end (1) of its row."""
        view = self.view
        ends = view.row_start if direction < 0 else view.row_end
        self.when_shown(lambda: self.move_to(ends(view.cursor)))

    def do_walk_text(self, direction: int) -> None:
        """Move the cursor to the beginning (-1) or the end (1) of the text."""
        self.move_to(0 if direction < 0 else self.view.length)

    # ---- writing

    def handle(self, event: Key) -> bool:
        """What a key does in every text editor: move, select, erase or type. Returns whether it does anything."""
        if (moves := _MOVES.get(event.key)) is not None:
            act = self._moves(moves)
        elif (selects_to := _SELECTS.get(event.key)) is not None:
            act = self._selects(selects_to)
        elif (erases := _ERASES.get(event.key)) is not None:
            act = self._erases(erases)
        elif event.key == "enter":
            act = self._types("\n")
        elif event.key == "ctrl+v":
            act = self.paste
        elif event.character is not None and event.is_printable and not has_alt(event):
            act = self._types(event.character)
        else:
            return False
        self.in_turn(act)
        return True

    def _moves(self, moves: Callable[[PlayedText], None]) -> Callable[[], None]:
        def act() -> None:
            self.view.screen.clear_selection()
            moves(self)

        return act

    def _selects(self, selects_to: Callable[[StreamView, int], int]) -> Callable[[], None]:
        def select() -> None:
            self.view.extend_selection(max(0, selects_to(self.view, self.view.selection_end)))
            self._follow_view()

        return lambda: self.when_shown(select)

    def _erases(self, erases: tuple[Operation, tuple[int, ...]]) -> Callable[[], None]:
        def act() -> None:
            if not self._replace_selected(""):
                self.do(erases[0], *erases[1])

        return act

    def _types(self, typed: str) -> Callable[[], None]:
        return lambda: self.type(typed)

    def type(self, typed: str) -> None:
        """Put ``typed`` in at the cursor, or in the place of what is selected."""
        if not self._replace_selected(typed):
            self.do(operations.INSERT, typed)

    def paste(self) -> None:
        """Put what was cut or copied last in at the cursor, or in the place of what is selected."""
        self.do(operations.PASTE, self.view.app.clipboard, self._cuts_seen, *(self._selected() or ()))

    def _selected(self) -> tuple[SeenPosition, SeenPosition] | None:
        """The places of the selection, which ends; ``None`` if nothing is selected."""
        selected = self.view.selected
        if selected is None:
            return None
        self.view.screen.clear_selection()
        start, stop = (self.at(max(end, self._first)) for end in selected)
        return start, stop

    def _replace_selected(self, typed: str) -> bool:
        """Put ``typed`` in the place of what is selected. Returns whether something is."""
        selected = self._selected()
        if selected is None:
            return False
        self.do(operations.REPLACE, *selected, typed)
        return True

    def cut_selected(self) -> bool:
        """Take out what is selected, for the clipboard. Returns whether something is."""
        selected = self._selected()
        if selected is None:
            return False
        self.do(operations.CUT, *selected)
        return True

    def cut_rest(self) -> None:
        """Take out what stands after the cursor, for the clipboard."""
        self.view.screen.clear_selection()
        self.do(operations.CUT_REST)


def moves_cursor(before: PlaybackState | None, state: PlaybackState) -> bool:
    """Whether the cursor or the text before it is another. Text that streams does not count: one may read another part
    meanwhile."""
    if before is None or before.session_id != state.session_id:
        return True
    if before.running and state.start >= before.size:
        return False
    return before.position != state.position or bool(state.text or state.removed)


def _word_before(text: StreamView, position: int) -> int:
    found = re.search(r"\S*\s*$", text.text(max(0, position - LONGEST_WORD), position))
    return position if found is None else position - len(found.group())


def _word_after(text: StreamView, position: int) -> int:
    found = re.match(r"\s*\S*", text.text(position, position + LONGEST_WORD))
    return position if found is None else position + found.end()


_MOVES: dict[str, Callable[[PlayedText], None]] = {
    "left": lambda text: text.do(operations.MOVE_BY, -1),
    "right": lambda text: text.do(operations.MOVE_BY, 1),
    "ctrl+left": lambda text: text.do(operations.MOVE_BY_WORD, -1),
    "ctrl+right": lambda text: text.do(operations.MOVE_BY_WORD, 1),
    "alt+left": lambda text: text.do(operations.MOVE_BY_WORD, -1),
    "alt+right": lambda text: text.do(operations.MOVE_BY_WORD, 1),
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

_ERASES: dict[str, tuple[Operation, tuple[int, ...]]] = {
    "backspace": (operations.ERASE, (1, 0)),
    "delete": (operations.ERASE, (0, 1)),
    "ctrl+w": (operations.ERASE_WORD, (-1,)),
    "ctrl+backspace": (operations.ERASE_WORD, (-1,)),
    "ctrl+delete": (operations.ERASE_WORD, (1,)),
    "alt+backspace": (operations.ERASE_WORD, (-1,)),
    "alt+delete": (operations.ERASE_WORD, (1,)),
    "alt+d": (operations.ERASE_WORD, (1,)),
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
