"""Read TOML files of the user, with messages that name the file and the line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm.errors import SettingsError
from charlstm.storage import open_file

MAX_BYTES = 1_000_000
"""A longer file is refused: every entry with a long comment takes a few thousand bytes."""


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A TOML file: its ``entries`` as :mod:`tomllib` reads them, and its ``content`` to find their lines in."""

    path: Path
    content: str
    entries: dict[str, Any]

    def located(self, table: str, name: str, problem: object) -> str:
        """``problem``, a sentence about the entry ``name`` of ``table`` ("": no table), with file and line."""
        line = self._line_of(table, name)
        return f"{self.path}{'' if line is None else f', line {line}'}: {problem}"

    def _line_of(self, table: str, name: str) -> int | None:
        """The number of the entry's line, from 1. None for inline tables and dotted keys: tomllib tells no lines."""
        current = ""
        for number, line in enumerate(self.content.split("\n"), 1):
            if header := re.match(r"""\s*\[+\s*["']?([^\]"']+?)["']?\s*\]""", line):
                current = header[1]
                if not table and current == name:
                    return number
            elif current == table and re.match(rf"""\s*["']?{re.escape(name)}["']?\s*=""", line):
                return number
        return None


def read_toml(path: Path, what: str) -> TomlFile:
    """Read ``path``; messages call it ``what``, such as "settings file".

    Raises :class:`SettingsError` when it cannot be read or is not TOML.
    """
    try:
        with open_file(path) as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise SettingsError(f"{path} is longer than {MAX_BYTES:,} bytes, so it is not a {what}")
        content = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise SettingsError(f"The {what} {path} cannot be read: {error.strerror}; check its name") from None
    except UnicodeDecodeError:
        raise SettingsError(f"The {what} {path} is not UTF-8 text: save it as UTF-8") from None
    try:
        return TomlFile(path, content, tomllib.loads(content))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}; correct it there") from None
