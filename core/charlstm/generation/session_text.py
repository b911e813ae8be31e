"""The text of a saved session of any format, without the model that wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from charlstm import storage
from charlstm.arguments import whole_number
from charlstm.errors import GenerationError
from charlstm.generation import saving, session_log
from charlstm.generation.session_log import ERRORS


@dataclass(frozen=True, slots=True)
class BranchText:
    """The text of a branch, from the beginning of the prime on."""

    number: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class SessionText:
    """What a session file says that can be read without its model.

    Attributes:
        text: the current text with its prime.
        title: what the user calls the session; empty if it has no title.
        model: the model that wrote it, as the file names it; empty if it does not.
        branches: all branches, the current one too.
        note: a sentence about what is damaged in the file, if anything is.
    """

    path: Path
    text: str
    title: str
    model: str
    branches: tuple[BranchText, ...]
    note: str = ""


def read(path: Path) -> SessionText:
    """The text of the session file ``path``. Raises :class:`GenerationError` if it is missing, damaged or of a newer
    format."""
    with saving.reading(path), storage.open_file(path) as file:
        if session_log.is_log(cast(BinaryIO, file)):
            return _of_log(session_log.read(path), path)
    with saving.reading(path):
        values = storage.read_json(path, most=saving.MAX_BYTES)
    saving.check_kind(values, str(path))
    try:
        return _of_tree(values, path)
    except ERRORS as error:
        raise GenerationError(f"{path} is damaged: {str(error)[:200] or type(error).__name__}") from None


def _of_log(log: session_log.ReadLog, path: Path) -> SessionText:
    state = log.state
    branches = (
        BranchText(number, branch.name, branch.kept.read()) for number, branch in state.document.branches.items()
    )
    return SessionText(
        path, state.document.text.read(), state.summary.title, state.summary.model or state.run, tuple(branches),
        log.note,
    )  # fmt: skip


def _of_tree(values: dict[str, Any], path: Path) -> SessionText:
    """The text of a file of format 1 or 2: each branch has what follows where it leaves its parent."""
    prime, branches = str(values["prime"]), []
    texts: dict[int, str] = {}
    for saved in values["branches"]:
        parent = "" if saved["parent"] is None else texts[saved["parent"]]
        number = whole_number(saved["number"], 0, 2**31)
        texts[number] = parent[: whole_number(saved["start"], 0, len(parent))] + str(saved["text"])
        branches.append(BranchText(number, str(saved["name"]), prime + texts[number]))
    cursor = values["cursor"]
    text = texts[cursor["branch"]]
    text = text[: whole_number(cursor.get("length", len(text)), 0, len(text))]
    if (rest := values.get("rest")) is not None:
        text += str(rest["text"])
    summary = values.get("summary")
    title = str(summary.get("title", "")) if isinstance(summary, dict) else ""
    return SessionText(path, prime + text, title, saving.model_of(values), tuple(branches))
