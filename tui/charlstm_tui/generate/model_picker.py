"""Choose a model to play: of the runs, of the files near by, the one in the box, or any path."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key, Paste
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from charlstm.display import visible
from charlstm.runs.models import demo_path
from charlstm_tui.background import in_thread
from charlstm_tui.dialogs import Dialog
from charlstm_tui.formatting import best_loss, shorten, typed_path, unit
from charlstm_tui.mode_app import ModeApp
from charlstm_tui.run_watcher import RunsState, RunView
from charlstm_tui.safe_workers import SafeWorkers
from charlstm_tui.widgets.path_input import PathSuggester
from charlstm_tui.widgets.text_input import TextInput
from charlstm_tui.widgets.textual_repairs import SteadyOptionList

FILES = 50
MOST_NAME = 40

Entry = tuple[str, str, str]
"""The value that choosing the entry returns, a name, and a description."""


class ModelPicker(SafeWorkers, Dialog):
    """Returns MODEL as on the command line or the path of a saved session, or ``None``.

    Typing narrows the list; a path may be typed in full. The model that is played has one of the names ``here``.
    """

    TITLE: ClassVar = "Play another model"
    KEYS: ClassVar = "↑↓ choose  Enter play  Tab complete  Esc cancel"
    ENDINGS: ClassVar[tuple[str, ...]] = (".safetensors", ".json")
    HINT: ClassVar = "a name, or the path of a model (.safetensors) or session (.json)"
    FILES: ClassVar = "a .safetensors or .json file"
    DEFAULT_CSS = """
    ModelPicker OptionList { text-wrap: nowrap; text-overflow: ellipsis; }
    ModelPicker.-wide .dialog { width: 110; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (28, "-medium")]  # noqa: RUF012

    def __init__(self, state: RunsState, here: Set[str]) -> None:
        super().__init__()
        self._state, self._is_played = state, here
        self._entries: list[Entry] = []
        self.shown = self._entries
        self._search: Worker[None] | None = None

    def find(self, bits: bool) -> Sequence[Entry]:
        """What there is to choose from, with losses in nats or in ``bits``. Called in a thread."""
        return entries(self._state, bits)

    def shown_name(self, name: str) -> str:
        """A name as it stands in the list: all rows have the columns of the longest one."""
        return shorten(name, MOST_NAME)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(Content(self.TITLE), classes="dialog-title")
            yield TextInput(
                placeholder=self.HINT,
                suggester=TypedPathSuggester(),
                compact=True,
            )
            yield SteadyOptionList(compact=True)
            yield Static(Content(""), classes="dialog-error")
            yield Static(Content(self.KEYS), classes="dialog-keys")

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
        found = await in_thread(lambda check: self.find(bits))
        self._entries = [clean(entry) for entry in found]
        self.fill(self.query_one(Input).value)

    def key_tab(self) -> None:
        """Accept the suggestion."""
        self.query_one(Input).action_cursor_right()

    def key_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def key_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self.show_problem("")
        self.fill(event.value)

    def fill(self, needle: str) -> None:
        needle = needle.strip().lower()
        found = [entry for entry in self._entries if needle in f"{entry[1]} {entry[2]}".lower()]
        self.shown = sorted(found, key=lambda entry: (needle != entry[1].lower(), needle not in entry[1].lower()))
        options = self.query_one(OptionList)
        options.clear_options()
        names = [self.shown_name(name) for _, name, _ in self.shown]
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
            for (word, _, about), name in zip(self.shown, names, strict=True)
        )
        if self.shown:
            played = (index for index, (word, _, _) in enumerate(self.shown) if word in self._is_played)
            options.highlighted = 0 if needle else next(played, 0)
            self.call_after_refresh(options.scroll_to_highlight)  # when the list is as high as it will be
        elif self._entries:
            words = Content(f"  Nothing here is called “{visible(needle, keep='')}”. A path may be typed in full.")
            options.add_option(Option(words, disabled=True))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)  # not by its index: the list may have been filled anew since

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        options, typed = self.query_one(OptionList), event.value.strip()
        if typed.endswith(self.ENDINGS) and os.path.isfile(typed_path(typed)):
            self.dismiss(str(typed_path(typed)))
        elif self.shown and options.highlighted is not None:
            self.dismiss(self.shown[options.highlighted][0])
        else:
            is_other = os.path.isfile(typed_path(typed))
            what = f"{typed} is no model or session" if is_other else f"There is no model or session called {typed}"
            self.show_problem(f"{what}: take one listed, or {self.FILES}.")


class TypedPathSuggester(PathSuggester):
    """Completes what can only be a path: names are in the list."""

    async def get_suggestion(self, value: str) -> str | None:
        return await super().get_suggestion(value) if "/" in value else None


def entries(state: RunsState, bits: bool = False) -> list[Entry]:
    """(MODEL, name, about) of the models that can be played: runs, files, the one in the box. Losses are in nats, or in
    ``bits``."""
    found = [(str(view.path), view.name, _about(view, bits)) for view in state.runs if view.has_model()]
    files = sorted(path for folder in (Path(), Path("models")) for path in folder.glob("*.safetensors"))
    found += [(str(path.absolute()), path.name, "model file") for path in files[:FILES]]
    if demo_path() is not None:
        found.append(("demo", "demo", "the model in the box"))
    return found


def clean(entry: Entry) -> Entry:
    """An entry whose words can be shown."""
    word, name, about = entry
    return word, visible(name, keep=""), visible(about, keep="")


def _about(view: RunView, bits: bool) -> str:
    parts = [view.status.state, f"step {view.status.step:,}", view.text]  # the last is cut off where space is short
    if view.status.loss is not None:
        parts.insert(1, f"best {best_loss(view.status, bits)} {unit(bits)}")
    return " · ".join(part for part in parts if part)
