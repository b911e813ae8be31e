"""Completes the path that is being typed. Only names in the folder of the path are offered."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from textual.suggester import Suggester

from charlstm_tui.background import in_thread

MOST = 2_000  # names of a folder that are looked at


class PathSuggester(Suggester):
    """The first name, in order, that what was typed begins; folders end with a slash."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await in_thread(lambda check: complete(value))  # a folder on a server may take seconds


def complete(typed: str) -> str | None:
    """The path that ``typed`` could become; ``None`` when there is none."""
    folder, _, begun = typed.rpartition("/")
    parent = Path(os.path.expanduser(folder + "/")) if typed.startswith(("/", "~")) or folder else Path()
    if "\0" in typed or not begun:
        return None
    names = []
    try:
        with os.scandir(parent) as entries:
            for entry in islice(entries, MOST):
                if entry.name.startswith(begun) and entry.name.isprintable():
                    names.append(entry.name + ("/" if entry.is_dir() else ""))
    except OSError:
        return None
    return f"{folder}/{min(names)}" if names and (folder or typed.startswith("/")) else min(names, default=None)
