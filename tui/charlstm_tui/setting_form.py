"""Settings as a list in a dialog, with one line below it: to search in, and to type the value of a setting in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key, Paste
from textual.widgets import Input, Static

from charlstm.display import visible
from charlstm.errors import CharLSTMError
from charlstm.setting_fields import SettingField
from charlstm_tui.dialogs import Choice, ChoiceDialog, Dialog, ask
from charlstm_tui.widgets.row_list import Row, RowList
from charlstm_tui.widgets.text_input import TextInput

NAME, VALUE = 20, 14
"""Columns of a setting's name and of its value."""
BESIDE = 3
"""Columns beside a row: the sign of the cursor, and the scrollbar."""
OTHER_LINES = 12
"""Lines of the dialog besides those of the settings."""
SEARCH_KEYS = "Enter edit   type to search   Ctrl+R reset all   Ctrl+S use   Esc cancel"
EDIT_KEYS = "Enter accept   ↑↓ accept and go on   Ctrl+R reset   Esc leave it"


class SettingForm(Dialog):
    """Returns what :meth:`result` makes of the values, or ``None``. Esc asks first where changes would be lost.

    Enter edits the setting at the cursor in the line below, and Enter accepts its value; what is typed else searches.
    """

    BINDINGS: ClassVar = [
        ("up", "move(-1)", "row above"),
        ("down", "move(1)", "row below"),
        ("pageup", "page(-1)", "page up"),
        ("pagedown", "page(1)", "page down"),
        ("ctrl+r", "reset", "usual values"),
        ("ctrl+s", "use", "use"),
        ("escape", "leave", "cancel"),
    ]

    def __init__(
        self,
        title: str,
        declared: Mapping[str, SettingField],
        values: Mapping[str, Any],
        usual: Mapping[str, Any],
        *,
        usual_is: str = "Usually",
        off: str = "off",
        without_effect: Mapping[str, str] | None = None,
    ) -> None:
        """``usual`` are the values that count as unchanged, ``usual_is`` what they are in words, ``off`` the word for
        one that is off; ``without_effect`` says of some settings why they have none."""
        super().__init__()
        self._title, self._declared, self._usual_is, self._off = title, declared, usual_is, off
        self._before, self._usual, self._without_effect = dict(values), dict(usual), without_effect or {}
        self.values = dict(values)
        """The values that were accepted, by the name of the setting."""
        self.editing: str | None = None
        """The setting whose value is being typed."""
        self._rows = RowList(id="setting-rows")
        self._rows.can_focus = False  # the line has the focus
        self._line = TextInput(id="setting-line", compact=True, placeholder="part of a name or of what it does")
        self._help, self._warning, self._keys = (
            Static(classes=name, markup=False) for name in ("setting-help", "setting-warning", "dialog-keys")
        )

    # ---- what a subclass says
    def result(self) -> Any:
        """What the dialog returns. Raises :class:`CharLSTMError` when the values are not accepted together."""
        return dict(self.values)

    def warning(self) -> str:
        """What may go wrong with these values; empty for nothing."""
        return ""

    # ---- on the screen
    def compose(self) -> ComposeResult:
        dialog = Vertical(classes="dialog")
        groups = sum(bool(each.group) for each in self._declared.values())
        dialog.styles.max_height = len(self._declared) + groups + OTHER_LINES
        with dialog:
            yield Static(Content(self._title), classes="dialog-title")
            yield self._rows
            yield self._help
            yield self._warning
            yield self._line
            yield Static(classes="dialog-error")
            yield self._keys

    def opened(self) -> None:
        self._line.focus()
        self._draw()

    @on(RowList.Resized)
    def _draw(self) -> None:
        self._rows.show(self._shown())
        self._explain()
        warning = self.warning()
        self._warning.update(Content(warning))
        self._warning.display = bool(warning)
        self._keys.update(Content(EDIT_KEYS if self.editing else SEARCH_KEYS))

    def _shown(self) -> list[Row]:
        """The rows with the searched text in their name or words, rows that begin with it first; without a search all
        rows, in groups."""
        needle = "" if self.editing else self._line.value.strip().casefold()
        rows = []
        for name, each in self._declared.items():
            if each.group and not needle:
                rows.append(Row(None, Content.styled(each.group.upper(), "bold $quiet")))
            if needle in f"{name} {each.about}".casefold():
                rows.append(Row(name, self._row(name, each)))
        return sorted(rows, key=lambda row: not (row.key or "").startswith(needle)) if needle else rows

    def _row(self, name: str, each: SettingField) -> Content:
        changed = self.values[name] != self._usual[name]
        effect = self._without_effect.get(name)
        about = f"no effect: {effect}" if effect else each.form or each.about
        return Content.assemble(
            (f"{'*' if changed else ' '} {name:<{NAME}} ", "bold $accent" if changed else ""),
            (f"{self._written(name, self.values):<{VALUE}} ", "bold" if changed else ""),
            (about, "$quiet"),
        ).truncate(max(1, self._rows.size.width - BESIDE), ellipsis=True)

    def _written(self, name: str, values: Mapping[str, Any]) -> str:
        return self._declared[name].write(values[name], self._off)

    @on(RowList.Moved)
    def _moved(self) -> None:
        """Accept what is typed when another setting is clicked; a wrong value keeps the cursor."""
        if self.editing not in (None, self._rows.cursor) and not self._accept():
            self._rows.move_to(self.editing or "")
        self.before_draw(self._explain)

    def _explain(self) -> None:
        name = self._rows.cursor
        if name is None:
            words = f"No setting has “{visible(self._line.value.strip(), keep='')}” in its name or description."
        else:
            each, effect = self._declared[name], self._without_effect.get(name)
            words = f"{name}: {each.about}. Takes {each.takes}. {self._usual_is}: {self._written(name, self._usual)}."
            words += f" Here it has no effect: {effect}." if effect else ""
        self._help.update(Content(words))

    # ---- keys
    def take_key(self, event: Key | Paste, times: int) -> int:
        if self.editing is not None or not isinstance(event, Key):
            return 0
        return self._rows.take_key(event.key, times)

    def action_move(self, by: int) -> None:
        if self._accept():
            self._rows.action_move(by)

    def action_page(self, pages: int) -> None:
        if self._accept():
            self._rows.action_page(pages)

    @on(RowList.Chosen)
    def _clicked(self) -> None:
        self._edit()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if self.editing is None:
            self._edit()
        else:
            self._accept()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.show_problem("")
        if self.editing is None:
            self._draw()
            self._rows.cursor = next((row.key for row in self._rows.rows if row.key is not None), None)
            self._rows.scroll_home(animate=False)

    def _edit(self) -> None:
        """Have the value of the setting at the cursor in the line, selected, so that typing replaces it."""
        name = self._rows.cursor
        if name is not None and self._accept():
            self._rows.stay()
            self._type(name, self._written(name, self.values))
            self._line.select_all()

    def _accept(self) -> bool:
        """Accept the value that is typed, if one is. Returns whether it was right."""
        name = self.editing
        if name is not None:
            try:
                self.values[name] = self._declared[name].parse(self._line.value)
            except CharLSTMError as error:
                self.show_problem(f"✗ {error}.")
                return False
            self._type(None, "")
        return True

    def _type(self, name: str | None, value: str) -> None:
        """From now on a value of the setting ``name`` is typed in the line, or without one what to search for."""
        self.editing = name
        with self.prevent(Input.Changed):
            self._line.value = value
        self.show_problem("")
        self._draw()

    def action_reset(self) -> None:
        """The usual value in the line; while none is typed the usual values of all settings."""
        if self.editing is not None:
            self._line.value = self._written(self.editing, self._usual)
        else:
            self.values = dict(self._usual)
            self._draw()

    def action_use(self) -> None:
        """Return the values."""
        if not self._accept():
            return
        try:
            result = self.result()
        except CharLSTMError as error:
            self.show_problem(f"✗ {error}.")
        else:
            self.dismiss(result)

    def action_leave(self) -> None:
        """Leave the value or the search; without them the dialog."""
        if self.editing is not None or self._line.value:
            self._type(None, "")
        elif self.values == self._before:
            self.dismiss(None)
        else:
            use, leave = partial(self.call_later, self.action_use), partial(self.dismiss_later, None)
            choices = [Choice("u", "use them", use), Choice("l", "leave without them", leave)]
            about = "Some values were changed and are not used yet."
            ask(self, ChoiceDialog("Use the changed values?", about, choices), lambda act: act())
