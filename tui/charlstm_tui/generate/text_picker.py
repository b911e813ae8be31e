"""Choose a text to go on with: the saved sessions of all models, or any path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding
from textual.widgets import Input, OptionList

from charlstm.display import plural
from charlstm.errors import CharLSTMError
from charlstm.generation import session_file
from charlstm_tui.background import write_in_thread
from charlstm_tui.dialogs import Choice, ChoiceDialog, PromptDialog, ask
from charlstm_tui.generate.model_picker import Entry, ModelPicker, clean
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.saved_sessions import SavedSession
from charlstm_tui.run_watcher import RunsState

MOST_NAME = 28
"""The most characters of a title or of first words in the list."""


class TextPicker(ModelPicker):
    """Returns the path of a session, or what a :class:`ModelPicker` does for what is typed in full.

    ``folder`` is the one of the sessions of the model that is played, ``played`` the session that is played, to which
    ``give_title`` gives a title, or called with a path to the session there.
    """

    TITLE: ClassVar = "Go on with another text"
    ENDINGS: ClassVar[tuple[str, ...]] = ("",)  # any other file is one of text
    HINT: ClassVar = "a name, or the path of a session (.json) or text (.txt)"
    FILES: ClassVar = "the path of a .json or .txt file"
    KEYS: ClassVar = "↑↓ choose  Enter open  Tab complete  F2 title  Del delete  Esc cancel"
    BINDINGS: ClassVar = [
        Binding("delete", "delete_session", "delete", priority=True),
        Binding("f2", "give_title", "title", priority=True),
    ]

    def __init__(
        self, state: RunsState, folder: Path | None, played: Path | None, give_title: Callable[..., None]
    ) -> None:
        super().__init__(state, {str(played)})
        self._folder, self._played, self._give_title = folder, played, give_title

    def find(self, bits: bool) -> Sequence[Entry]:
        """See :meth:`ModelPicker.find`."""
        return texts(self._folder, self._played)

    def shown_name(self, name: str) -> str:
        """See :meth:`ModelPicker.shown_name`."""
        return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1].rstrip()}…"

    @property
    def _session_chosen(self) -> Path | None:
        """The session under the cursor."""
        highlighted = self.query_one(OptionList).highlighted
        return None if highlighted is None or not self.shown else Path(self.shown[highlighted][0])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "give_title":
            return self._session_chosen is not None
        if action != "delete_session":
            return super().check_action(action, parameters)
        line = next(iter(self.query(Input)), None)  # else the key is the line's, and deletes what is after its cursor
        return line is not None and line.cursor_position == len(line.value) and self._session_chosen is not None

    def action_give_title(self) -> None:
        """Ask for a title of the session under the cursor."""
        path = self._session_chosen
        if path is None:
            return
        session = saved_sessions.session_at(path)
        title = "" if session is None else session.title
        about = "It stands in the list. Without one, the first words stand there again."
        dialog = PromptDialog("Title of the session", about, title, "a title", wide=True)
        ask(self, dialog, lambda title: self._write_title(path, " ".join(title.split())))

    async def _write_title(self, path: Path, title: str) -> None:
        try:
            if path == self._played:
                self._give_title(title)
            else:
                await write_in_thread(lambda check: self._give_title(title, path))
        except CharLSTMError as error:
            self.show_problem(f"It gets no title: {str(error).rstrip('.')}.")
        else:
            self._show_title(path, title)

    def _show_title(self, path: Path, title: str) -> None:
        session = saved_sessions.session_at(path)
        if session is None or session.summary is None:
            return
        # That of the session that is played may not be in its file yet.
        session = replace(session, summary=replace(session.summary, title=title))
        entry = clean(text_entry(session))
        self._list([entry if each[0] == str(path) else each for each in self._entries])

    def _list(self, entries: list[Entry]) -> None:
        """List these entries, with the cursor in the same row as before."""
        options = self.query_one(OptionList)
        index, self._entries = options.highlighted or 0, entries
        self.fill(self.query_one(Input).value)
        if self.shown:
            options.highlighted = min(index, len(self.shown) - 1)

    def action_delete_session(self) -> None:
        """Delete the session under the cursor, if the user says so again."""
        path = self._session_chosen
        if path is None:
            return
        if path == self._played:
            self.show_problem("This session is being played: play another one, then it can be deleted.")
            return
        if not saved_sessions.is_in_own_folder(path):
            self.show_problem(f"{path.name} is a file of yours outside the app's folder: delete it there.")
            return
        about = next(f"{name} · {about}" for word, name, about in self.shown if word == str(path))
        choices = [Choice("n", "no, keep it", None), Choice("y", "yes, delete it", path)]
        ask(self, ChoiceDialog("Delete this session?", about, choices), self._delete)

    def _delete(self, path: Path) -> None:
        try:
            deleted = session_file.delete(path)
        except OSError as error:
            self.show_problem(f"{path.name} is not deleted: {error.strerror}.")
            return
        if not deleted:
            self.show_problem("Another program has this session open: it is not deleted.")
            return
        self._list([entry for entry in self._entries if entry[0] != str(path)])


def texts(folder: Path | None, played: Path | None = None) -> list[Entry]:
    """(path, name, about) of all sessions, those that were changed last first; those that only grew by themselves come
    at the end. ``folder`` is that of the sessions of the model that is played, ``played`` one of them."""
    found = saved_sessions.everywhere(folder or Path())
    listed = [each for each in found if each.is_listed or each.path == played]
    return [text_entry(each) for each in sorted(listed, key=lambda each: (not each.is_kept, -each.saved))]


def text_entry(session: SavedSession) -> Entry:
    """What the list shows of a session."""
    summary = session.summary
    if summary is None:
        return str(session.path), session.path.name, "cannot be read"
    words = plural(summary.words, "word") if summary.words else f"{session.size:,} chars"
    file = "" if session.automatic else f"your file {session.path.name}"
    kept = "" if session.is_kept else "not kept"
    parts = (kept, file, session.model, words, saved_sessions.time_of_saving(session.saved))
    about = " · ".join(part for part in parts if part)
    return str(session.path), session.title or " ".join(summary.begins.split()) or "an empty text", about
