"""The files that the played text goes to: they are asked for and written, and it is said what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from charlstm.runs.folder import Run
from charlstm_tui.actions import key_of
from charlstm_tui.background import write_in_thread
from charlstm_tui.dialogs import ask
from charlstm_tui.formatting import home
from charlstm_tui.generate import exports
from charlstm_tui.generate.explaining_view import ExplainingView
from charlstm_tui.player.marks import Scale
from charlstm_tui.player.opening import ModelFacts
from charlstm_tui.player.played import Played
from charlstm_tui.player.saved_sessions import AUTO_NAME
from charlstm_tui.save_dialog import SaveDialog


class SessionFiles:
    """Saves and exports the text of ``view``."""

    def __init__(self, view: ExplainingView) -> None:
        self._view = view
        self._saved_as: tuple[int, Path] | None = None  # the session that was saved last, and its file

    def save(self, state: Played, facts: ModelFacts, prime: str, scale: Scale) -> None:
        """Ask for a file for the text of ``state``, which begins with ``prime`` and is coloured by ``scale``.

        The ending says what is saved.
        """
        own = None if state.file is None or AUTO_NAME.fullmatch(state.file.name) else state.file
        sessions, run = facts.sessions if state.file is None else state.file.parent, facts.run
        about = f"In Play, {key_of('generate.texts')} lists the sessions in {home(sessions)}."
        if own is not None:
            about = "As it changes, the text is saved there by itself."

        def named(path: Path) -> object:
            if run is not None and exports.CHECKPOINTS.fits(path):
                return self._write_checkpoints(path, state, prime, Run(run))
            self._saved_as = (state.session_id, path)
            self._view.desk.save_as(path, scale.name, prose=dialog.joins_lines)
            return None

        formats = exports.formats(facts)
        stem = exports.file_name(state.title) or Path(facts.name).stem
        name = self._offered_name(state, f"{stem}{formats[0].ending}") if own is None else home(own)
        dialog = SaveDialog("Save the text, or the session", name, formats, about, own)
        ask(self._view, dialog, named)

    def _offered_name(self, state: Played, name: str) -> str:
        """The file of this text, if it was exported before or opened from a file of text; else ``name``, in the folder
        where another one was saved."""
        session_id, path = self._saved_as or (None, None)
        if path is not None and session_id == state.session_id:
            return home(path)
        if state.request.session is not None and state.request.session.suffix.lower() != ".json":
            return home(state.request.session)
        return name if path is None else home(path.with_name(name))

    async def _write_checkpoints(self, path: Path, state: Played, prime: str, run: Run) -> None:
        """Write the page of what each model of the run generates."""
        self._view.desk.pause()

        def write(check: Callable[[], None]) -> None:
            def progress(done: int, total: int) -> None:
                check()
                if done < total:
                    words = f"Generating with model {done + 1} of {total} …"
                    self._view.app.call_from_thread(self._view.say, words)

            exports.write_checkpoints(path, state, prime, run, progress)

        await write_in_thread(write)
        self._view.say(f"Exported to {path.name} in {home(path.absolute().parent)}")
