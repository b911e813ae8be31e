"""Every sampler setting as a form in a dialog, as ``charlstm.generation.sampler_settings`` declares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from charlstm.errors import GenerationError
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.setting_fields import setting_fields
from charlstm_tui.dialogs import Dialog
from charlstm_tui.player.preferences import Preferences
from charlstm_tui.widgets.form_row import FormRow, values

COPIED = "copied"
DECLARED = {**setting_fields(SamplerSettings), COPIED: setting_fields(Preferences)[COPIED]}
"""The settings of the form: those of the sampler, and from how many characters on a passage counts as copied."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the dialog returns. ``copied`` is ``None`` where it was not asked for."""

    settings: SamplerSettings
    copied: int | None


class SamplerRow(FormRow):
    """One of the sampler's settings, or :data:`COPIED`."""

    INDENT = 0
    DEFAULT_CSS = """
    SamplerRow > Input { width: 11; margin-left: 20; }
    """

    def read(self, text: str) -> Any:
        return DECLARED[self.setting].parse(text, GenerationError)

    def write(self, value: Any) -> str:
        return DECLARED[self.setting].write(value)

    def about(self) -> str:
        declared = DECLARED[self.setting]
        return self.error.removeprefix(f"{self.setting} ") or declared.form or declared.about

    @property
    def caption(self) -> str:
        return DECLARED[self.setting].label


class SamplerDialog(Dialog):
    """Returns :class:`Chosen`, or ``None``. ``copied`` of ``None`` leaves that row out."""

    BINDINGS = [  # noqa: RUF012
        ("up", "app.focus_previous", "row above"),
        ("down", "app.focus_next", "row below"),
        ("ctrl+r", "reset", "reset all"),
    ]
    DEFAULT_CSS = """
    SamplerDialog VerticalScroll { height: auto; max-height: 1fr; scrollbar-size-vertical: 1; }
    """

    def __init__(self, title: str, settings: SamplerSettings, copied: int | None = None) -> None:
        super().__init__()
        self._title, self._settings, self._copied = title, settings, copied

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(Content(self._title), classes="dialog-title")
            with VerticalScroll(can_focus=False):
                for name, each in setting_fields(SamplerSettings).items():
                    yield SamplerRow(name, getattr(self._settings, name), each.default, id=f"sampler-{name}")
                if self._copied is not None:
                    yield SamplerRow(COPIED, self._copied, DECLARED[COPIED].default, id=f"sampler-{COPIED}")
            keys = "Enter apply   ↑↓ rows   Ctrl+R reset all   * changed   Esc cancel"
            yield Static(Content(keys), classes="dialog-keys")

    def opened(self) -> None:
        self.query(Input).first().focus()

    def action_reset(self) -> None:
        for row in self.query(SamplerRow):
            row.reset()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        if (found := values(self.query(SamplerRow))) is not None:
            copied = found.pop(COPIED, None)
            self.dismiss(Chosen(SamplerSettings(**found), copied))
