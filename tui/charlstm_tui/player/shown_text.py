"""A text as a display shows it, with the figures of its characters."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Protocol

from charlstm.generation.document import Splice, State
from charlstm.generation.text_pieces import Text
from charlstm_tui.player.figures import Figures, NewFigures, marks_of


class Display(Protocol):
    """Where a text is shown, with a cursor before the character at a position or at the end."""

    @property
    def cursor(self) -> int: ...
    @cursor.setter
    def cursor(self, position: int | None) -> None: ...
    def clear(self) -> None: ...
    def replace(self, start: int, stop: int, text: str, marks: Iterable[int]) -> None: ...
    def set_marks(self, start: int, marks: array[int], read_to: int | None) -> None: ...


class ShownText:
    """What a display has of a text. ``figures`` are those of its characters, as far as it is read."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._state: State | None = None
        self._splice = Splice(0, 0, 0)  # since it was taken
        self.figures = Figures()

    def begin(self, prime_length: int) -> None:
        """Another text is shown from now on, all of it anew."""
        self._state, self.figures = None, Figures(prime_length)
        self._display.clear()

    def show(self, state: State) -> None:
        """Show what has changed of the text, and the cursor where it is: a view may have moved it beyond its limits."""
        if state is not self._state:
            self._show_change(self._state, state)
        if self._display.cursor != state.cursor:
            self._display.cursor = state.cursor

    def _show_change(self, before: State | None, after: State) -> None:
        """Show what has changed of the text. The prime looks different from the text: where it was edited, all of it is
        another."""
        self._state = after
        text, prime, known = after.text, after.prime_length, Text() if before is None else before.text
        if text is known and before is not None:
            return
        is_same_prime = before is not None and before.prime_length == prime
        start = known.same_start(text) if is_same_prime else 0
        end = known.same_end(text, min(len(known), len(text)) - start)
        if before is not None and not is_same_prime:
            end = max(0, min(end, len(known) - before.prime_length, len(text) - prime))
        added = text.part(start, len(text) - end)
        splice = Splice(start, len(known) - end - start, len(added))
        self._splice = self._splice.then(splice)
        if prime == self.figures.start:
            self.figures.cut(start)
        else:
            self.figures = Figures(prime)
        self._display.replace(start, start + splice.removed, added.read(), marks_of(added, start, prime))
        self._display.set_marks(start, array("H"), self.figures.read_to)

    def put(self, figures: NewFigures) -> None:
        """Show the figures of characters that were read."""
        self.figures.put(figures)
        self._display.set_marks(figures.start, figures.marks, self.figures.read_to)

    def take_splice(self) -> Splice:
        """What has changed of the text since this was asked last."""
        splice, self._splice = self._splice, Splice(0, 0, 0)
        return splice
