"""Choose what to play: runs that have a model, model files near by, the model in the box, all sessions, any path."""

from __future__ import annotations

import os
from collections.abc import Callable, Set
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key, Paste
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from charlstm.display import plural, visible
from charlstm.errors import GenerationError
from charlstm.generation import session_file
from charlstm.generation.session_file import FileLostError
from charlstm.runs.models import demo_path
from charlstm_tui.background import in_thread
from charlstm_tui.base import ModeApp
from charlstm_tui.dialogs import Choice, ChoiceDialog, Dialog, PromptDialog
from charlstm_tui.formatting import best_loss, shorten, typed_path, unit
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.saved_sessions import SavedSession
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.safe_workers import SafeWorkers
from charlstm_tui.widgets.path_input import PathSuggester
from charlstm_tui.widgets.text_input import TextInput
from charlstm_tui.widgets.textual_repairs import SteadyOptionList

FILES = 50
SESSION = "session"
"""The word in the entries of all sessions, by which they can be looked for."""
MOST_NAME = 28
"""The most characters of a session's title in the list: all rows have the columns of the longest one."""
BEGINNING = 60
"""Characters of a session's beginning."""


class ModelPicker(SafeWorkers, Dialog):
    """Returns MODEL as on the command line or the path of a saved session, or ``None``.

    Typing narrows the list; a path may be typed in full. The sessions are those of all models, the newest first;
    ``sessions`` is the folder of those of the model that is played, which has one of the names ``here``. ``played`` is
    the session that is played, to which ``give_title`` gives a title, as to one that was played before: called with its
    path, it returns whether it was.
    """

    DEFAULT_CSS = """
    ModelPicker OptionList { text-wrap: nowrap; text-overflow: ellipsis; }
    ModelPicker.-wide .dialog { width: 110; }
    """
    BINDINGS: ClassVar = [
        Binding("delete", "delete_session", "delete", priority=True),
        Binding("f2", "give_title", "title", priority=True),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (28, "-medium")]  # noqa: RUF012

    def __init__(
        self, state: RunsState, here: Set[str], sessions: Path | None = None, played: Path | None = None,
        give_title: Callable[..., bool] = lambda title, path=None: False,
    ) -> None:  # fmt: skip
        super().__init__()
        self._state, self._sessions, self._played = state, sessions, played
        self._is_played = {*here, str(played)}
        self._give_title = give_title
        self._entries: list[tuple[str, str, str]] = []
        self._shown = self._entries
        self._search: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(Content("Play another model, or a session"), classes="dialog-title")
            yield TextInput(
                placeholder="a name, or the path of a model (.safetensors) or session (.json)",
                suggester=TypedPathSuggester(),
                compact=True,
            )
            yield SteadyOptionList(compact=True)
            yield Static(Content(""), classes="dialog-about quiet")
            yield Static(Content(""), classes="dialog-error")
            keys = "↑↓ choose  Enter play  Tab complete  F2 title  Del delete  Esc cancel"
            yield Static(Content(keys), classes="dialog-keys")

    def opened(self) -> None:
        self.query_one(SteadyOptionList).can_focus = False
        self.query_one(Input).focus()
        self._search = self._find_entries()

    def keys_wait(self, event: Key | Paste) -> bool:
        is_listed = self._search is not None and self._search.is_finished
        return not (is_listed or (isinstance(event, Key) and event.key == "escape"))

    @work
    async def _find_entries(self) -> None:
        bits = isinstance(self.app, ModeApp) and self.app.bits
        found = await in_thread(lambda check: entries(self._state, self._sessions, self._played, bits))
        self._entries = [_clean(entry) for entry in found]
        self._fill(self.query_one(Input).value)
        self._show_count()

    def _show_count(self) -> None:
        count = sum(word.endswith(".json") for word, _, _ in self._entries)
        hint = self.query_one(".dialog-about", Static)
        hint.update(Content(f"{plural(count, 'session')} at the end; type “{SESSION}” to see only these"))
        hint.display = count > 0

    def key_tab(self) -> None:
        """Accept the suggestion."""
        self.query_one(Input).action_cursor_right()

    def key_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def key_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self.query_one(".dialog-error", Static).display = False
        self._fill(event.value)

    def _fill(self, needle: str) -> None:
        needle = needle.strip().lower()
        found = [entry for entry in self._entries if needle in f"{entry[1]} {entry[2]}".lower()]
        self._shown = sorted(found, key=lambda entry: (needle != entry[1].lower(), needle not in entry[1].lower()))
        options = self.query_one(OptionList)
        options.clear_options()
        names = [shorten(name, MOST_NAME) if word.endswith(".json") else name for word, name, _ in self._shown]
        width = max(map(len, names), default=0)
        options.add_options(
            Option(
                Content.assemble(
                    ("● " if word in self._is_played else "  ", "$accent"),
                    f"{name:<{width}}",
                    (f"  {about}", "$quiet"),
                ),
                id=word,
            )
            for (word, _, about), name in zip(self._shown, names, strict=True)
        )
        if self._shown:
            played = (place for place, (word, _, _) in enumerate(self._shown) if word in self._is_played)
            options.highlighted = 0 if needle else next(played, 0)
            self.call_after_refresh(options.scroll_to_highlight)  # when the list is as high as it will be
        elif self._entries:
            words = Content(f"  Nothing here is called “{visible(needle, keep='')}”. A path may be typed in full.")
            options.add_option(Option(words, disabled=True))

    # ---- titles, and deleting

    @property
    def _session_chosen(self) -> Path | None:
        """The session under the cursor."""
        highlighted = self.query_one(OptionList).highlighted
        path = None if highlighted is None or not self._shown else Path(self._shown[highlighted][0])
        return path if path is not None and path.suffix == ".json" else None

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

        def answered(title: str | None) -> None:
            if title is None or path is None:
                return
            title = " ".join(title.split())
            if path == self._played:
                self._give_title(title)
                self._show_title(path, title)
            else:
                self._write_title(path, title)

        about = "It stands in the list instead of the date. Without one, the date stands there again."
        self.app.push_screen(PromptDialog("Title of the session", about, title, "a title", wide=True), answered)

    @work
    async def _write_title(self, path: Path, title: str) -> None:
        def write(check: object) -> None:
            if not self._give_title(title, path):
                session_file.give_title(path, title)

        try:
            await in_thread(write)
        except FileLostError:
            self._say("Another program has this session open: give it the title there.")
        except GenerationError:
            self._say("This session is of an older version: continue it first, then it can get a title.")
        except OSError as error:
            self._say(f"{path.name} gets no title: {error.strerror}.")
        else:
            self._show_title(path, title)

    def _show_title(self, path: Path, title: str) -> None:
        session = saved_sessions.session_at(path)
        if session is None or session.summary is None:
            return
        # That of the session that is played may not be in its file yet.
        session = replace(session, summary=replace(session.summary, title=title))
        entry = _clean(_session_entry(session))
        self._entries = [entry if each[0] == str(path) else each for each in self._entries]
        place = self.query_one(OptionList).highlighted
        self._fill(self.query_one(Input).value)
        if place is not None and place < len(self._shown):
            self.query_one(OptionList).highlighted = place

    def action_delete_session(self) -> None:
        """Delete the session under the cursor, if the user says so again."""
        path = self._session_chosen
        if path is None:
            return
        if path == self._played:
            self._say("This session is being played: play another one, then it can be deleted.")
            return
        if not saved_sessions.is_in_own_folder(path):
            self._say(f"{path.name} is a file of yours outside the app's folder: delete it there.")
            return
        about = next(f"{name} · {about}" for word, name, about in self._shown if word == str(path))
        choices = [Choice("n", "no, keep it", False), Choice("y", "yes, delete it", True)]

        def answered(delete: bool | None) -> None:
            if delete:
                self._delete(path)

        self.app.push_screen(ChoiceDialog("Delete this session?", about, choices), answered)

    def _delete(self, path: Path) -> None:
        try:
            deleted = session_file.delete(path)
        except OSError as error:
            self._say(f"{path.name} is not deleted: {error.strerror}.")
            return
        if not deleted:
            self._say("Another program has this session open: it is not deleted.")
            return
        place = self.query_one(OptionList).highlighted or 0
        self._entries = [entry for entry in self._entries if entry[0] != str(path)]
        self._show_count()
        self._fill(self.query_one(Input).value)
        if self._shown:
            self.query_one(OptionList).highlighted = min(place, len(self._shown) - 1)

    def _say(self, sentence: str) -> None:
        error = self.query_one(".dialog-error", Static)
        error.update(Content(visible(sentence, keep="")))
        error.display = True

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)  # not by its place: the list may have been filled anew since

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        options, typed = self.query_one(OptionList), event.value.strip()
        if typed.endswith((".safetensors", ".json")) and os.path.isfile(typed_path(typed)):
            self.dismiss(str(typed_path(typed)))
        elif self._shown and options.highlighted is not None:
            self.dismiss(self._shown[options.highlighted][0])
        else:
            self._say(f"There is no model or session called {typed}: take one listed, or a file's path.")


class TypedPathSuggester(PathSuggester):
    """Completes what can only be a path: names are in the list."""

    async def get_suggestion(self, value: str) -> str | None:
        return await super().get_suggestion(value) if "/" in value else None


def entries(
    state: RunsState, sessions: Path | None, played: Path | None = None, bits: bool = False
) -> list[tuple[str, str, str]]:
    """(MODEL, name, about) of what can be played: runs, model files, and all sessions, of which those that the user had
    no part in come last. ``sessions`` is the folder of those of the model that is played, ``played`` one of them.
    Losses are in nats, or in ``bits``."""
    found = [(str(view.path), view.name, _about(view, bits)) for view in state.runs if view.has_model()]
    files = sorted(path for folder in (Path(), Path("models")) for path in folder.glob("*.safetensors"))
    found += [(str(path.absolute()), path.name, "model file") for path in files[:FILES]]
    if demo_path() is not None:
        found.append(("demo", "demo", "the model in the box"))
    listed = [each for each in saved_sessions.everywhere(sessions or Path()) if each.is_listed or each.path == played]
    listed.sort(key=lambda session: (session.automatic and not session.has_work, -session.saved))
    return found + [_session_entry(session) for session in listed]


def _clean(entry: tuple[str, str, str]) -> tuple[str, str, str]:
    word, name, about = entry
    return word, visible(name, keep=""), visible(about, keep="")


def _session_entry(session: SavedSession) -> tuple[str, str, str]:
    word = f"{SESSION} {saved_sessions.time_of_saving(session.saved)}"
    parts = [word if session.name else "", session.model, session.about(BEGINNING, moment=False)]
    return str(session.path), session.name or word, " · ".join(part for part in parts if part)


def _about(view: RunView, bits: bool) -> str:
    parts = [view.status.state, f"step {view.status.step:,}", view.text]  # the last is cut off where space is short
    if view.status.best_val is not None:
        parts.insert(1, f"best {best_loss(view.status, bits)} {unit(bits)}")
    return " · ".join(part for part in parts if part)
