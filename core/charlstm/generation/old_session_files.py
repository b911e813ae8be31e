"""Read session files of earlier versions: format 1 of 0.1, format 2 of 0.1 and 0.2, format 3 of 0.3.

Formats 1 and 2 are a JSON object with a tree of branches. Of what the model had made of each character, packed beside
the text, only who wrote it is read. Format 3 is a log: its first line, the head, is JSON; each other line is a CRC-32
as eight hexadecimal digits, a space and a JSON object, which has a whole ``state`` or ``entries``, what was done to the
document since. A torn last line, as a crash left it, is dropped.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from charlstm.arguments import whole_number
from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp, parse_clamp
from charlstm.generation.document import MOST_CHANGES, replay, text_from_dict, text_to_dict
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_document import SavedBranch, document_of_branches
from charlstm.generation.session_state import ERRORS as VALUE_ERRORS
from charlstm.generation.session_state import SessionState, SessionSummary, damage, state_from_dict, summary_of
from charlstm.generation.text_pieces import Text
from charlstm.generation.tree import row_type

HEAD = '{"format": 3, "kind": "charlstm session", '
"""How a log begins."""

TAIL = 16_384
"""Bytes at the end of a log in which the last summary is."""

MOST_RATIO = 100
"""A history that is packed better than this was saved unpacked: a small file could otherwise fill the memory."""

ERRORS = (*VALUE_ERRORS, zlib.error, binascii.Error)


# ---- formats 1 and 2


def state_of_tree(values: Mapping[str, Any]) -> SessionState:
    """The session in a file of format 1 or 2. Raises one of :data:`ERRORS`."""
    symbols = [str(each) for each in values["symbols"]]
    dtype = row_type(len(symbols))
    fields = [(name, dtype[name]) for name in dtype.names or () if name != "seed"]
    if values["format"] < 2:
        fields.insert(4, ("mu", np.dtype(np.float32)))  # mirostat's limit
    figures_type = np.dtype(fields).newbyteorder("<")
    branches = []
    for saved in values["branches"]:
        text = str(saved["text"])
        figures = np.frombuffer(_unpack(saved["figures"], len(text) * figures_type.itemsize), figures_type)
        if "".join(symbols[which] for which in figures["id"].tolist()) != text:
            raise ValueError("its text and its statistics disagree")
        number, start = whole_number(saved["number"], 0, 2**31), whole_number(saved["start"], 0, 2**62)
        own = Text.of(text, figures["source"])
        branches.append(SavedBranch(number, saved["parent"], start, str(saved["name"])[:200], own))
    cursor, rest = values["cursor"], values.get("rest")
    length = cursor.get("length")
    document = document_of_branches(
        str(values["prime"]), branches, cursor["branch"],
        length=None if length is None else whole_number(length, 0, 2**62),
        cursor=whole_number(cursor["position"] if rest is None else rest.get("position", cursor["position"]), 0, 2**62),
        seed=whole_number(values["seed"], -(2**63), 2**64 - 1),
        rest=Text() if rest is None else Text.of(str(rest["text"]), np.array(list(rest["sources"]), np.uint8)),
    )  # fmt: skip
    summary = SessionSummary.from_dict(values["summary"]) if "summary" in values else summary_of(document)
    run = values["model"].get("run")
    return SessionState(
        document, tuple(symbols), summary, SamplerSettings.from_dict(values["settings"]),
        tuple(parse_clamp(str(clamp)) for clamp in list(values.get("clamps", []))),
        whole_number(values["sample"], 0, 2**62), str(values["model"]["weights"]), run if isinstance(run, str) else "",
        {str(char)[:1]: whole_number(count, 0, 2**62) for char, count in dict(values["unknown"]).items()},
    )  # fmt: skip


def _unpack(packed: Any, size: int) -> bytes:
    """Decompress exactly ``size`` bytes, and never more: a small file could otherwise fill the memory."""
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(base64.b64decode(packed, validate=True), size + 1)
    if len(raw) != size or not unpacker.eof:  # zlib compares its checksum only at the end of the data
        raise ValueError("its text and its statistics disagree")
    return raw


# ---- format 3


def is_log(file: BinaryIO) -> bool:
    """Whether a file, which is read from its beginning, has format 3; it is at its beginning again then."""
    begins = file.read(len(HEAD))
    file.seek(0)
    return begins == HEAD.encode()


def read_log_summary(file: BinaryIO) -> SessionSummary:
    """The summary of a log, from its first and its last lines. Raises one of :data:`ERRORS`."""
    summary = dict(json.loads(file.readline())["summary"])
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    for line in reversed(file.read(TAIL).split(b"\n")[:-1]):
        record = _record(line)
        if record is not None and isinstance(record.get("summary"), dict):
            summary |= record["summary"]
            break
    return SessionSummary.from_dict(summary)


def read_log(file: BinaryIO, path: Path) -> tuple[SessionState, bool, str]:
    """The session in a log, whether the app saved it by itself, and a sentence about what is damaged, if anything is.
    Raises :class:`GenerationError` where nothing can be read of it."""
    lines = file.read().split(b"\n")[:-1]  # what follows the last line end is torn
    try:
        head = json.loads(lines[0])
        automatic, summary = head.get("automatic") is True, dict(head["summary"])
        is_damaged = False
    except ERRORS:  # the session is in the other lines
        automatic, summary, is_damaged = False, {}, True
    state, last = None, dict(summary)
    for line in lines[1:]:
        record = _record(line)
        try:
            if record is None:
                raise ValueError("a line is damaged")
            state, has_history = _taken(state, record)
        except ERRORS:
            is_damaged = True
            break
        is_damaged |= not has_history
        if isinstance(changed := record.get("summary"), dict):
            last = summary | changed
    if state is None:
        raise GenerationError(f"{path} is damaged: it has no text")
    try:
        state.document.copy().check_history()
    except VALUE_ERRORS:
        is_damaged = True
        state.document.forget_history()
    try:
        known = SessionSummary.from_dict(last)
    except TypeError:
        known = summary_of(state.document)
    return replace(state, summary=known), automatic, damage(path) if is_damaged else ""


def _record(line: bytes) -> dict[str, Any] | None:
    """The object of a line without its end; None if the line is damaged."""
    if len(line) < 10 or line[8:9] != b" " or b"%08x" % zlib.crc32(line[9:]) != line[:8]:
        return None
    try:
        record = json.loads(line[9:])
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _taken(state: SessionState | None, record: Mapping[str, Any]) -> tuple[SessionState, bool]:
    """What a session is after the next line, and whether its history is right. Raises one of :data:`ERRORS`; nothing
    of the line is used then."""
    has_history = True
    if "state" in record:
        values = record["state"]
        history = None
        try:
            text = state_from_dict(values, values["document"], {"undo": [], "redo": []})[0].document.text
            history = _completed_history(_unpacked_history(values["document"]), text)
        except ERRORS:
            has_history = False
        state, is_right = state_from_dict(values, values["document"], history)
        has_history &= is_right
    if state is None:
        raise ValueError("it does not begin with a text")
    document = state.document
    if "entries" in record:
        document = document.copy()
        replay(document, [_checked_entry(entry) for entry in record["entries"]])
    settings, clamps = record.get("settings"), record.get("clamps")
    changed = replace(
        state, document=document,
        settings=state.settings if settings is None else SamplerSettings.from_dict(settings),
        clamps=state.clamps if clamps is None else tuple(Clamp(*each) for each in clamps),
    )  # fmt: skip
    return changed, has_history


_WHOLE = ("position", "start", "removed", "number", "cursor", "length", "seed", "branch")
_WORDS = ("do", "kind", "text", "name")
_FLAGS = ("joins", "in_place", "undoable", "recorded")


def _checked_entry(entry: Any) -> Mapping[str, Any]:
    """``entry``, if its values are of the types that it has to have. Raises :class:`TypeError`."""
    if not isinstance(entry, dict):
        raise TypeError("an entry is an object")
    for name, value in entry.items():
        right = (
            (type(value) is int and abs(value) < 2**64) or (name == "length" and value is None) if name in _WHOLE
            else isinstance(value, str) if name in _WORDS
            else isinstance(value, bool) if name in _FLAGS
            else name == "by" and type(value) in (int, str)
        )  # fmt: skip
        if not right:
            raise TypeError(f"an entry has {str(name)[:20]!r}: {str(value)[:20]!r}")
    return entry


def _unpacked_history(document: Mapping[str, Any]) -> Mapping[str, Any]:
    packed = document["history"]
    if packed.startswith("{"):
        raw = packed
    else:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(packed, validate=True), MOST_RATIO * len(packed))
        if not unpacker.eof:
            raise ValueError("its history is not whole")
    history: dict[str, Any] = json.loads(raw)
    return history


def _completed_history(history: Mapping[str, Any], text: Text) -> dict[str, Any]:
    """The history of a document, which begins with what leads to ``text``, with all that was put in and taken out: the
    file has only the length of what the text still has when later changes are undone."""
    whole: dict[str, Any] = {}
    for name, here, there in (("undo", "added", "removed"), ("redo", "removed", "added")):
        changes, at = list(history[name])[-MOST_CHANGES:], text
        for place in range(len(changes) - 1, -1, -1):
            change = changes[place]
            start = whole_number(change["start"], 0, len(at))
            stop = start + whole_number(change[here], 0, len(at) - start)
            changes[place] = {**change, here: text_to_dict(at.part(start, stop))}
            at = at.replaced(start, stop, text_from_dict(change[there]))
        whole[name] = changes
    return whole
