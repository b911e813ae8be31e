"""Edit a text without the model reading it, so that what was typed is kept when the app is closed meanwhile."""

from __future__ import annotations

import re

import numpy as np

from charlstm.generation.editor import ERASE, LONGEST_WORD, TYPE, Editor
from charlstm.generation.tree import TYPED, Rows
from charlstm_tui.player.typography import with_plain_marks


class UnreadText:
    """The text of an editor with a cursor anywhere in it. Every change goes into the ``rest`` of the editor, which the
    model reads when the text is played again."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self.cursor = editor.session.position
        self._seen = self._state()

    def is_of(self, editor: Editor | None) -> bool:
        """Whether it is the text of this editor, and nothing else has changed that since."""
        rest, *others = self._state()
        return editor is self.editor and rest is self._seen[0] and others == list(self._seen[1:])

    def _state(self) -> tuple[object, ...]:
        session = self.editor.session
        return self.editor.rest, session.tip, len(session)

    def move(self, position: int) -> None:
        """Put the cursor before the character at ``position``."""
        self.cursor = min(max(0, position), len(self.editor))

    def move_by_word(self, direction: int) -> None:
        """Move the cursor to the beginning of the word before it (-1) or the end of the next one (1)."""
        self.move(self.cursor + self._word(direction))

    def insert(self, text: str) -> None:
        """Put the user's own text in at the cursor."""
        self.replace(self.cursor, self.cursor, text)

    def replace(self, start: int, stop: int, text: str) -> None:
        """Put the user's own text in the place of the characters from ``start`` to ``stop``. Of a text of which the
        model knows no character, nothing is changed."""
        model = self.editor.session.model
        plain, _ = with_plain_marks(model.text_options.apply(text), model.vocabulary)
        ids, _ = model.vocabulary.encode(plain)
        rows = np.zeros(len(ids), self.editor.rest.dtype)
        rows["id"], rows["source"] = ids, TYPED
        if len(rows) or not text:
            self._change(start, stop, rows)

    def erase(self, before: int = 0, after: int = 0) -> None:
        """Remove characters before and after the cursor, as many as there are of them."""
        self._change(max(0, self.cursor - before), self.cursor + after, self.editor.rest[:0])

    def erase_word(self, direction: int) -> None:
        """Remove the word before the cursor (-1) or after it (1)."""
        word = self._word(direction)
        self.erase(before=max(0, -word), after=max(0, word))

    def read(self) -> None:
        """Let the model read the text up to the cursor, and put the editor's cursor there."""
        self.editor.move(self.cursor, undoable=False)

    def end(self) -> None:
        """Put the editor's cursor as far towards this one as the model has read."""
        session = self.editor.session
        session.rewind(min(self.cursor, len(session)))

    def _change(self, start: int, stop: int, rows: Rows) -> None:
        editor, session = self.editor, self.editor.session
        start = min(max(0, start), len(editor))
        stop = min(max(start, stop), len(editor))
        self.cursor = start + len(rows)
        if stop == start and not len(rows):
            return
        editor.record(TYPE if len(rows) else ERASE)
        known = min(start, len(session))
        following = editor.rows(known)
        session.rewind(known)
        session.cut()
        editor.rest = np.concatenate([following[: start - known], rows, following[stop - known :]])
        self._seen = self._state()

    def _word(self, direction: int) -> int:
        """Characters from the cursor to the beginning or the end of a word, below 0 for those before it."""
        cursor, editor = self.cursor, self.editor
        first = max(0, cursor - LONGEST_WORD)
        text = editor.session.model.vocabulary.decode(editor.rows(first)["id"][: 2 * LONGEST_WORD])
        if direction > 0:
            found = re.match(r"\s*\S*", text[cursor - first :][:LONGEST_WORD])
            return 0 if found is None else found.end()
        found = re.search(r"\S*\s*$", text[: cursor - first])
        return 0 if found is None else -len(found.group())
