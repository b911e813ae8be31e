"""A text that keys change, without a model: moving, writing, choosing, branches, and what is said of each change."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from charlstm.display import plural
from charlstm.errors import CharLSTMError
from charlstm.generation.document import BranchInfo, Document, State, own_text
from charlstm.generation.rows import CHOSEN, GENERATED, TYPED
from charlstm.model.file import Model
from charlstm_tui.actions import key_of
from charlstm_tui.player.edits import branch_words, joint, read_as_words


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said of the last thing that was done."""

    note: str = ""
    failure: str = ""
    stop_reason: str = ""
    ended: bool = False


class TextEditor:
    """A text and what keys do to it. Who has a model for it fills in what follows from a change.

    Attributes:
        document: the text.
        writing: whether it is written: then what follows the cursor stays where something is put in.
    """

    def __init__(self) -> None:
        self.document = Document()
        self.writing = False
        self._outcome = Outcome()
        self._branches: tuple[State | None, tuple[BranchInfo, ...]] = (None, ())

    # ---- what follows from a change

    @property
    def model(self) -> Model | None:
        """The model, which is never modified."""
        return None

    def begin(self, *, touches: bool = True) -> None:
        """Something is asked for: what was said and asked before is over."""
        self._outcome = Outcome()

    def _is_edited(self) -> None:
        """The text is the user's work from now on, for which a session is kept."""

    def changed(self) -> None:
        """Something has changed."""

    def publish(self) -> None:
        """Tell how all is now."""

    def bring_up_to_date(self) -> None:
        """What follows from changes is done, such as showing and publishing."""

    def say(self, note: str = "", failure: str = "") -> None:
        self._outcome = replace(self._outcome, note=note, failure=failure)

    def _add_note(self, note: str, *, first: bool = False) -> None:
        notes = (note, self._outcome.note) if first else (self._outcome.note, note)
        self._outcome = replace(self._outcome, note=" ".join(filter(None, notes)))

    @contextlib.contextmanager
    def _changing(self, *, edits: bool = True) -> Iterator[Document]:
        """Change the text or the cursor. ``edits``: as the user's work, for which a session is kept."""
        self.begin()
        document = self.document
        before = document.state
        try:
            yield document
        except CharLSTMError as error:
            self.say(failure=str(error))
        if edits and document.state is not before:
            self._is_edited()
        if before.prime_length and not document.prime_length and not self._outcome.note:
            self.say("The prime is part of the text now.")
        self.changed()

    # ---- moving

    def move(self, position: int) -> None:
        """Put the cursor at a position."""
        first = 0 if self.writing else self.document.prime_length  # a writer's text has it too
        with self._changing(edits=False) as document:
            document.move(max(first, position), undoable=not self.writing)

    def move_by(self, characters: int) -> None:
        """Move the cursor by so many characters."""
        self.move(self.document.cursor + characters)

    def move_by_word(self, direction: int) -> None:
        """Move the cursor to the beginning of the word before it (-1) or the end of the next one (1)."""
        self.move_by(self.document.word_after() if direction > 0 else -self.document.word_before())

    def show_place(self, position: int) -> None:
        """Put the cursor at a place that was found; undo passes over it."""
        with self._changing(edits=False) as document:
            document.move(position, undoable=False)

    # ---- writing

    def insert(self, text: str) -> None:
        """Put the user's own text in at the cursor; what follows stays."""
        with self._changing() as document:
            document.insert(self._own(text))

    def replace(self, start: int, stop: int, text: str = "") -> None:
        """Put the user's own text, or nothing, in the place of the characters from ``start`` to ``stop``."""
        with self._changing() as document:
            document.replace(start, max(start, stop), self._own(text))

    def cut(self, start: int, stop: int) -> str:
        """Take out the characters from ``start`` to ``stop``. Returns them, for the clipboard."""
        with self._changing() as document:
            if taken := document.text.read(start, stop):
                document.replace(start, stop)
                self._add_note(f"Cut {plural(len(taken), 'character')}: {key_of('generate.undo')} brings them back.")
        return taken

    def cut_rest(self) -> str:
        """Take out what stands after the cursor. Returns it."""
        taken = self.cut(self.document.cursor, len(self.document))
        if not taken:
            self.say("There is nothing after the cursor.")
            self.publish()
        return taken

    def erase(self, before: int, after: int) -> None:
        """Remove so many characters before the cursor and after it."""
        with self._changing() as document:
            document.erase(before, after)

    def erase_word(self, direction: int) -> None:
        """Remove the word before the cursor (-1) or after it (1)."""
        document = self.document
        before, after = (0, document.word_after()) if direction > 0 else (document.word_before(), 0)
        self.erase(before, after)

    def insert_at(self, text: str, position: int) -> None:
        """Put the user's own text at a position; the text from there on stays as a branch."""
        with self._changing():
            if own := self._own(text):
                self._branch_off(position, own, TYPED, kind="typing", whole=False)

    def replace_found(self, pattern: re.Pattern[str], text: str, place: int | None, origin: int) -> None:
        """Replace what ``pattern`` finds: at ``place``, or everywhere as one change; then the cursor is at ``origin``,
        where the search began, before and after."""
        with self._changing() as document:
            here = document.text.read()
            if place is None:
                spans = [found.span() for found in pattern.finditer(here)]
            else:
                found = pattern.match(here, place)
                spans = [] if found is None else [found.span()]
            if not spans:
                self.say("Nothing was found to replace.")
                return
            own = self._own(text)
            if place is None:
                document.move(origin, undoable=False)
            document.replace_all(spans, own)
            if place is not None:
                document.put_cursor(spans[0][0] + len(own))
            replaced = f"Replaced {plural(len(spans), 'place')}; {key_of('generate.undo')} undoes."
            self._add_note(replaced, first=True)

    def set_writing(self, writing: bool) -> None:
        """Begin or end writing: at the end of a line there is a suggestion of how it could go on."""
        self.writing = writing
        with self._changing(edits=False) as document:
            if not writing and document.cursor < document.prime_length:
                document.move(document.prime_length, undoable=False)

    # ---- choosing and branches

    def choose(self, chars: str, position: int) -> None:
        """Put characters at a position; what follows stays while writing, else it stays as a branch."""
        with self._changing() as document:
            if self.writing:
                document.move(position, undoable=False)
                document.insert(chars, CHOSEN, kind="choosing")
            else:
                self._branch_off(position, chars, CHOSEN, kind="choosing")

    def put_in(self, text: str, note: str = "") -> None:
        """Put in a continuation that this model, or another one in Duel, offered, and say a note; what followed stays
        while writing, else it stays as a branch. The cursor is behind the continuation then."""
        with self._changing() as document:
            if self.writing and self.model is not None and (own := self._own(text)):
                end = document.cursor + len(own)
                space = joint(document.text, document.cursor, own, self.model.vocabulary)
                document.insert(own + space, GENERATED, kind="continuing")
                document.put_cursor(end)
            elif not self.writing and (own := self._own(text)):
                self._branch_off(document.cursor, own, GENERATED, kind="continuing")
            if note:
                self._add_note(note, first=True)

    def switch(self, number: int) -> None:
        """Make a branch the current text."""
        with self._changing() as document:
            document.switch(number)

    def prune(self, number: int) -> None:
        """Remove a branch and all that parted from it."""
        with self._changing() as document:
            before = document.list_branches()
            document.prune(number)
            pruned = next(each for each in before if each.number == number)
            others = len(before) - len(document.branches) - 1
            branch, size = branch_words(number, pruned.name), plural(pruned.stop - pruned.start, "character")
            also, it = (f" and {others} that parted from it", "them") if others else ("", "it")
            self.say(f"Pruned {branch} ({size}){also}: {key_of('generate.undo')} brings {it} back.")

    def rename(self, number: int, name: str) -> None:
        """Give a branch a name."""
        with self._changing() as document:
            document.rename(number, name)
            self._branches = None, ()

    def undo(self) -> None:
        """Go back before the last change of the text, the cursor or the branches."""
        with self._changing() as document:
            kind = document.undo()
            self.say(f"Undone: {kind}." if kind else "There is nothing to undo.")

    def redo(self) -> None:
        """Make the last change again that was undone."""
        with self._changing() as document:
            kind = document.redo()
            self.say(f"Done again: {kind}." if kind else "There is nothing to redo.")

    def _branch_off(self, position: int, text: str, source: int, **how: Any) -> None:
        """:meth:`Document.branch_off`, which takes what follows off the page: a note says how much, and where it is
        now."""
        document = self.document
        before, number = document.text, document.branch
        document.branch_off(position, text, source, **how)
        left = len(before) - before.same_start(document.text, sources=False)
        if left > 1 and document.branch != number:
            branch = branch_words(number, document.names.get(number, ""))
            branches, undo = key_of("generate.branches"), key_of("generate.undo")
            self._add_note(f"{left:,} characters are on {branch} now: {branches} shows branches, {undo} undoes.")

    def _own(self, text: str) -> str:
        """A text of the user's as the document takes it; of a longer one a note says what the model reads otherwise."""
        text = own_text(text)
        if len(text) > 1 and self.model is not None:
            self._add_note(read_as_words(text, self.model.vocabulary))
        return text
