"""The view of Corpus: the texts to choose from, and the one under the cursor.

Reading and counting are in ``charlstm.text``.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Input, Static

from charlstm.display import size, visible
from charlstm.errors import CharLSTMError
from charlstm.runs.folder import runs_dir
from charlstm.runs.lesson import RUNS as LESSON_RUNS
from charlstm.runs.lesson import add_lesson, lesson_page, told
from charlstm.runs.models import DEMO, demo_path
from charlstm.text.reading import TextOptions
from charlstm.text.remote import RemoteText, fetch
from charlstm.text.sources import ReadProgress, resolve
from charlstm.text.unit_kinds import BLANK_LINES, LINES, PREVIEWED, kind_of_units, proposed
from charlstm_tui.actions import Action, key_of
from charlstm_tui.background import Check, in_thread, threaded
from charlstm_tui.choices import CorpusChoice, file_stamps
from charlstm_tui.corpus.sources import (
    BoxModel,
    Folder,
    Lesson,
    ListedText,
    ToFetch,
    sections,
)
from charlstm_tui.corpus.text_list import TextList
from charlstm_tui.corpus.text_pane import TextHints, TextPane
from charlstm_tui.corpus.text_state import TextState, count_bits, read_beginning, read_whole
from charlstm_tui.dialogs import Choice, ChoiceDialog, PathDialog, PromptDialog, WaitDialog, ask
from charlstm_tui.formatting import typed_path
from charlstm_tui.run_watcher import RunsState
from charlstm_tui.view import View, is_detached
from charlstm_tui.widgets.row_list import RowList
from charlstm_tui.widgets.text_input import FILTER_KEYS, TextInput

BOX = (
    "The model in the box comes with charlstm: an LSTM that has read English books, character by character, and writes "
    "such prose. It can be steered, rewound and explained as your own models can."
)
LESSON = (
    "Three small runs that are finished, with their texts: simple sentences, a text that is learnt by heart, and a "
    "language of brackets and quotes."
)
PAUSE = 0.25
"""Seconds that the cursor stays on a text before the whole text is read."""
SHOWN_EVERY = 0.1
"""Seconds between two figures of how far that is."""


class TextsView(View):
    """The texts to choose from, and the one under the cursor."""

    MAIN_PANE = "#texts"

    text: reactive[TextState | None] = reactive(None, bindings=True)
    """The text under the cursor."""
    otherwise: reactive[str] = reactive("")
    """What the preview shows when the cursor is not on a text."""
    reading: reactive[ReadProgress | None] = reactive(None)

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.texts = TextList(id="texts")
        self._welcome = Static(id="welcome")
        self._filter = TextInput(placeholder="part of a name", id="texts-filter", compact=True, typing_keys=FILTER_KEYS)
        self._browsed = self.charlstm.first_folder()
        self._recent: tuple[str, ...] = ()
        self._given: str | None = None
        self._listed = False  # whether the list has what the folder has that is browsed
        self._choices: dict[str, CorpusChoice] = {}  # by source, those that differ from the default
        self._states: dict[CorpusChoice, TextState] = {}

    def compose(self) -> ComposeResult:
        yield self._welcome
        with Horizontal(id="corpus-panes"):
            yield self.texts
            yield TextPane(id="text").data_bind(View.bits, state=TextsView.text, otherwise=TextsView.otherwise)
        yield self._filter
        yield TextHints(id="text-hints").data_bind(state=TextsView.text, reading=TextsView.reading)

    def on_mount(self) -> None:
        if is_detached(self):
            return
        self._filter.display = False
        self._given = self.charlstm.start_options.text
        if self._given is not None:
            self.texts.go_to(self._given)
        self._welcome.display = self._given is None and not self.charlstm.runs_state.runs
        self.call_after_refresh(self.reload)

    def on_resize(self) -> None:
        width = self.app.size.width
        what = "a text, or plays the model in the box" if demo_path() is not None else "a text to train on"
        words, hide = f"{key_of('corpus.use')} takes {what}.", f"{key_of('app.back')} hide"
        if len(greeting := f"Welcome. {words}") + len(hide) + 3 <= width:
            words = greeting
        gap = max(1, width - len(words) - len(hide) - 2)
        self._welcome.update(Content.assemble(" ", (words, "$accent"), " " * gap, (hide, "$quiet")))

    def watch_runs_state(self, state: RunsState) -> None:
        if state.runs:
            self._welcome.display = False  # it is no first start any more
        recent = tuple(run.sources[0] for run in state.runs if len(run.sources) == 1)
        if recent != self._recent:
            self._recent = recent
            self.reload()

    def entered(self) -> None:
        """The mode came on screen."""
        if self.texts.sections:  # files may have changed meanwhile
            self.reload()
            self._show_anew()

    @work(exclusive=True, group="look")
    async def _show_anew(self) -> None:
        """Show the text under the cursor as it is by now. A reading of files that have not changed goes on."""
        choice = self._choice()
        stamps = None if choice is None else await in_thread(lambda check: file_stamps(choice))
        if is_detached(self) or choice != self._choice():
            return
        if choice is None or self._state(choice).stamps != stamps or not self.works_at("read"):
            self.show_current()

    # ---- the list
    @work(exclusive=True, group="list")
    async def reload(self, came_from: Path | None = None) -> None:
        """Refresh the list. ``came_from`` is the folder that was left for another."""
        browsed, recent, given = self._browsed, self._recent, self._given
        found = await in_thread(lambda check: sections(browsed, recent, given))
        if is_detached(self):
            return
        self.texts.sections = found
        self._listed = self._browsed == browsed
        self.post_message(self.Changed())
        if came_from is not None:
            listed = next(section.entries for section in found if section.title == "FOLDER")
            inside = [entry.key for entry in listed if not (isinstance(entry, Folder) and entry.up)]
            if inside:
                self.texts.go_to(str(came_from) if str(came_from) in inside else inside[0])

    @on(RowList.Moved)
    def _cursor_moved(self) -> None:
        self.charlstm.before_draw(self.show_current)

    # ---- the text under the cursor
    def _choice(self) -> CorpusChoice | None:
        """The text under the cursor with what was chosen for it."""
        entry = self.texts.current
        if not isinstance(entry, ListedText):
            return None
        return self._choices.get(entry.source) or CorpusChoice(entry.source, entry.name)

    def show_current(self) -> None:
        """Show the text under the cursor: its beginning at once, its figures when the whole text is read."""
        choice, entry = self._choice(), self.texts.current
        self.reading = None
        self._show_state()
        if isinstance(entry, Folder):
            self.otherwise = f"{key_of('corpus.use')} opens {visible(entry.name, keep='')}"
        elif isinstance(entry, BoxModel):
            self.otherwise = f"{BOX} {key_of('corpus.use')} plays it at once."
        elif isinstance(entry, Lesson):
            enters = f"{key_of('corpus.use')} puts them among your runs and opens the first."
            self.otherwise = f"{LESSON} {enters}\n\n{lesson_page()}"
        elif isinstance(entry, ToFetch):
            self.otherwise = f"{_description(entry.text)}\n\n{key_of('corpus.use')} fetches it."
        else:
            self.otherwise = "No text here."
        self.post_message(self.Changed())
        if choice is not None:
            self._read(choice)

    def _state(self, choice: CorpusChoice) -> TextState:
        return self._states.get(choice) or TextState(choice)

    def _update(self, choice: CorpusChoice, **changes: Any) -> TextState:
        """Change what is known of a text, and show it if the cursor is on it."""
        self._states[choice] = state = replace(self._state(choice), **changes)
        if not is_detached(self) and choice == self._choice():
            self.charlstm.before_draw(self._show_state)  # a new layout is drawn at once, also while keys wait
        return state

    def _show_state(self) -> None:
        choice = self._choice()
        self.text = None if choice is None else self._state(choice)

    @work(exclusive=True, group="read")
    async def _read(self, choice: CorpusChoice) -> None:
        stamps = await in_thread(lambda check: file_stamps(choice))
        state = self._state(choice)
        if state.problem or state.stamps not in (None, stamps):  # its files may have changed
            self._states.pop(choice, None)
        state = self._update(choice, stamps=stamps)
        if state.finished:
            return
        try:
            if state.beginning is None:
                state = self._update(choice, **await in_thread(lambda check: read_beginning(choice)))
            await asyncio.sleep(PAUSE)
            if state.corpus is None:
                state = self._update(choice, **await self._read_whole(choice, asyncio.get_running_loop()))
            corpus, split = state.corpus, state.split
            assert corpus is not None
            assert split is not None
            self._update(choice, **await in_thread(lambda check: count_bits(corpus, split)))
            self.charlstm.prepare_worker()
        except CharLSTMError as error:
            self._update(choice, problem=str(error))
        except OSError as error:  # for example of the disk that the cache is on
            reason = error.strerror or error
            self._update(choice, problem=f"{visible(choice.name, keep='')} cannot be prepared: {reason}.")

    @threaded
    def _read_whole(self, check: Check, choice: CorpusChoice, loop: asyncio.AbstractEventLoop) -> dict[str, object]:
        """Read a whole text, and show ten times a second how far it is."""
        shown = 0.0

        def report(progress: ReadProgress) -> None:
            nonlocal shown
            check()
            if (now := monotonic()) - shown > SHOWN_EVERY:
                shown = now
                loop.call_soon_threadsafe(setattr, self, "reading", progress)

        return read_whole(choice, self.charlstm.config.preset, report)

    # ---- the table of actions
    @property
    def opens(self) -> bool:
        return not self._listed

    @property
    def busy(self) -> bool:
        return self.opens

    def has(self) -> dict[str, bool]:
        text = self.text
        return {
            "text": text is not None,
            "lines": text is not None and not text.choice.units,
            "usable": self.texts.current is not None and (text is None or not text.problem),
        }

    def labels(self) -> dict[str, str]:
        entry = self.texts.current
        uses = {Folder: "open folder", BoxModel: "play", Lesson: "add to runs", ToFetch: "fetch"}
        labels = {"corpus.use": uses.get(type(entry), "use")}
        if self.text is not None:
            choice = self.text.choice
            labels |= {
                "corpus.licence": f"licence: {'left out' if choice.strip_boilerplate else 'kept'}",
                "corpus.lines": f"lines: {'kept' if choice.lines == 'keep' else 'auto'}",
                "corpus.split_units": f"units: {visible(choice.units, keep='') if choice.units else 'no'}",
                "corpus.held_out": f"held out: {'end of text' if choice.split == 'tail' else 'blocks'}",
            }
        return labels

    def do_use(self) -> None:
        entry, choice = self.texts.current, self._choice()
        if isinstance(entry, Folder):
            self.browse(entry.path)
        elif isinstance(entry, BoxModel):
            self.charlstm.play(DEMO)
        elif isinstance(entry, Lesson):
            if not self.works_at("lesson"):
                self._add_lesson()
        elif isinstance(entry, ToFetch):
            self._ask_to_fetch(entry.text)
        elif choice is not None and not self._state(choice).problem:
            self._welcome.display = False
            self.charlstm.use_corpus(choice)

    @work(exclusive=True, group="lesson")
    async def _add_lesson(self) -> None:
        folder = self.charlstm.start_options.runs_dir
        added, present = await in_thread(lambda check: add_lesson(folder))
        self.charlstm.notify_info(told(added, present))
        if self.screen.is_current:  # else the user is at something else by now
            self.charlstm.attach(runs_dir(folder) / LESSON_RUNS[0])

    def _ask_to_fetch(self, text: RemoteText) -> None:
        choices = [Choice("y", "yes, fetch it", text), Choice("n", "no", None)]
        question = f"Fetch {text.name}, {size(text.bytes)}, from {text.host}?"
        ask(self, ChoiceDialog(question, _description(text), choices), self._fetch)

    def _fetch(self, text: RemoteText) -> None:
        ask(self, WaitDialog(f"Fetching {text.name} …", partial(fetch, text)), self._fetched)

    def _fetched(self, answer: Path | CharLSTMError) -> None:
        if isinstance(answer, CharLSTMError):
            self.charlstm.show_error(str(answer))
        else:
            self.texts.go_to(str(answer))
            self.reload()

    @on(RowList.Chosen)
    def _chosen(self) -> None:
        self.do_use()

    def browse(self, folder: Path) -> None:
        """List another folder, with the cursor on the one that was left, or on the first entry."""
        came_from = self._browsed
        self._list(folder)
        self.reload(came_from)

    def _list(self, folder: Path) -> None:
        self._browsed, self._listed = folder, False
        self.charlstm.remember(folder=str(folder), folder_from=str(self.charlstm.start_folder))

    def do_open_path(self) -> None:
        about = "A text, a document, or a folder or archive whose *.txt are read as one text."
        ask(self, PathDialog("Open a text", about, _check_text), self._opened)

    def _opened(self, typed: str) -> None:
        if not typed.strip():
            return
        path = typed_path(typed)
        self._given = str(path.absolute()) if os.path.exists(path) else typed.strip()
        self.texts.go_to(self._given)
        if os.path.isdir(path):
            self._list(path.absolute())
        self.reload()
        self.focus_main()

    def do_switch(self, name: str, one: Any, other: Any) -> None:
        """Read the text in the other of two ways."""
        if (choice := self._choice()) is not None:
            self._choose(replace(choice, **{name: other if getattr(choice, name) == one else one}))

    def do_split_units(self) -> None:
        state = self.text
        if state is None:
            return
        usual = {
            "": "one long text",
            LINES: f"{kind_of_units(LINES)}, such as a name",
            BLANK_LINES: f"{kind_of_units(BLANK_LINES)}, such as a poem",
            "X:": f"{kind_of_units('X:')}, such as a tune",
        }
        here = state.choice.units or proposed((state.beginning or "")[:PREVIEWED])
        usual.setdefault(here, kind_of_units(here))
        choices = [Choice(str(number), words, units) for number, (units, words) in enumerate(usual.items(), 1)]
        dialog = ChoiceDialog(
            "Read as units", "A model learns each unit by itself, and where one ends.",
            [*choices, Choice("o", "what begins with something else …", _OTHER)], [*usual].index(here),
        )  # fmt: skip
        ask(self, dialog, partial(self._units_chosen, state.choice))

    def _units_chosen(self, choice: CorpusChoice, units: str) -> None:
        if units == _OTHER:
            about = "A unit begins at each line that begins with this, such as From or def."
            dialog = PromptDialog("Units begin with", about, check=_check_units)
            ask(self, dialog, partial(self._units_chosen, choice))
        else:
            self._choose(replace(choice, units=units or None))

    def _choose(self, choice: CorpusChoice) -> None:
        """Remember what was chosen for a text, and read it so."""
        self._choices[choice.source] = choice
        self.show_current()

    def do_find(self) -> None:
        self._filter.display = True
        self.screen.set_focus(self._filter)

    @on(Input.Changed, "#texts-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self.texts.typed = event.value

    @on(Input.Submitted, "#texts-filter")
    def _filter_done(self) -> None:
        self.texts.stay()
        self.focus_main()

    def handle_escape(self) -> bool:
        if self._filter.display:
            self._filter.value, self._filter.display = "", False
            self.texts.typed = ""  # at once: the next key acts on the text that the cursor comes back to
            self.focus_main()
        elif self._welcome.display:
            self._welcome.display = False
        else:
            return False
        return True

    def begin_action(self, action: Action) -> None:
        if action.handler not in ("back", "find"):  # what is done is done to the text that the cursor is on now
            self.texts.stay()


_OTHER = "\n"
"""The answer that asks for typed units. No units are equal to it."""


def _check_text(typed: str) -> None:
    """Raise :class:`CharLSTMError` if there is no text, and no folder, at a typed path."""
    if not os.path.isdir(typed_path(typed)):
        resolve(typed.strip(), TextOptions())


def _check_units(typed: str) -> object:
    return TextOptions(units=typed) if typed else "Type what each unit begins with."


def _description(text: RemoteText) -> str:
    """A description of a text to fetch."""
    return f"{text.about[:1].upper()}{text.about[1:]}. Licence: {text.licence}."
