"""A row of a form: a setting's name, the field for its value, and what it does or why the value is not accepted.

A subclass says how values are read and written, and what the setting does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from charlstm.errors import CharLSTMError
from charlstm_tui.widgets.text_input import TextInput


class FormRow(Horizontal):
    """A setting and its value. Entering the field selects its content, so that typing replaces it.

    ``usual`` is the value that counts as unchanged. ``value`` is the last value that was accepted. ``error`` is a
    sentence, empty while the field's content is accepted.
    """

    DEFAULT_CSS = """
    FormRow { height: 1; }
    FormRow > .form--name { width: 22; padding: 0 1; text-wrap: nowrap; }
    FormRow > Input { width: 14; background: $foreground 8%; }
    FormRow > Input:focus { background: $primary 30%; }
    FormRow > .form--about { width: 1fr; padding: 0 1; color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; }
    FormRow.-wrong > .form--about { color: $error; }
    FormRow.-changed > .form--name { color: $accent; text-style: bold; }
    """

    def __init__(self, name: str, value: Any, usual: Any, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.setting, self.value, self.usual = name, value, usual
        self.error = ""

    # ---- what a subclass defines
    def read(self, text: str) -> Any:
        """The value that ``text`` stands for. Raises :class:`CharLSTMError` for what the setting cannot be."""
        raise NotImplementedError

    def write(self, value: Any) -> str:
        """The inverse of :meth:`read`."""
        raise NotImplementedError

    def about(self) -> str:
        """What the setting does; while there is an error, what it takes."""
        raise NotImplementedError

    @property
    def caption(self) -> str:
        """The setting's name on the screen."""
        return self.setting

    # ---- the row
    def compose(self) -> ComposeResult:
        yield Static(classes="form--name", markup=False)
        yield TextInput(self.write(self.value), compact=True)
        yield Static(classes="form--about", markup=False)

    def on_mount(self) -> None:
        self.check()

    def on_click(self) -> None:
        """The whole row is the field's label."""
        self.query_one(Input).focus()

    @on(Input.Changed)
    def check(self) -> None:
        """Read the field, and show whether its content is accepted and whether it is changed."""
        try:
            self.value, self.error = self.read(self.query_one(Input).value), ""
        except CharLSTMError as error:
            self.error = str(error)
        changed = not self.error and self.value != self.usual
        self.set_class(bool(self.error), "-wrong")
        self.set_class(changed, "-changed")
        self.query_one(".form--name", Static).update(Content(f"{'*' if changed else ' '} {self.caption}"))
        self.query_one(".form--about", Static).update(Content(self.about()))

    def reset(self) -> None:
        """Back to the usual value."""
        self.query_one(Input).value = self.write(self.usual)


def values(rows: Iterable[FormRow]) -> dict[str, Any] | None:
    """The values by setting. If one is not accepted, ``None``, and its field gets the focus."""
    found = {}
    for row in rows:
        row.check()
        if row.error:
            row.query_one(Input).focus()
            return None
        found[row.setting] = row.value
    return found
