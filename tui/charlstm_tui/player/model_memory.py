"""A small file in the user's state folder that keeps something of each model: see :class:`ModelMemory`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from charlstm import paths, storage
from charlstm.errors import GenerationError

FORMAT = 1
MOST_BYTES = 4_000_000


class ModelMemory:
    """Entries by model, the one that was changed least recently first. A file that cannot be read has none.

    Args:
        name: the file's.
        most: how many entries are kept; the first ones are forgotten.
        about: what it keeps, as the beginning of a sentence: ``The names of cells were``.
    """

    def __init__(self, name: str, most: int, about: str) -> None:
        self._name, self._most, self._about = name, most, about

    @property
    def path(self) -> Path:
        """Where the file is."""
        return paths.state_dir(make=False) / self._name

    def read(self) -> dict[str, Any]:
        """All entries. Raises :class:`GenerationError` when the file is a newer charlstm's."""
        try:
            content = storage.read_json(self.path, most=MOST_BYTES)
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        version, entries = content.get("format"), content.get("models")
        if type(version) is int and version > FORMAT:
            raise GenerationError(
                f"{self._about} written by a newer charlstm (format {version}) and stays as it is; update charlstm "
                f"to use it, or delete {self.path}"
            )
        return entries if isinstance(entries, dict) else {}

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The entries, to be changed, while no other program changes them; they are written at the end. Raises
        :class:`OSError` when they cannot be, and :class:`GenerationError` as :meth:`read` does."""
        self.path.parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        with storage.changing(self.path):
            entries = self.read()
            yield entries
            while len(entries) > self._most:
                del entries[next(iter(entries))]
            content = json.dumps({"format": FORMAT, "models": entries}, ensure_ascii=False)
            storage.replace_bytes(self.path, content.encode("utf-8", "surrogatepass"))
