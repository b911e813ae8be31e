"""Choose the encoding of a text by how one of its lines reads in each."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from charlstm.display import visible
from charlstm.text.encoding import ENCODINGS, EncodingChoice
from charlstm_tui.dialogs import Dialog
from charlstm_tui.widgets.textual_repairs import SteadyOptionList


class EncodingDialog(Dialog):
    """Returns the name of the encoding that was chosen."""

    def __init__(self, choices: Sequence[EncodingChoice], current: str) -> None:
        super().__init__()
        self._names = [choice.name for choice in choices]
        self._choices = tuple(choices)
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(Content("Encoding"), classes="dialog-title")
            yield Static(
                Content("The same line of the text in each encoding: which one is right?"), classes="dialog-text"
            )
            yield SteadyOptionList(*(Option(self._entry(choice)) for choice in self._choices), compact=True)
            yield Static(Content("Enter choose   Esc cancel"), classes="dialog-keys")

    def _entry(self, choice: EncodingChoice) -> Content:
        about = ENCODINGS.get(choice.name, "")
        guessed = ", guessed" if choice.name == self._names[0] else ""
        return Content.assemble(
            (f"{choice.name:<11}", "bold"), (f"{about}{guessed}\n", "$quiet"), f"  {visible(choice.line, keep='')}"
        )

    def opened(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = self._names.index(self._current) if self._current in self._names else 0

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._names[event.option_index])
