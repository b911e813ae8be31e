"""The files that the played text goes to: they are asked for, and the player writes them."""

from __future__ import annotations

import re
from pathlib import Path

from charlstm_tui.actions import key_of
from charlstm_tui.dialogs import ask
from charlstm_tui.formatting import home
from charlstm_tui.generate.explaining_view import ExplainingView
from charlstm_tui.player.marks import Scale
from charlstm_tui.player.opening import ModelFacts
from charlstm_tui.player.played import Played
from charlstm_tui.player.saved_sessions import AUTO_NAME
from charlstm_tui.save_dialog import Format, SaveDialog

FORMATS = (
    Format(".txt", "the text", joins_lines=True),
    Format(".md", "Markdown, with model and settings", joins_lines=True),
    Format(".html", "the text in its colours", joins_lines=True),
    Format(".json", "the session, continued in this file"),
)
"""What Play writes of the text."""
LONGEST_NAME = 60
"""Characters of a title that the name of a file has."""


def file_name(title: str) -> str:
    """A title as the name of a file without its ending, which every system takes; empty if nothing is left of it."""
    words = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]+', " ", title)
    return " ".join(words.split())[:LONGEST_NAME].strip(" .~-")


class SessionFiles:
    """Saves and exports the text of ``view``."""

    def __init__(self, view: ExplainingView) -> None:
        self._view = view
        self._saved_as: tuple[int, Path] | None = None  # the session that was saved last, and its file

    def save(self, state: Played, facts: ModelFacts, scale: Scale) -> None:
        """Ask for a file for the text of ``state``, which is coloured by ``scale``.

        The ending says what is saved.
        """
        own = None if state.file is None or AUTO_NAME.fullmatch(state.file.name) else state.file
        sessions = facts.sessions if state.file is None else state.file.parent
        about = f"In Play, {key_of('generate.texts')} lists the sessions in {home(sessions)}."
        if own is not None:
            about = "As it changes, the text is saved there by itself."
        stem = file_name(state.title) or Path(facts.name).stem
        name = self._offered_name(state, f"{stem}{FORMATS[0].ending}") if own is None else home(own)
        dialog = SaveDialog("Save the text, or the session", name, FORMATS, about, own)
        ask(self._view, dialog, lambda path: self._save_as(state, path, scale, prose=dialog.joins_lines))

    def _save_as(self, state: Played, path: Path, scale: Scale, *, prose: bool) -> None:
        self._saved_as = (state.session_id, path)
        self._view.player.save_as(path, scale.name, prose=prose)

    def _offered_name(self, state: Played, name: str) -> str:
        """The file of this text, if it was exported before or opened from a file of text; else ``name``, in the folder
        where another one was saved."""
        session_id, path = self._saved_as or (None, None)
        if path is not None and session_id == state.session_id:
            return home(path)
        if state.request.session is not None and state.request.session.suffix.lower() != ".json":
            return home(state.request.session)
        return name if path is None else home(path.with_name(name))
