"""Ask for a file to save something in: its format from a list, its name, and the folder in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.user_files import STDOUT, destination
from charlstm_tui.dialogs import Choice, ChoiceDialog, Dialog, ask
from charlstm_tui.formatting import home, shorten, typed_path, working_folder
from charlstm_tui.widgets.path_input import PathSuggester
from charlstm_tui.widgets.text_input import TextInput
from charlstm_tui.widgets.textual_repairs import SteadyOptionList


@dataclass(frozen=True, slots=True)
class Format:
    """A format to save in: the ending of the file name, and words for the content."""

    ending: str
    about: str
    joins_lines: bool = False
    """Whether the lines of each paragraph can be joined in it."""


class SaveDialog(Dialog):
    """Returns the path of the file, or ``None``. Whether a file that is there may be replaced has been asked then,
    unless it is the ``own`` file of what is saved.

    The name and the list of formats agree: the list changes the ending of the name, and an ending that is typed chooses
    in the list. For a format where they can be, a key says whether the lines of a paragraph are joined
    (:attr:`joins_lines`).
    """

    BINDINGS: ClassVar = [
        ("up", "format(-1)", "format"),
        ("down", "format(1)", "format"),
        Binding("ctrl+l", "join_lines", "join lines", priority=True),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-medium"), (30, "-tall")]  # noqa: RUF012

    def __init__(
        self, title: str, name: str, formats: Sequence[Format], about: str = "", own: Path | None = None
    ) -> None:
        super().__init__()
        self.joins_lines = False
        self._own = own
        self._title, self._offered, self._about = visible(title, keep=""), name, visible(about)
        self._formats = tuple(formats)

    def compose(self) -> ComposeResult:
        width = max(len(each.ending) for each in self._formats)
        with Vertical(classes="dialog wide"):
            yield Static(Content(self._title), classes="dialog-title")
            formats = SteadyOptionList(
                *(Option(Content(f" {each.ending:<{width}}  {each.about}")) for each in self._formats),
                compact=True,
            )
            formats.can_focus = False  # the arrows choose, while the name is typed
            yield formats
            yield TextInput(self._offered, suggester=PathSuggester(), compact=True)
            if any(each.joins_lines for each in self._formats):
                yield Static(self._lines_words, classes="dialog-lines quiet")
            yield Static(classes="dialog-folder quiet")
            if self._about:
                yield Static(Content(self._about), classes="dialog-about quiet")
            yield Static(classes="dialog-error")
            formats_keys = "   ↑ ↓ format" if len(self._formats) > 1 else ""
            keys = f"Enter save{formats_keys}   Tab complete   Esc cancel"
            yield Static(Content(keys), classes="dialog-keys")

    def opened(self) -> None:
        self._show(self._offered)

    @on(Resize)
    def _resized(self) -> None:
        self.call_after_refresh(self._show_folder)

    def key_tab(self) -> None:
        """Accept the suggestion."""
        self.query_one(Input).action_cursor_right()

    def _format_of(self, name: str) -> Format | None:
        """The format whose ending ``name`` has."""
        return next((each for each in self._formats if name.lower().endswith(each.ending)), None)

    @property
    def _chosen(self) -> Format:
        return self._formats[self.query_one(OptionList).highlighted or 0]

    def action_format(self, by: int) -> None:
        """Choose another format."""
        self._choose((self._formats.index(self._chosen) + by) % len(self._formats))

    @property
    def _lines_words(self) -> str:
        return "Ctrl+L  lines of a paragraph: " + ("joined" if self.joins_lines else "kept")

    def action_join_lines(self) -> None:
        """Join the lines of each paragraph in the file, or keep them."""
        if self._chosen.joins_lines:
            self.joins_lines = not self.joins_lines
            self.query_one(".dialog-lines", Static).update(self._lines_words)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._choose(event.option_index)

    def _choose(self, index: int) -> None:
        self.query_one(OptionList).highlighted = index
        line = self.query_one(Input)
        before = self._format_of(line.value)
        stem = line.value if before is None else line.value[: -len(before.ending)]
        line.value = stem + self._formats[index].ending
        line.cursor_position = len(line.value)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, name: str) -> None:
        """Show the format and the folder of this name."""
        if (chosen := self._format_of(name)) is not None:
            self.query_one(OptionList).highlighted = self._formats.index(chosen)
        for line in self.query(".dialog-lines"):
            line.visible = self._chosen.joins_lines
        self._show_folder()
        self.show_problem("")

    def _show_folder(self) -> None:
        """Show the folder of the name, shortened to the width of the dialog."""
        name, line = self.query_one(Input).value, self.query_one(".dialog-folder", Static)
        folder = _absolute(name).parent if name.strip() else working_folder()
        words, width = visible(home(folder), keep=""), line.size.width - len("In ")
        line.update(Content(f"In {shorten(words, width) if width > 0 else words}"))

    def _path(self, name: str) -> Path:
        """The file that is meant. Raises :class:`CharLSTMError` when it cannot be saved."""
        if not name.strip():
            raise CharLSTMError("Give the file a name")
        if name.strip() == STDOUT:
            raise CharLSTMError("Standard output is this terminal: enter the name of a file")
        path = _absolute(name)
        if self._format_of(path.name) is None:
            destination(path)  # a folder or a device is said first
            if path.suffix:
                raise CharLSTMError(f"Let the name end in {' or '.join(each.ending for each in self._formats)}")
            path = path.with_name(path.name + self._chosen.ending)
        return path

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        try:
            path = self._path(event.value)
            destination(path, overwrite=path == self._own)
        except CharLSTMError as error:
            self.show_problem(f"{error}.")
        except FileExistsError:
            self._ask_to_replace(path)
        else:
            self.dismiss(path)

    def _ask_to_replace(self, path: Path) -> None:
        choices = [Choice("n", "no, keep it", None), Choice("y", "yes, replace it", path)]
        about = "There is a file of that name already."
        ask(self, ChoiceDialog(f"Replace {home(path)}?", about, choices), self.dismiss_later)


def _absolute(name: str) -> Path:
    return working_folder() / typed_path(name.strip())
