"""Read session files of earlier versions: format 1 of 0.1, format 2 of 0.1 and 0.2, format 3 of 0.3.

Formats 1 and 2 are a JSON object with a tree of branches. Of what the model had made of each character, packed beside
the text, only who wrote it is read. Format 3 is a log: its first line, the head, is JSON; each other line is a CRC-32
as eight hexadecimal digits, a space and a JSON object, which has a whole ``state`` or ``entries``, what was done to the
document since. A torn last line, as a crash left it, is dropped.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from charlstm.arguments import whole_number
from charlstm.generation.clamp import Clamp, parse_clamp
from charlstm.generation.document import GENERATE, MOVE, PRUNE, Branch, Document, state_from_list, text_from_dict
from charlstm.generation.rows import GENERATED, TYPED, row_type
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.sampling import check_seed
from charlstm.generation.session_state import ERRORS as VALUE_ERRORS
from charlstm.generation.session_state import SessionState, SessionSummary, damage, state_from_dict, summary_of
from charlstm.generation.text_pieces import Text

HEAD = b'{"format": 3, "kind": "charlstm session", '
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
    fields = [(name, dtype[name]) for name in dtype.names or () if name not in ("char", "limit")]
    if values["format"] < 2:
        fields.insert(4, ("mu", np.dtype(np.float32)))  # mirostat's limit
    figures_type = np.dtype(fields).newbyteorder("<")
    prime = Text.of(str(values["prime"]), TYPED)
    begins = len(prime)
    branches, names = dict[int, Branch](), dict[int, str]()
    for saved in values["branches"]:
        text, number, parent = str(saved["text"]), whole_number(saved["number"], 0, 2**31), saved["parent"]
        figures = np.frombuffer(_unpack(saved["figures"], len(text) * figures_type.itemsize), figures_type)
        if "".join(symbols[which] for which in figures["id"].tolist()) != text:
            raise ValueError("its text and its statistics disagree")
        # each branch stands behind its parent, and may stand behind a later one: then it has a lower number than that
        if (parent is None) != (not branches) or number in branches or number < (parent or 0):
            raise ValueError("its branches do not form a tree")
        before = prime if parent is None else branches[parent].text
        parted = begins + whole_number(saved["start"], 0, len(before) - begins)
        whole = before.part(0, parted) + Text.of(text, figures["source"])
        branches[number] = Branch(number, parent, whole, 0 if parent is None else parted)
        names[number] = str(saved["name"])
    cursor, rest = values["cursor"], values.get("rest")
    length, position, current = cursor.get("length"), cursor["position"], cursor["branch"]
    whole = branches[current].text.part(0, None if length is None else begins + whole_number(length, 0, 2**62))
    if rest is not None:  # what followed in an editor
        whole += Text.of(str(rest["text"]), np.array(list(rest["sources"]), np.uint8))
        position = rest.get("position", position)
    document = document_with(branches, names, whole, begins + position, values["seed"], begins, current)
    summary = SessionSummary.from_dict(values["summary"]) if "summary" in values else summary_of(document)
    run = values["model"].get("run")
    return SessionState(
        document, summary, SamplerSettings.from_dict(values["settings"]),
        tuple(parse_clamp(str(clamp)) for clamp in list(values.get("clamps", []))),
        whole_number(values["sample"], 0, 2**62), str(values["model"]["weights"]), run if isinstance(run, str) else "",
    )  # fmt: skip


def document_with(
    branches: Mapping[int, Branch], names: Mapping[int, str], text: Text, cursor: int, seed: int, prime_length: int,
    current: int,
) -> Document:  # fmt: skip
    """A document of these branches, of which ``current`` has the text ``text``. What it has instead stays as a branch,
    where more of it follows.

    Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError` for places that are not in the text.
    """
    branches, known = dict(branches), branches[current]
    parted = text.same_start(known.text, sources=False)
    if parted < len(known.text):
        current = max(branches) + 1
        branches[current] = Branch(current, known.number, text, parted)
    else:
        branches[current] = replace(known, text=text)
    branches = dict(sorted(branches.items()))
    return Document.of(state_from_list([cursor, seed, prime_length, current], text, branches), names)


def _unpack(packed: Any, most: int) -> bytes:
    """Decompress at most ``most`` bytes: a small file could otherwise fill the memory."""
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(base64.b64decode(packed, validate=True), most + 1)
    if not unpacker.eof:  # zlib compares its checksum only at the end of the data
        raise ValueError("what is packed in it is not whole")
    return raw


# ---- format 3


def is_log(content: bytes) -> bool:
    """Whether a file that begins like this has format 3."""
    return content.startswith(HEAD)


def read_log_summary(file: BinaryIO) -> SessionSummary:
    """The summary of a log, from its first and its last lines. Raises one of :data:`ERRORS`."""
    file.seek(0)
    summary = dict(json.loads(file.readline())["summary"])
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL))
    for line in reversed(file.read(TAIL).split(b"\n")[:-1]):
        record = _record(line)
        if record is not None and isinstance(record.get("summary"), dict):
            summary |= record["summary"]
            break
    return SessionSummary.from_dict(summary)


def read_log(content: bytes, path: Path) -> tuple[SessionState, bool, str]:
    """The session in a log, whether the app saved it by itself, and a sentence about what is damaged, if anything is.
    Its history is not kept. Raises one of :data:`ERRORS` where nothing can be read of it."""
    lines = content.split(b"\n")[:-1]  # what follows the last line end is torn
    automatic, summary, is_damaged = False, dict[str, Any](), False
    with contextlib.suppress(*ERRORS):  # the session is in the other lines
        head = json.loads(lines[0])
        automatic, summary = head.get("automatic") is True, dict(head["summary"])
    state, text, last = None, None, summary
    for line in lines[1:]:
        record = _record(line)
        try:
            if record is None:
                raise ValueError("a line is damaged")
            if "state" in record:
                whole = LoggedText(record["state"]["document"])
                state, text = state_from_dict(record["state"], whole.document()), whole
            if state is None or text is None:
                raise ValueError("it does not begin with a text")
            for entry in record.get("entries", ()):
                text.do(entry)
            if (settings := record.get("settings")) is not None:
                state = replace(state, settings=SamplerSettings.from_dict(settings))
            if (clamps := record.get("clamps")) is not None:
                state = replace(state, clamps=tuple(Clamp(*each) for each in clamps))
        except ERRORS:
            is_damaged = True
            break
        is_damaged |= not text.has_history
        if isinstance(changed := record.get("summary"), dict):
            last = summary | changed
    if state is None or text is None:
        raise ValueError("it is damaged: it has no text")
    document = text.document()
    state = replace(state, document=document, summary=summary_of(document))
    with contextlib.suppress(TypeError):
        state = replace(state, summary=SessionSummary.from_dict(last))
    return state, automatic, damage(path) if is_damaged else ""


def _record(line: bytes) -> dict[str, Any] | None:
    """The object of a line without its end; None if the line is damaged."""
    if len(line) < 10 or line[8:9] != b" " or b"%08x" % zlib.crc32(line[9:]) != line[:8]:
        return None
    try:
        record = json.loads(line[9:])
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _unpacked_history(document: Mapping[str, Any]) -> Mapping[str, Any]:
    packed = document["history"]
    history: dict[str, Any] = json.loads(
        packed if packed.startswith("{") else _unpack(packed, MOST_RATIO * len(packed))
    )
    return history


class _Branch(NamedTuple):
    """A branch of a log. Its ``whole`` text has at its end what was undone."""

    parent: int | None
    whole: Text
    name: str = ""
    parted: int = 0


class _Place(NamedTuple):
    text: Text
    cursor: int
    seed: int
    prime_length: int
    branch: int


class _LoggedChange(NamedTuple):
    kind: str
    in_place: bool
    before: _Place
    after: _Place
    pruned: Mapping[int, _Branch] = {}

    @property
    def is_nothing(self) -> bool:
        return self.before == self.after and not self.pruned


class LoggedText:
    """The text of a log: a whole state, to which what the log says is done again.

    Raises one of :data:`ERRORS` for values that are no text, or cannot be done.

    Attributes:
        has_history: whether the state says what could be undone in it.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._branches: dict[int, _Branch] = {}
        for saved in values["branches"]:
            parent = None if saved["parent"] is None else self._branches[saved["parent"]]
            number = whole_number(saved["number"], 0, 2**31)
            if number in self._branches or (parent is None) != (not self._branches):
                raise ValueError("its branches do not form a tree")
            before = Text() if parent is None else parent.whole
            text = before.part(0, whole_number(saved["same"], 0, len(before))) + text_from_dict(saved)
            parted = whole_number(saved.get("parted", text.same_start(before, sources=False)), 0, 2**62)
            self._branches[number] = _Branch(saved["parent"], text, str(saved["name"])[:200], parted)
        whole = self._branches[values["place"][3]].whole
        text = whole.part(0, whole_number(values["length"], 0, len(whole)))
        self._here = _place(text, values["place"])
        self._done: list[_LoggedChange] = []
        self._undone: list[_LoggedChange] = []
        self.has_history = True
        try:
            history = _unpacked_history(values)
            self._done, self._undone = self._changes(history, "undo"), self._changes(history, "redo")
        except ERRORS:
            self.has_history = False

    def _changes(self, history: Mapping[str, Any], name: str) -> list[_LoggedChange]:
        """The changes that can be undone or redone, beginning with those that lead to the text as it is."""
        here, there = ("added", "removed") if name == "undo" else ("removed", "added")
        changes, text = list[_LoggedChange](), self._here.text
        for change in reversed(history[name]):
            start = whole_number(change["start"], 0, len(text))
            stop = start + whole_number(change[here], 0, len(text) - start)
            other = text.replaced(start, stop, text_from_dict(change[there]))
            before, after = (other, text) if name == "undo" else (text, other)
            pruned = {}
            for each in change.get("pruned", ()):
                parted = whole_number(each.get("parted", 0), 0, 2**62)
                branch = _Branch(int(each["parent"]), text_from_dict(each), str(each["name"]), parted)
                pruned[int(each["number"])] = branch
            places = _place(before, change["before"]), _place(after, change["after"])
            changes.append(_LoggedChange(str(change["kind"]), bool(change["in_place"]), *places, pruned))
            text = other
        changes.reverse()
        return changes

    def document(self) -> Document:
        """The text as it is now, without a history."""
        branches = {
            number: Branch(number, each.parent, each.whole, each.parted) for number, each in self._branches.items()
        }
        return document_with(branches, {number: each.name for number, each in self._branches.items()}, *self._here)

    def do(self, entry: Mapping[str, Any]) -> None:
        """Do again what a log says: ``do`` says what, the other names are the arguments."""
        values = dict(entry)
        getattr(self, f"_do_{values.pop('do')}")(**values)

    def _do_edit(
        self, kind: str, start: int, removed: int = 0, text: str = "", by: int | str = TYPED, seed: int | None = None,
        branch: int | None = None, joins: bool = False, in_place: bool = True,
    ) -> None:  # fmt: skip
        here, added = self._here, text_from_dict({"text": text, "by": by})
        start = whole_number(start, 0, len(here.text))
        removed = whole_number(removed, 0, len(here.text) - start)
        after = _Place(
            here.text.replaced(start, start + removed, added), start + len(added),
            here.seed if seed is None else check_seed(seed),
            0 if start < here.prime_length and (removed or added) else here.prime_length,
            here.branch if branch is None else branch,
        )  # fmt: skip
        self._add(_LoggedChange(kind, in_place, here, after), joins=joins)
        self._become(after, in_place=in_place)

    def _do_go(
        self, kind: str, number: int, cursor: int, length: int | None = None, seed: int | None = None,
        joins: bool = False,
    ) -> None:  # fmt: skip
        text, here = self._branches[number].whole.part(0, length), self._here
        seed = here.seed if seed is None else check_seed(seed)
        after = _Place(text, whole_number(cursor, 0, len(text)), seed, self._prime_length_in(text), number)
        self._add(_LoggedChange(kind, False, here, after), joins=joins)
        self._become(after)

    def _do_move(self, position: int, undoable: bool = True) -> None:
        before = self._here
        self._here = before._replace(cursor=min(max(0, position), len(before.text)))
        if not undoable or self._undone:
            return
        if self._done and self._done[-1].kind == MOVE:
            self._done[-1] = self._done[-1]._replace(after=self._here)
        else:
            self._add(_LoggedChange(MOVE, False, before, self._here))

    def _do_cursor(self, position: int) -> None:
        self._here = self._here._replace(cursor=min(max(0, position), len(self._here.text)))
        if self._done:
            self._done[-1] = self._done[-1]._replace(after=self._here)

    def _do_grow(self, text: str, recorded: bool) -> None:
        here = self._here._replace(cursor=len(self._here.text))
        whole = here.text + Text.of(text, GENERATED)
        after = here._replace(cursor=len(whole))
        known = self._branches[here.branch].whole
        if known.starts_with(whole) or whole.starts_with(known):
            whole = known.part(0, len(whole)) + whole.part(len(known))
        else:
            pruned = (number for change in (*self._done, *self._undone) for number in change.pruned)
            after = after._replace(branch=max((*self._branches, *pruned)) + 1)
        change = _LoggedChange(GENERATE, False, here, after._replace(text=whole))
        if recorded and self._done:
            self._join(change)
        elif self._done or self._undone:
            self._add(change)
        self._become(change.after)

    def _do_prune(self, number: int, length: int | None = None) -> None:
        branch, gone, before = self._branches[number], {number}, self._here
        for each, other in self._branches.items():  # a branch stands after its parent
            if other.parent in gone:
                gone.add(each)
        after = before
        if branch.parent is None:
            raise ValueError("the first branch was not removed")
        if before.branch in gone:
            text = self._branches[branch.parent].whole.part(0, length)
            cursor = min(before.cursor, branch.whole.same_start(text, sources=False))
            after = _Place(text, cursor, before.seed, self._prime_length_in(text), branch.parent)
        self._add(_LoggedChange(PRUNE, False, before, after, {each: self._branches[each] for each in gone}))
        self._become(after)
        for each in gone:
            del self._branches[each]

    def _do_rename(self, number: int, name: str) -> None:
        self._branches[number] = self._branches[number]._replace(name=name[:200])

    def _do_undo(self) -> None:
        while self._done and self._done[-1].is_nothing:
            self._done.pop()
        if not self._done:
            return
        change, here = self._done.pop(), self._here
        self._branches = dict(sorted({**self._branches, **change.pruned}.items()))
        self._become(change.before, in_place=change.in_place)
        self._undone.append(change._replace(after=here))

    def _do_redo(self) -> None:
        if not self._undone:
            return
        change, here = self._undone.pop(), self._here
        self._become(change.after, in_place=change.in_place)
        pruned = {each: self._branches.pop(each) for each in change.pruned}
        self._done.append(change._replace(before=here, pruned=pruned))

    def _add(self, change: _LoggedChange, *, joins: bool = False) -> None:
        self._undone.clear()
        if joins and self._done:
            self._join(change)
            return
        if self._done and self._done[-1].is_nothing:
            self._done.pop()
        self._done.append(change)

    def _join(self, change: _LoggedChange) -> None:
        last = self._done[-1]
        if last.before.text == last.after.text:
            self._done[-1] = change._replace(kind=last.kind, before=last.before)
        else:
            self._done[-1] = last._replace(after=change.after)

    def _become(self, place: _Place, *, in_place: bool = False) -> None:
        """What was undone at the end of a text stays a hidden part of its branch, unless that is changed
        ``in_place``."""
        text, number = place.text, place.branch
        known = self._branches.get(number)
        if known is None:
            parent = self._parts_from(text, self._branches[self._here.branch])
            parted = text.same_start(self._branches[parent].whole, sources=False)
            self._branches[number] = _Branch(parent, text, parted=parted)
        elif (in_place and number == self._here.branch) or not known.whole.starts_with(text):
            self._branches[number] = known._replace(whole=text)
        self._here = place

    def _parts_from(self, text: Text, branch: _Branch) -> int:
        place, number = text.same_start(branch.whole, sources=False), self._here.branch
        while branch.parent is not None:
            parent = self._branches[branch.parent]
            if branch.whole.same_start(parent.whole, sources=False) < place:
                break
            number, branch = branch.parent, parent
        return number

    def _prime_length_in(self, text: Text) -> int:
        here = self._here
        return here.prime_length if text.same_start(here.text, sources=False) >= here.prime_length else 0


def _place(text: Text, values: Any) -> _Place:
    cursor, seed, prime_length, branch = values
    length = len(text)
    return _Place(
        text, whole_number(cursor, 0, length), check_seed(seed), whole_number(prime_length, 0, length),
        whole_number(branch, 0, 2**31),
    )  # fmt: skip
