"""Read the settings of a training run from a TOML file.

The keys at the top of the file are settings under the names of :class:`~charlstm.training.settings.Settings`;
``preset`` names the preset that they change, and a table ``[text]`` holds text options. TOML has no null: write
``"none"``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlstm import arguments
from charlstm.errors import CharLSTMError, SettingsError
from charlstm.text.reading import TextOptions
from charlstm.toml_files import read_toml, value_words
from charlstm.training.presets import DEFAULT, preset, with_given
from charlstm.training.settings import Settings, parse_setting


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """What a settings file says, checked. All of it is optional."""

    preset: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the preset, by name."""
    text_changes: Mapping[str, Any] = field(default_factory=dict)
    """Text options that differ from their defaults, by name."""

    @property
    def text_options(self) -> TextOptions:
        """How the text is to be read."""
        return TextOptions.from_dict(self.text_changes)

    def settings(self, chars: int = 1_000_000, vocab_size: int = 100) -> Settings:
        """The preset for a text of ``chars`` characters, ``vocab_size`` of them distinct, with the file's changes, as
        :func:`~charlstm.training.presets.with_given` makes them.

        Without a preset in the file it is ``quick``, as in ``charlstm train``. Raises :class:`SettingsError` when the
        values do not go together.
        """
        return with_given(preset(self.preset or DEFAULT, chars, vocab_size), self.changes)


def load_settings(path: str | Path) -> SettingsFile:
    """Read the TOML file ``path``.

    Raises :class:`SettingsError` that names the file, and the line where it is known, when the file cannot be read, is
    not TOML, or has an entry with an unknown name or a wrong value.
    """
    with arguments.disk_errors("The settings file", path, error=SettingsError):
        file = read_toml(Path(path), "settings file")
    entries = file.entries
    name = ""
    try:
        text_entries = _table(entries.pop("text", {}))
        for name, value in entries.items():
            entries[name] = _preset(value) if name == "preset" else parse_setting(name, _written(value))
    except CharLSTMError as error:
        raise SettingsError(file.located("", name or "text", error)) from None
    try:
        for name, value in text_entries.items():
            TextOptions.from_dict({name: value})
    except CharLSTMError as error:
        raise SettingsError(file.located("text", name, error)) from None
    return SettingsFile(preset=entries.pop("preset", None), changes=entries, text_changes=text_entries)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError("text is a table: write [text], and the text options below it")
    return value


def _preset(value: Any) -> str:
    preset(str(value))
    return str(value)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        raise SettingsError("This is a table, and the settings are at the top of the file: move its entries there")
    return value_words(value)
