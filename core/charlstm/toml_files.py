"""Read the configuration, a TOML file, with messages that name the file and the line."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm.display import size
from charlstm.errors import SettingsError
from charlstm.storage import open_file

MAX_BYTES = 100_000
"""A longer file is refused: every entry with a long comment takes a few thousand bytes."""


@dataclass(frozen=True)
class TomlFile:
    """A TOML file: its ``entries`` as :mod:`tomllib` reads them, and its ``content`` to find their lines in."""

    path: Path
    content: str
    entries: dict[str, Any]

    def located(self, table: str, name: str, problem: object) -> str:
        """``problem``, a sentence about the entry ``name`` of ``table`` ("": no table), with file and line."""
        head, _, inline = table.rpartition(".")  # an inline table is an entry of the table before it
        line = self._lines.get((table, name), self._lines.get((head, inline)))
        return f"{self.path}{'' if line is None else f', line {line}'}: {problem}"

    @functools.cached_property
    def _lines(self) -> dict[tuple[str, str], int]:
        """The number of the line, from 1, of each entry by its table and name, and of each table as an entry without
        one. Inline tables and dotted keys are left out: tomllib tells no lines."""
        lines: dict[tuple[str, str], int] = {}
        table = ""
        for number, line in enumerate(self.content.split("\n"), 1):
            # possessive: a line of 6,000 blanks took minutes
            if header := re.match(r"""\s*+\[++\s*+["']?([^\]"']++)["']?\s*+\]""", line):
                table = header[1].rstrip()
                lines.setdefault(("", table), number)
            elif entry := re.match(r"""\s*+["']?([^="']++)["']?\s*+=""", line):
                lines.setdefault((table, entry[1].rstrip()), number)
        return lines


def read_toml(path: Path) -> TomlFile:
    """Read the configuration ``path``.

    Raises :class:`SettingsError` when it cannot be read, with the :class:`OSError` as its cause, or is not TOML.
    """
    try:
        with open_file(path) as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise SettingsError(f"{path} is longer than {size(MAX_BYTES)}, so it is not a configuration")
        content = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise SettingsError(f"The configuration {path} cannot be read: {error.strerror}; check its name") from error
    except UnicodeDecodeError:
        raise SettingsError(f"The configuration {path} is not UTF-8 text: save it as UTF-8") from None
    try:
        entries = tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}; correct it there") from None
    return TomlFile(path, content, entries)


def value_words(value: Any) -> str:
    """A value of a setting as on a command line. Raises :class:`SettingsError` for a list or a table."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (int, float, str)):
        raise SettingsError("A setting is a number, a word in quotes, true or false")
    return str(value)
