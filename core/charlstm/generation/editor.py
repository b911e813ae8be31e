"""Edit a session's text as a text editor does, with undo and redo.

A session's text grows at the cursor only, as the model has to read every character in its order. Here text is put in
and taken out anywhere, and what follows stays: it is set aside as ``rest`` while the text before it changes. The model
reads it again in :meth:`Editor.read`, once for many edits and as little at a time as is asked for; what stands before
an edit is not read again. The earlier text remains in the session's tree.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from charlstm import arguments
from charlstm.generation.prime import prepare_prime
from charlstm.generation.session import Session
from charlstm.generation.tree import TYPED, Pruned, Rows

MOST_CHANGES = 1000
"""Changes that can be undone."""

CHUNK = 128
"""Characters that are put in between two calls of ``check``."""
READ_CHUNK = 8
"""Characters that the model reads between two calls of ``proceed``: some 10 ms with a network of 2×512."""

LONGEST_WORD = 200
"""Characters among which the beginning or end of a word is looked for."""

MOVE, TYPE, ERASE, GENERATE, PRUNE, ALTERNATIVE = (
    "moving", "typing", "erasing", "generating", "pruning", "showing alternatives"
)  # fmt: skip
"""Kinds of changes; those that are announced by :meth:`Editor.record` may have others."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """What the text was at one moment: ``length`` characters on the path to ``branch``, and then the ``rest``; and the
    session's seed."""

    branch: int
    length: int
    position: int
    rest: Rows
    seed: int

    def same(self, other: Mark) -> bool:
        place, other_place = (
            (each.branch, each.length, each.position, each.rest["id"].tobytes(), each.seed) for each in (self, other)
        )
        return place == other_place


@dataclass(frozen=True, slots=True)
class Change:
    """One change: what it was, the text on its other side, and the branch that it removed, if any."""

    kind: str
    mark: Mark
    pruned: Pruned | None = None


class Editor:
    """A session with what was done to it. Changes that are not made by this class are announced by :meth:`record`.

    Attributes:
        rest: the characters after the session's text, which the model has not read again. Their statistics are those
            from before.
        changes: how many changes were recorded so far.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.rest: Rows = session.rows(0, 0)
        self.changes = 0
        self._undo: deque[Change] = deque(maxlen=MOST_CHANGES)
        self._redo: list[Change] = []
        self._change_end: int | None = None  # where typing or erasing goes on as the same change

    def __len__(self) -> int:
        """Number of characters of the text, with the rest."""
        return len(self.session) + len(self.rest)

    @property
    def text(self) -> str:
        """The whole text, without the prime."""
        return self.session.read() + self.session.model.vocabulary.decode(self.rest["id"])

    def rows(self, start: int = 0) -> Rows:
        """Statistics of the characters from ``start`` on; those of the rest are from before the change."""
        length = len(self.session)
        if not len(self.rest):
            return self.session.rows(start)
        if start >= length:
            return self.rest[start - length :]
        return np.concatenate([self.session.rows(start), self.rest])

    # -- history -------------------------------------------------------------------------------------------------

    @property
    def undoable(self) -> str:
        """What :meth:`undo` would undo; empty for nothing."""
        return self._undo[-1].kind if self._undo else ""

    @property
    def redoable(self) -> str:
        """What :meth:`redo` would redo; empty for nothing."""
        return self._redo[-1].kind if self._redo else ""

    def record(self, kind: str, *, joins: bool = False) -> None:
        """The text is about to be changed. Nothing that was undone can be redone from now on. With ``joins`` it is no
        change of its own if the last one is of the same kind and ended here (:meth:`end_change`)."""
        if not (joins and kind == self.undoable and self.session.position == self._change_end):
            self._undo.append(Change(kind, self._mark()))
        self._redo.clear()
        self.changes += 1
        self._change_end = None

    @contextmanager
    def changing(self, kind: str, *, joins: bool = False) -> Iterator[None]:
        """Announce a change, as :meth:`record` does, that the block makes. If the block raises an exception, text,
        cursor, branches and history are as they were before."""
        before, branches = self._mark(), set(self.session.tree)
        history = (self._undo.copy(), self._redo.copy(), self.changes, self._change_end)
        self.record(kind, joins=joins)
        try:
            yield
        except BaseException:
            for number in [number for number in self.session.tree if number not in branches]:
                if number in self.session.tree:  # it may have gone with its parent
                    self.session.prune(number)
            self._go_to(before)
            self._undo, self._redo, self.changes, self._change_end = history
            raise

    def end_change(self) -> None:
        """The change that was announced ends at the cursor."""
        self._change_end = self.session.position

    def move(self, position: int, *, undoable: bool = True) -> None:
        """Move the cursor. Moves one after another are one change, if they are ``undoable`` at all; while there is
        something to redo they are none, so that one can look around before deciding."""
        before = self._mark()
        self.read(position)
        self.session.rewind(position)
        if position == before.position:
            return
        if undoable and not self._redo and self.undoable != MOVE:
            self._undo.append(Change(MOVE, before))
        self._change_end = None

    def word_before(self) -> int:
        """Characters from the beginning of the word before the cursor to the cursor, with the spaces after it."""
        position = self.session.position
        found = re.search(r"\S*\s*$", self.session.read(max(0, position - LONGEST_WORD), position))
        return 0 if found is None else len(found.group())

    def word_after(self) -> int:
        """Characters from the cursor to the end of the next word, with the spaces before it."""
        position = self.session.position
        rows = self.rows(position)[:LONGEST_WORD]
        found = re.match(r"\s*\S*", self.session.model.vocabulary.decode(rows["id"]))
        return 0 if found is None else found.end()

    def prune(self, number: int) -> None:
        """Remove a branch of the session, as :meth:`Session.prune` does."""
        before = self._mark()
        pruned = self.session.prune(number)
        self.record(PRUNE)
        self._undo[-1] = Change(PRUNE, before, pruned)

    def undo(self) -> str:
        """Go back before the last change. Returns what it was; empty if there was none."""
        return self._go_back(self._undo, self._redo, self._put_back)

    def redo(self) -> str:
        """Make the last change again that was undone. Returns what it is; empty if there is none."""
        return self._go_back(self._redo, self._undo, lambda pruned: self.session.prune(pruned.number))

    def _put_back(self, pruned: Pruned) -> Pruned:
        self.session.put_back_branch(pruned)
        return pruned

    def _go_back(
        self, changes: deque[Change] | list[Change], others: deque[Change] | list[Change],
        restore: Callable[[Pruned], Pruned],
    ) -> str:  # fmt: skip
        self._change_end = None
        while changes:
            change, here = changes.pop(), self._mark()
            if change.pruned is None and change.mark.same(here):
                continue  # it came to nothing
            pruned = None if change.pruned is None else restore(change.pruned)
            others.append(Change(change.kind, here, pruned))
            self._go_to(change.mark)
            return change.kind
        return ""

    def _go_to(self, mark: Mark) -> None:
        self.session.switch(mark.branch, mark.position, mark.length)
        self.rest, self.session.seed = mark.rest, mark.seed

    def _mark(self) -> Mark:
        session = self.session
        number = next(number for number, branch in session.tree.items() if branch is session.tip)
        return Mark(number, len(session), session.position, self.rest, session.seed)

    # -- editing -------------------------------------------------------------------------------------------------

    def insert(
        self, text: str, check: Callable[[int], object] = lambda done: None, *, at: int | None = None
    ) -> dict[str, int]:
        """Put the user's own text in at the cursor; or at position ``at``, in place of all that follows. Words that are
        typed are one change each, with the space after them.

        ``check`` is called now and then with the number of characters that are in; an exception that it raises ends the
        work there. Returns the characters that the model does not know, with their counts; they are left out. A text of
        which it knows none changes nothing.

        Raises :class:`GenerationError` if there is no position ``at``.
        """
        session = self.session
        at = None if at is None else arguments.whole("at", at, 0, len(self))
        rows, unknown = self._known(text)
        if not len(rows):
            return unknown
        if at is not None:
            self.join()
            self.record(TYPE)
            session.rewind(at)
            session.cut()
        else:
            self.record(TYPE, joins=self._continues_word(text))
            self.open()
        self._type(rows, check)
        return unknown

    def _known(self, text: str) -> tuple[Rows, dict[str, int]]:
        """The user's own text as rows without statistics, and the characters that the model does not know with their
        counts. The model's text options are applied to the whole text, since a line end may be two characters."""
        prepared = prepare_prime(self.session.model, text, empty_is_fine=True)
        rows = np.zeros(len(prepared.ids), self.rest.dtype)
        rows["id"], rows["source"] = prepared.ids, TYPED
        return rows, prepared.unknown

    def _type(self, rows: Rows, check: Callable[[int], object]) -> None:
        try:
            for start in range(0, len(rows), CHUNK):
                check(start)
                self.session.put_back(rows[start : start + CHUNK])
        finally:
            self.end_change()

    def _continues_word(self, text: str) -> bool:
        position = self.session.position
        before = self.session.read(max(0, position - 1), position)
        return len(text) == 1 and (text.isspace() or not before.isspace())

    def step(self) -> None:
        """Generate a character at the end of the text. Those that are generated one after another are one change."""
        self.join()
        session = self.session
        with self.changing(GENERATE, joins=session.position == len(session)):
            session.rewind(len(session))
            session.step()
        self.end_change()

    def erase(self, before: int = 0, after: int = 0) -> None:
        """Remove characters before and after the cursor, as many as there are of them."""
        session = self.session
        before = min(arguments.whole("before", before, 0), session.position)
        after = min(arguments.whole("after", after, 0), len(self) - session.position)
        if not before and not after:
            return
        self.record(ERASE, joins=True)
        self.open()
        self.rest = self.rest[after:]
        session.rewind(session.position - before)
        session.cut()
        self.end_change()

    def replace(
        self, start: int, stop: int, text: str = "", check: Callable[[int], object] = lambda done: None
    ) -> dict[str, int]:
        """Put the user's own text in the place of the characters from ``start`` to ``stop``, which is one change; what
        follows stays. ``check`` and what is returned are those of :meth:`insert`. A text of which the model knows no
        character changes nothing; an empty one removes the characters.

        Raises :class:`GenerationError` if there is no position ``start``, or ``stop`` is before it.
        """
        session = self.session
        start = arguments.whole("start", start, 0, len(self))
        stop = min(arguments.whole("stop", stop, start), len(self))
        rows, unknown = self._known(text)
        if text and not len(rows):
            return unknown
        self.record(TYPE if text else ERASE)
        self.read(start)
        session.rewind(start)
        self.open()
        self.rest = self.rest[stop - start :]
        self._type(rows, check)
        return unknown

    def put_generated(self, text: str, kind: str) -> None:
        """Put a text that the model has suggested in at the cursor; what follows stays."""
        with self.changing(kind):
            self.open()
            self.session.put_generated(text)

    def show_alternative(self, direction: int, length: int) -> bool:
        """Put the next less likely character (``direction`` 1) or likelier one (-1) at the cursor, in place of the one
        that is there, and continue it by ``length`` characters at most or to the end of the line, if it was not there
        before. The cursor stays. Without a character at the cursor, the likeliest one is put there.

        Returns whether there is such a character.
        """
        self.join()
        session, position = self.session, self.session.position
        chars = [one.char for one in session.next_char_distribution(len(session.model.vocabulary)).alternatives]
        place = chars.index(session.read(position, position + 1)) + direction if position < len(session) else 0
        if not 0 <= place < len(chars):
            return False
        with self.changing(ALTERNATIVE, joins=True):
            session.choose(chars[place])
            if session.position == len(session):
                for _ in range(length if chars[place] != "\n" else 0):
                    if session.step().char == "\n":
                        break
            session.rewind(position)
        self.end_change()
        return True

    def without_prime(self) -> Editor:
        """An editor of the same text in a new session, where the prime is the beginning of the text and can be edited
        too. The cursor is at the beginning; the model has read nothing yet. Branches and changes stay here."""
        session, rows = self.session.without_prime()
        editor = Editor(session)
        editor.rest = np.concatenate([rows, self.rest])
        return editor

    def open(self) -> None:
        """Set aside what follows the cursor, so that the text can change before it."""
        session = self.session
        if session.position < len(session):
            self.rest = np.concatenate([session.rows(session.position), self.rest])
            session.cut()

    def join(self) -> None:
        """Let the model read all of the rest; the cursor stays."""
        self.read(len(self))

    def read(self, until: int, proceed: Callable[[], bool] = lambda: True) -> None:
        """Let the model read the rest up to position ``until``; the cursor stays. ``proceed`` is asked every
        :data:`READ_CHUNK` characters whether to continue; what was read by then stays read."""
        session, rest = self.session, self.rest
        position, start, until = session.position, len(session), min(until, len(self))
        if until <= start:
            return
        session.rewind(start)
        try:
            while len(session) < until and proceed():
                done = len(session)
                session.put_back(rest[done - start : min(until, done + READ_CHUNK) - start])
        finally:
            self.rest = rest[len(session) - start :]
            session.rewind(position)
