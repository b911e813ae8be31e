"""All settings of a run as an editable form, generated from ``charlstm.training.settings``.

A row is a name, a field and what it does. A row whose value is not accepted says what the setting takes. Values that
differ from the preset are marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.message import Message
from textual.widgets import Input, Static

from charlstm.display import visible
from charlstm.errors import SettingsError
from charlstm.setting_fields import setting_fields
from charlstm.training.ending import risk_words
from charlstm.training.settings import Settings, about, parse_setting, takes, write_setting
from charlstm_tui.dialogs import Dialog
from charlstm_tui.widgets.form_row import FormRow, values
from charlstm_tui.widgets.text_input import TextInput


class SettingRow(FormRow):
    """A row for a setting of training. ``without_effect`` is why it has none, or empty."""

    def __init__(self, name: str, value: Any, usual: Any, without_effect: str = "") -> None:
        super().__init__(name, value, usual, id=f"setting-{name}")
        self.without_effect = without_effect

    def read(self, text: str) -> Any:
        return parse_setting(self.setting, text)

    def write(self, value: Any) -> str:
        return write_setting(self.setting, value)

    def about(self) -> str:
        if self.error:
            return f"✗ takes {takes(self.setting)}"
        return f"no effect: {self.without_effect}" if self.without_effect else about(self.setting)


class SettingsForm(VerticalScroll, can_focus=False):
    """The form. ``settings`` are the values at first, ``usual`` those of the preset; ``without_effect`` says of some
    settings why they have no effect on the text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Row above", show=False),
        Binding("down", "app.focus_next", "Row below", show=False),
    ]
    DEFAULT_CSS = """
    SettingsForm { scrollbar-size-vertical: 1; }
    SettingsForm > .settings--group { height: 2; padding: 1 1 0 1; color: $quiet; text-style: bold; }
    SettingsForm > .settings--group.-first { height: 1; padding: 0 1; }
    """

    class Submitted(Message):
        """Enter was pressed, and all values are accepted."""

        def __init__(self, settings: Settings) -> None:
            super().__init__()
            self.settings = settings

    class Refused(Message):
        """Enter was pressed, and the values are not accepted together."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, settings: Settings, usual: Settings, without_effect: Mapping[str, str]) -> None:
        super().__init__()
        self.settings, self.usual, self.without_effect = settings, usual, without_effect

    def compose(self) -> ComposeResult:
        now, usual = self.settings.to_dict(), self.usual.to_dict()
        for number, (name, each) in enumerate(setting_fields(Settings).items()):
            if each.group:
                first = " -first" if number == 0 else ""
                yield Static(each.group.upper(), classes=f"settings--group{first}", markup=False)
            yield SettingRow(name, now[name], usual[name], self.without_effect.get(name, ""))

    def reset(self) -> None:
        """Back to the preset's values."""
        for row in self.query(SettingRow):
            row.reset()

    def narrow(self, needle: str) -> list[SettingRow]:
        """Show only the rows whose name or words contain ``needle``, and return them; all rows for an empty one."""
        found = []
        for child in self.children:
            if isinstance(child, SettingRow):
                child.display = needle.casefold() in f"{child.setting} {about(child.setting)}".casefold()
                found += [child] if child.display else []
            else:
                child.display = not needle  # a caption
        return found

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        event.stop()
        rows = self.query(SettingRow)
        if any(row.error for row in rows):
            self.narrow("")  # a wrong value may be in a row that is not shown
        if (found := values(rows)) is None:
            return
        try:
            settings = self.settings.with_changes(**found)
        except SettingsError as error:  # each value is accepted, but not together
            self.post_message(self.Refused(str(error)))
        else:
            self.post_message(self.Submitted(settings))


class SettingsDialog(Dialog):
    """All settings as a form. Returns them, or ``None`` after Esc. ``usual`` are those of the preset ``name``;
    ``without_effect`` says of some settings why they have no effect on the run."""

    AUTO_FOCUS = ""  # None would be the app's, which is the first field
    BINDINGS = [  # noqa: RUF012
        ("ctrl+r", "reset", "values of the preset"),
        Binding("slash", "search", "search", priority=True),
        Binding("escape", "leave", "cancel", priority=True),
    ]

    def __init__(self, name: str, settings: Settings, usual: Settings, without_effect: Mapping[str, str]) -> None:
        super().__init__()
        self._preset, self._settings, self._usual, self._without_effect = name, settings, usual, without_effect
        self._refused = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog settings"):
            yield Static(Content(f"ALL SETTINGS · preset {self._preset}"), classes="dialog-title")
            yield TextInput(placeholder="part of a name or of what it does", id="setting-search", compact=True)
            yield SettingsForm(self._settings, self._usual, self._without_effect)
            yield Static(id="setting-warning", markup=False)
            yield Static(id="setting-help", markup=False)
            yield Static(
                Content("Enter accept   / search   ↑↓ rows   Ctrl+R preset's values   Esc cancel"),
                classes="dialog-keys",
            )

    def opened(self) -> None:
        self.query_one("#setting-search").display = False
        self.query_one("#setting-warning").display = False
        for row in self.query(SettingRow)[:1]:  # there is none while the app exits
            row.query_one(Input).focus()

    @on(DescendantFocus)
    def _row_focused(self, event: DescendantFocus) -> None:
        row = event.widget.parent
        if isinstance(row, SettingRow):
            self._explain(row)
        self._warn()

    def _explain(self, row: SettingRow) -> None:
        usual = f"Preset {self._preset}: {row.write(row.usual)}."
        effect = f" Here it has no effect: {row.without_effect}." if row.without_effect else ""
        words = f"{row.setting}: {about(row.setting)}. Takes {takes(row.setting)}. {usual}{effect}"
        self.query_one("#setting-help", Static).update(Content(words))

    @on(Input.Changed, "SettingRow > Input")
    def _typed(self) -> None:
        self._refused = ""
        self.call_after_refresh(self._warn)  # the row reads its field first

    @on(SettingsForm.Refused)
    def _settings_refused(self, event: SettingsForm.Refused) -> None:
        self._refused = event.sentence
        self._warn()

    def _warn(self) -> None:
        """Say what cannot be accepted, or may go wrong, in lines of its own."""
        rows = {row.setting: row for row in self.query(SettingRow)}
        found = [f"✗ {name} takes {takes(name)}." for name, row in rows.items() if row.error]
        found += [f"✗ {self._refused}."] if self._refused else []
        rate = rows.get("lr")  # there are no rows while the dialog or the app is left
        if rate is not None and not rate.error and (risk := risk_words(rate.value, self._usual.lr)):
            found.append(f"! {risk}")
        for line in self.query("#setting-warning").results(Static):
            line.update(Content("\n".join(found)))
            line.display = bool(found)

    # ---- search
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "search":
            return self.focused is None or self.focused.id != "setting-search"
        return super().check_action(action, parameters)

    def action_search(self) -> None:
        line = self.query_one("#setting-search", Input)
        line.display = True
        line.focus()

    @on(Input.Changed, "#setting-search")
    def _narrow(self, event: Input.Changed) -> None:
        event.stop()
        found = self.query_one(SettingsForm).narrow(event.value.strip())
        if found:
            self._explain(found[0])
        else:
            words = f"No setting has “{visible(event.value.strip(), keep='')}” in its name or description."
            self.query_one("#setting-help", Static).update(Content(words))

    @on(Input.Submitted, "#setting-search")
    def _found(self, event: Input.Submitted) -> None:
        """Go to the first row that was found."""
        event.stop()
        for row in self.query_one(SettingsForm).narrow(event.value.strip())[:1]:
            row.query_one(Input).focus()

    def action_leave(self) -> None:
        """Show all rows again; without a search cancel."""
        line = self.query_one("#setting-search", Input)
        if not line.display:
            self.dismiss(None)
            return
        row = self.focused.parent if self.focused is not None else None
        line.value, line.display = "", False
        rows = self.query_one(SettingsForm).narrow("")
        shown = row if isinstance(row, SettingRow) else rows[0]
        shown.query_one(Input).focus()
        self.call_after_refresh(shown.scroll_visible, animate=False)

    @on(SettingsForm.Submitted)
    def _submitted(self, event: SettingsForm.Submitted) -> None:
        self.dismiss(event.settings)

    def action_reset(self) -> None:
        self.query_one(SettingsForm).reset()
