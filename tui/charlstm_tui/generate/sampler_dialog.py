"""Every sampler setting as a form in a dialog; what they mean is ``charlstm.generation.sampling``'s."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields, replace
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from charlstm.errors import GenerationError
from charlstm.generation.novelty import MIN_LENGTH
from charlstm.generation.sampling import SamplerSettings
from charlstm_tui.dialogs import Dialog
from charlstm_tui.generate.sampler_panel import CAPTION
from charlstm_tui.widgets.form_row import FormRow, values

COPIED = "copied"
MOST_COPIED = 1000
ABOUT = {
    "temperature": "0 likeliest, 1 as trained, 2 wild",
    "top_k": "keep so many of the likeliest",
    "top_p": "keep the likeliest up to this sum",
    "min_p": "drop below this share of the best",
    "typical": "drop what surprises more or less",
    "mirostat": "aim at so many bits per character",
    "mirostat_rate": "how fast mirostat adapts",
    "repetition": "penalty in nats for repeating text",
    "repetition_length": "shorter repeats are not penalised",
    "repetition_range": "characters back that are searched",
    "kind": "default, or reference: top-k alone",
    COPIED: "shortest passage shown as copied",
}
"""What each does, in words that fit a row of 80 columns."""
WHOLE = ("top_k", "repetition_length", "repetition_range")
OFF = {"repetition": 0.0}
"""What turns a setting off, where that is not ``None``."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the dialog returns. ``copied`` is ``None`` where it was not asked for."""

    settings: SamplerSettings
    copied: int | None


def written(name: str, value: Any) -> str:
    """A value as a person writes it in the form."""
    if value == OFF.get(name):
        return "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse(name: str, text: str) -> Any:
    """The inverse of :func:`written`; raises :class:`GenerationError`, in a sentence, for what a setting cannot be."""
    text = text.strip()
    value: Any = text
    if name != "kind" and text.lower() in ("", "off", "none"):
        value = OFF.get(name)
    elif name != "kind":
        with contextlib.suppress(ValueError):  # the check below says what they take
            value = int(text) if name in (*WHOLE, COPIED) else float(text)
    if name == COPIED:
        if not isinstance(value, int) or not 2 <= value <= MOST_COPIED:
            raise GenerationError(f"takes a whole number from 2 to {MOST_COPIED:,}")
        return value
    replace(SamplerSettings(), **{name: value})
    return value


class SamplerRow(FormRow):
    """One of the sampler's settings, or :data:`COPIED`."""

    DEFAULT_CSS = """
    SamplerRow > .form--name { width: 20; padding: 0; }
    SamplerRow > Input { width: 11; }
    """

    def read(self, text: str) -> Any:
        return parse(self.setting, text)

    def write(self, value: Any) -> str:
        return written(self.setting, value)

    def about(self) -> str:
        return self.error.removeprefix(f"{self.setting} ") or ABOUT[self.setting]

    @property
    def caption(self) -> str:
        return CAPTION.get(self.setting, self.setting.replace("_", " "))


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
        usual = SamplerSettings()
        with Vertical(classes="dialog wide"):
            yield Static(Content(self._title), classes="dialog-title")
            with VerticalScroll(can_focus=False):
                for field in fields(SamplerSettings):
                    name = field.name
                    row = SamplerRow(name, getattr(self._settings, name), getattr(usual, name), id=f"sampler-{name}")
                    yield row
                if self._copied is not None:
                    yield SamplerRow(COPIED, self._copied, MIN_LENGTH, id=f"sampler-{COPIED}")
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
