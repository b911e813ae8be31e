"""Read the settings of a training run from a TOML file.

The keys at the top of the file are settings under the names of :class:`~charlstm.training.settings.Settings`;
``preset`` names the preset that they change, and a table ``[text]`` holds text options. TOML has no null: write
``"none"``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlstm.errors import CharLSTMError, SettingsError
from charlstm.text.reading import TextOptions
from charlstm.training.presets import DEFAULT, preset
from charlstm.training.settings import Settings, parse_setting

MAX_BYTES = 1_000_000
"""A longer file is refused: every setting with a long comment takes a few thousand bytes."""


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
        """The preset for a text of ``chars`` characters, ``vocab_size`` of them distinct, with the file's changes.

        Without a preset in the file it is ``quick``, as in ``charlstm train``. Raises :class:`SettingsError` when the
        values do not go together.
        """
        return preset(self.preset or DEFAULT, chars, vocab_size).with_changes(**self.changes)


def load_settings(path: str | Path) -> SettingsFile:
    """Read the TOML file ``path``.

    Raises :class:`SettingsError` that names the file, and the line where it is known, when the file cannot be read, is
    not TOML, or has an entry with an unknown name or a wrong value.
    """
    path = Path(path)
    content = _read(path)
    try:
        entries = tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}; correct it there") from None
    name = ""
    try:
        text_entries = _table(entries.pop("text", {}))
        for name, value in entries.items():
            entries[name] = _preset(value) if name == "preset" else parse_setting(name, _written(value))
    except CharLSTMError as error:
        raise _located(path, content, "", name or "text", error) from None
    try:
        for name, value in text_entries.items():
            TextOptions.from_dict({name: value})
    except CharLSTMError as error:
        raise _located(path, content, "text", name, error) from None
    return SettingsFile(preset=entries.pop("preset", None), changes=entries, text_changes=text_entries)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SettingsError(f"{path} is longer than {MAX_BYTES:,} bytes, so it is not a settings file")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}; check its name") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The settings file {path} is not UTF-8 text: save it as UTF-8") from None


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError("text is a table: write [text], and the text options below it")
    return value


def _preset(value: Any) -> str:
    preset(str(value))
    return str(value)


def _written(value: Any) -> str:
    """A value as :func:`parse_setting` takes it."""
    if isinstance(value, dict):
        raise SettingsError("This is a table, and the settings are at the top of the file: move its entries there")
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (int, float, str)):
        raise SettingsError("A setting is a number, a word in quotes, true or false")
    return str(value)


def _located(path: Path, content: str, table: str, name: str, error: CharLSTMError) -> SettingsError:
    line = _line_of(content, table, name)
    return SettingsError(f"{path}{'' if line is None else f', line {line}'}: {error}")


def _line_of(content: str, table: str, name: str) -> int | None:
    """The number of the line where the entry ``name`` of ``table`` (empty: the top of the file) stands, from 1. None
    for dotted keys and inline tables; tomllib tells no lines."""
    current = ""
    for number, line in enumerate(content.split("\n"), 1):
        if header := re.match(r"""\s*\[+\s*["']?([^\]"']+?)["']?\s*\]""", line):
            current = header[1]
            if not table and current == name:
                return number
        elif current == table and re.match(rf"""\s*["']?{re.escape(name)}["']?\s*=""", line):
            return number
    return None
