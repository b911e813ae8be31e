"""The text that is played and written: what it is, what was done to it, and its branches. No model is needed here.

Every change of the text is made here at once, wherever it is; what the model makes of it is read later
(:mod:`charlstm.generation.reader`). Each change is kept with its inverse for undo.
"""

from __future__ import annotations

import copy
import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from charlstm.arguments import whole_number
from charlstm.errors import GenerationError
from charlstm.generation.sampling import check_seed
from charlstm.generation.text_pieces import Sources, Text
from charlstm.generation.tree import CHOSEN, GENERATED, TYPED, BranchInfo

MOST_CHANGES = 1000
"""Changes that can be undone."""

MOST_HISTORY = 2_000_000
"""Characters that these changes have together; the last one is always kept."""

MOST_SHIFTS = 1000
"""Versions for which it is known how they moved the characters behind their edits."""

LONGEST_WORD = 200
"""Characters among which the beginning or end of a word is looked for."""

BEGINNING, BEFORE = 80, 40
"""Characters that a list of branches has of each, from where it parts on, and before."""

MOVE, TYPE, ERASE, GENERATE, PRUNE, SWITCH, REPLACE = (
    "moving", "typing", "erasing", "generating", "pruning", "switching branches", "replacing"
)  # fmt: skip
"""Kinds of changes; callers may name others."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a change has on each side besides the text.

    Attributes:
        cursor: characters before the cursor.
        seed: of the random numbers.
        prime_length: characters at the beginning that are the prime. Draws are counted from its end. Once it was edited
            there is none: it is text like any other.
        branch: the number of the branch.
    """

    cursor: int
    seed: int
    prime_length: int
    branch: int


@dataclass(frozen=True, slots=True)
class Change:
    """At ``start``, ``added`` came in the place of ``removed``. ``pruned`` are branches that went.

    With ``in_place`` the branch is exactly the new text. Otherwise what undo has left behind the end of the text stays
    a part of the branch.
    """

    kind: str
    start: int
    removed: Text
    added: Text
    before: Place
    after: Place
    pruned: tuple[Branch, ...] = ()
    in_place: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the text is the same on both sides."""
        return not len(self.removed) and not len(self.added)

    @property
    def is_nothing(self) -> bool:
        """Whether both sides are the same in all."""
        return self.before == self.after and not self.pruned and self.removed == self.added

    @property
    def size(self) -> int:
        """The number of characters that it keeps."""
        return len(self.removed) + len(self.added) + sum(len(branch.text) for branch in self.pruned)


@dataclass(frozen=True, slots=True)
class Branch:
    """A numbered text that can be gone back to, and the number of the one that it parted from.

    ``parted`` is where: a position in this text, which edits of it since have carried along. It is behind the end
    while the text is cut before it, so that undo finds it again. The last ``undone`` characters of the text were
    undone: the same text may be generated again, but going to the branch does not bring them back.
    """

    number: int
    parent: int | None
    text: Text
    name: str = ""
    parted: int = 0
    undone: int = 0

    @property
    def kept(self) -> Text:
        """The text without what was undone: what one goes to."""
        return self.text.part(0, len(self.text) - self.undone)


class History:
    """Changes that can be undone, and undone ones that can be made again. The oldest are forgotten when there are too
    many or they have too many characters.

    What is forgotten depends on the changes alone: a document that is made again from a saved state and what was done
    since has the same history.

    Attributes:
        done, undone: changes, each time that which is undone or made again first as the last one.
    """

    def __init__(self, done: Iterable[Change] = (), undone: Iterable[Change] = ()) -> None:
        self.done, self.undone = deque(done), list(undone)
        self._size = sum(change.size for change in self)
        self._forget()

    def __iter__(self) -> Iterator[Change]:
        yield from self.done
        yield from self.undone

    def __bool__(self) -> bool:
        return bool(self.done or self.undone)

    @property
    def last(self) -> Change | None:
        """The last change that was not undone."""
        return self.done[-1] if self.done else None

    @last.setter
    def last(self, change: Change) -> None:
        self._size += change.size - self.done[-1].size
        self.done[-1] = change
        self._forget()

    def add(self, change: Change) -> None:
        """A new change was made. What was undone cannot be made again from now on."""
        self.forget_undone()
        if self.done and self.done[-1].is_nothing:  # and no later change is merged with it any more
            self._size -= self.done.pop().size
        self.done.append(change)
        self._size += change.size
        self._forget()

    def forget_undone(self) -> None:
        self._size -= sum(change.size for change in self.undone)
        self.undone.clear()

    def take_done(self) -> Change | None:
        """Take out the last change that did something; one that did nothing goes as well."""
        while self.done:
            change = self.done.pop()
            self._size -= change.size
            if not change.is_nothing:
                return change
        return None

    def take_undone(self) -> Change | None:
        """Take out the change that was undone last."""
        if not self.undone:
            return None
        change = self.undone.pop()
        self._size -= change.size
        return change

    def put_done(self, change: Change) -> None:
        """A change was made again."""
        self.done.append(change)
        self._size += change.size

    def put_undone(self, change: Change) -> None:
        """A change was undone."""
        self.undone.append(change)
        self._size += change.size

    def copy(self) -> History:
        other = copy.copy(self)
        other.done, other.undone = self.done.copy(), self.undone.copy()
        return other

    def _forget(self) -> None:
        """Forget the oldest changes, as far as there are too many."""
        while len(self.done) > 1 and (len(self.done) > MOST_CHANGES or self._size > MOST_HISTORY):
            self._size -= self.done.popleft().size


_SPACES = np.array([code for code in range(0x3001) if chr(code).isspace()], np.uint32)


class Document:
    """A text with a cursor, its branches and its history. Positions count characters from the first of the prime.

    Edits with :meth:`insert`, :meth:`erase` and :meth:`replace` change the current branch. :meth:`branch_off` puts
    characters in the place of all that follows, which stays as a branch of its own.

    Args:
        prime: the text to continue.
        seed: of the random numbers.

    Attributes:
        cursor, seed, prime_length, branch: as in :class:`Place`.
        version: grows with each change; :meth:`carried` finds a position of an earlier one in the text as it is.
    """

    def __init__(self, prime: str = "", seed: int = 0) -> None:
        self._text = self._full = Text.of(prime, TYPED)  # the branch is all of _full; _text is a beginning of it
        self._kept = len(self._full)  # so many characters of _full were not undone; at least those of _text
        self.prime_length = self.cursor = len(self._text)
        self.seed = check_seed(seed)
        self.branch = 0
        self._version = 0
        self._branches = {0: Branch(0, None, self._full)}
        self._history = History()
        self._change_end: int | None = None  # where typing or erasing goes on as the same change
        self._joins_next = False  # when another character is asked for, it belongs to the last change as well
        self._grows = False  # what is generated now belongs to the last change
        self._owner = object()  # of the chunks that it may append to
        self._generated: list[str] = []  # at the end of the text, and not part of it yet
        self._shifts: deque[tuple[int, int, int]] = deque(maxlen=MOST_SHIFTS)  # of each version: start, removed, added

    # ---- reading

    @property
    def text(self) -> Text:
        """The current text, with the prime."""
        self._take_generated()
        return self._text

    def __len__(self) -> int:
        """The number of characters, with the prime."""
        return len(self._text) + len(self._generated)

    @property
    def place(self) -> Place:
        return Place(self.cursor, self.seed, self.prime_length, self.branch)

    @property
    def version(self) -> int:
        self._take_generated()
        return self._version

    @property
    def settled_version(self) -> int:
        """The version without what was generated since."""
        return self._version

    @property
    def has_new(self) -> bool:
        """Whether something was generated since :attr:`settled_version`."""
        return bool(self._generated)

    @property
    def undoable(self) -> str:
        """What :meth:`undo` would undo; empty for nothing."""
        return next((change.kind for change in reversed(self._history.done) if not change.is_nothing), "")

    @property
    def redoable(self) -> str:
        """What :meth:`redo` would redo; empty for nothing."""
        undone = self._history.undone
        return undone[-1].kind if undone else ""

    def copy(self) -> Document:
        """The document as it is now, for another thread. Texts are shared and never change."""
        self._take_generated()
        other = copy.copy(self)
        other._owner = object()
        other._branches, other._history = self.branches, self._history.copy()
        other._shifts, other._generated = self._shifts.copy(), []
        return other

    @property
    def is_edited(self) -> bool:
        """Whether the user had a part in it: wrote, chose, erased, or made a branch."""
        changed = any(change.kind not in (MOVE, GENERATE) for change in self._history.done if not change.is_nothing)
        return changed or len(self._branches) > 1 or bool((self.text.sources(self.prime_length) != GENERATED).any())

    @property
    def words(self) -> int:
        """How many words the text has: stretches between spaces."""
        spaces = np.isin(self.text.codes(), _SPACES)
        return int(np.count_nonzero(~spaces & np.concatenate([[True], spaces[:-1]])))

    def word_before(self) -> int:
        """Characters from the beginning of the word before the cursor to the cursor, with the spaces after it."""
        found = re.search(r"\S*\s*$", self.text.read(max(0, self.cursor - LONGEST_WORD), self.cursor))
        return 0 if found is None else len(found.group())

    def word_after(self) -> int:
        """Characters from the cursor to the end of the next word, with the spaces before it."""
        found = re.match(r"\s*\S*", self.text.read(self.cursor, self.cursor + LONGEST_WORD))
        return 0 if found is None else found.end()

    def carried(self, position: int, version: int, *, stays: bool = False) -> int:
        """Where ``position`` of an earlier ``version`` is now. At the place of an insertion it is after what came in,
        unless it ``stays``."""
        text = self.text
        for start, removed, added in list(self._shifts)[max(0, len(self._shifts) - self._version + version) :]:
            if position >= start + removed and not (stays and position == start):
                position += added - removed
            elif position > start:
                position = start + added
        return min(max(0, position), len(text))

    # ---- edits of the current branch

    def insert(self, text: str, source: int = TYPED, *, kind: str = TYPE) -> None:
        """Put ``text`` in at the cursor. Words that are typed letter by letter are one change each, with the space
        after them."""
        if not text:
            return
        here = self.text
        before = here.read(max(0, self.cursor - 1), self.cursor)
        goes_on = len(text) == 1 and (text.isspace() or not before.isspace())
        self._edit(
            kind, self.cursor, 0, here.continued(self.cursor, text, source, self._owner), joins=goes_on and kind == TYPE
        )
        if len(text) > 1:
            self._change_end = None  # what was pasted is a change of its own

    def erase(self, before: int = 0, after: int = 0) -> None:
        """Remove characters before and after the cursor, as many as there are of them."""
        start, stop = max(0, self.cursor - before), min(len(self), self.cursor + after)
        if start < stop:
            self._edit(ERASE, start, stop - start, Text(), joins=True)

    def replace(self, start: int, stop: int, text: str = "", source: int = TYPED) -> None:
        """Put ``text`` in the place of the characters from ``start`` to ``stop``, which is one change; the cursor is
        behind it then. Raises :class:`GenerationError` unless these are positions of the text, in their order."""
        stop = min(stop, len(self))
        if not 0 <= start <= stop:
            raise GenerationError(f"There are no characters {start} to {stop}: the text has {len(self)} of them")
        self._edit(TYPE if text else ERASE, start, stop - start, Text.of(text, source))

    def replace_all(self, spans: Sequence[tuple[int, int]], text: str) -> None:
        """Put ``text`` in the place of each of ``spans``, from a first position to one after the last, in the order of
        the text. All of them are one change. The cursor stays at its characters; within a span it goes behind it.

        Raises :class:`GenerationError` unless these are parts of the text that do not overlap.
        """
        if not spans:
            return
        here, cursor = self.text, self.cursor
        start, end = spans[0][0], spans[-1][1]
        whole = here.part(start, end)
        old, sources = whole.read(), whole.sources()
        parts, kept, place = list[str](), list[Sources](), start
        new = np.full(len(text), TYPED, np.uint8)
        for first, last in spans:
            if not place <= first < last <= len(here):
                raise GenerationError(f"There are no characters {first} to {last} to replace")
            parts += [old[place - start : first - start], text]
            kept += [sources[place - start : first - start], new]
            place = last
            if first < self.cursor:
                cursor += first + len(text) - min(last, self.cursor)
        self._edit(REPLACE, start, end - start, Text.of("".join(parts), np.concatenate(kept)))
        self.put_cursor(cursor)

    def move(self, position: int, *, undoable: bool = True) -> None:
        """Move the cursor. Moves one after another are one change, if they are ``undoable`` at all; while there is
        something to redo they are none, so that one can look around before deciding."""
        here, before = self.text, self.place
        self.cursor = min(max(0, position), len(here))
        if self.cursor == before.cursor:
            return
        self._change_end, self._grows = None, False
        history = self._history
        if not undoable or history.undone:
            return
        if history.last is not None and history.last.kind == MOVE:
            history.last = replace(history.last, after=self.place)
        else:
            history.add(Change(MOVE, self.cursor, Text(), Text(), before, self.place))

    # ---- generated text

    def begin_generating(self, *, joins: bool = False) -> None:
        """What is generated at the end of the text from now on is a change; with ``joins`` it is part of the last one
        if that was generating with ``joins`` too, and the cursor is still at its end. What is generated without this,
        in a text to which nothing was done, is no change."""
        here, self._joins_next = self.text, joins
        if joins and self._joins(GENERATE) and self.cursor == len(here):
            self._grows = True
            return
        self._edit(GENERATE, len(here), 0, Text(), in_place=False)
        self._grows = True

    def generate(self, char: str) -> None:
        """Add a generated character at the end of the text; the cursor is behind it then."""
        self._generated.append(char)
        self.cursor = len(self)

    def _take_generated(self) -> None:
        """Make the generated characters a part of the text. Where another continuation of it was undone, that stays as
        a branch and the text becomes a new one."""
        if not self._generated:
            return
        text, self._generated = "".join(self._generated), []
        self._grow(text, recorded=self._grows)

    def _grow(self, text: str, *, recorded: bool) -> None:
        here, before = self._text, replace(self.place, cursor=len(self._text))
        added = here.continued(len(here), text, GENERATED, self._owner)
        after = replace(before, cursor=len(here) + len(added))
        whole = here + added
        if self._full.starts_with(whole) or whole.starts_with(self._full):
            whole = self._along_full(whole)
            added = whole.part(len(here))
        else:
            after = replace(after, branch=self._new_number())
        change = Change(GENERATE, len(here), Text(), added, before, after)
        if recorded and self._history.last is not None:
            self._history.last = merged(self._history.last, change)
        elif self._history:
            self._record(change, joins=False)
            self._grows = recorded = True
        self._become(whole, after, (len(here), 0, len(added)))
        self._change_end = self.cursor if recorded and self._joins_next else None

    # ---- branches

    def branch_off(
        self, position: int, text: str, source: int = CHOSEN, *, kind: str, seed: int | None = None,
        joins: bool = False, whole: bool = True,
    ) -> None:  # fmt: skip
        """Put ``text`` at ``position`` in the place of all that follows, which stays as a branch. If a branch goes on
        like this already, it becomes the current one: the ``whole`` of it, or as far as ``text`` goes. The cursor is
        behind ``text`` then.

        Raises :class:`GenerationError` if there is no such position.
        """
        here = self.text
        if not 0 <= position <= len(here):
            raise GenerationError(f"The text has no position {position}: it ends at {len(here)}")
        added = here.continued(position, text, source)
        wanted = here.part(0, position) + added
        cursor = len(wanted)
        if whole and here.starts_with(wanted):
            self._edit(kind, cursor, 0, Text(), seed=seed, joins=joins, in_place=False)
        elif self._full.starts_with(wanted) or wanted.starts_with(self._full):
            added = self._along_full(wanted).part(position)
            self._edit(kind, position, len(here) - position, added, seed=seed, joins=joins, in_place=False)
        elif (number := self._branch_beginning_with(wanted)) is not None:
            self._go(kind, number, cursor, None if whole else cursor, seed=seed, joins=joins)
        else:
            number = self._new_number()
            added = self._along_branches(wanted).part(position)
            self._edit(kind, position, len(here) - position, added, seed=seed, branch=number, joins=joins)

    def _along_branches(self, text: Text) -> Text:
        """The same with the branch that goes along furthest."""
        branches = (branch.text for branch in self.branches.values())
        same, along = max(
            ((text.same_start(each, sources=False), each) for each in branches), key=lambda found: found[0]
        )
        return along.part(0, same) + text.part(same)

    def _along_full(self, text: Text) -> Text:
        """A text of which the branch has the beginning, or which is a beginning of it, with the sources of the branch:
        what stands there keeps who wrote it."""
        return self._full.part(0, len(text)) + text.part(len(self._full))

    def go_on_generating(self) -> None:
        """What is generated from now on belongs to the change that was just made, if that is at the end of the text."""
        last = self._history.last
        self._grows = last is None or last.is_empty or last.start + len(last.added) == len(self.text)

    def put_cursor(self, position: int) -> None:
        """Let the last change end with the cursor at ``position``."""
        self.cursor = min(max(0, position), len(self.text))
        if self._history.last is not None:
            self._history.last = replace(self._history.last, after=self.place)
        self._change_end = self.cursor

    def switch(self, number: int) -> None:
        """Make a branch the current text, without what was undone of it, with the cursor at its end. Raises
        :class:`GenerationError` if there is no such branch."""
        self._go(SWITCH, number, len(self._branch(number).kept))

    def prune(self, number: int) -> None:
        """Remove a branch and all that parted from it. If the current text is one of them, it becomes that from which
        the branch parted.

        Raises :class:`GenerationError` if there is no such branch or it is the first.
        """
        branch = self._branch(number)
        if branch.parent is None:
            raise GenerationError("The first branch cannot be removed: the others continue it")
        gone = {number}
        for each in self._branches.values():  # a branch stands after its parent
            if each.parent in gone:
                gone.add(each.number)
        pruned = tuple(each for each in self._branches.values() if each.number in gone)
        before, here, text = self.place, self._text, self._text
        if self.branch in gone:
            assert branch.parent is not None
            text = self._branches[branch.parent].kept
            starts = branch.text.same_start(text, sources=False)
            cursor = min(self.cursor, starts)
            after = replace(before, branch=branch.parent, cursor=cursor, prime_length=self._prime_length_in(text))
        else:
            after = before
        start, removed, added = difference(here, text)
        self._record(Change(PRUNE, start, removed, added, before, after, pruned), joins=False)
        self._become(text, after, (start, len(removed), len(added)))
        for each in pruned:
            del self._branches[each.number]

    def rename(self, number: int, name: str) -> None:
        """Name a branch. It is no change that undo undoes. Raises :class:`GenerationError` if there is no such
        branch."""
        self._branches[number] = replace(self._branch(number), name=unicodedata.normalize("NFC", name)[:200])
        self._shifts.append((0, 0, 0))
        self._version += 1

    @property
    def branches(self) -> dict[int, Branch]:
        """All branches by number, each after the one from which it parted."""
        self._leave()
        return dict(self._branches)

    def list_branches(self) -> list[BranchInfo]:
        """All branches for a list, each before those that parted from it; positions without the prime."""
        branches = self.branches
        on_path: set[int] = set()
        here: int | None = self.branch
        while here is not None:
            on_path.add(here)
            here = branches[here].parent
        children: dict[int | None, list[Branch]] = {}
        for branch in branches.values():
            children.setdefault(branch.parent, []).append(branch)
        infos, waiting = [], [*children[None]]
        while waiting:
            branch = waiting.pop()
            text = branch.kept
            start = self.prime_length if branch.parent is None else min(branch.parted, len(text))
            stop, begins = len(text), text.read(start, start + BEGINNING)
            before = "" if branch.parent is None else text.read(max(0, start - BEFORE), start)
            start, stop = (max(0, end - self.prime_length) for end in (start, stop))
            current = branch.number in on_path
            infos.append(BranchInfo(branch.number, branch.parent, start, stop, branch.name, begins, current, before))
            waiting.extend(reversed(children.get(branch.number, [])))
        return infos

    def _branch(self, number: int) -> Branch:
        self._take_generated()
        self._leave()
        branch = self._branches.get(number)
        if branch is None:
            known = ", ".join(map(str, self._branches))
            raise GenerationError(f"There is no branch {number}: the branches are {known}")
        return branch

    def _branch_beginning_with(self, text: Text) -> int | None:
        branches = self.branches.values()
        return next((branch.number for branch in branches if branch.text.starts_with(text)), None)

    def _new_number(self) -> int:
        pruned = (each.number for change in self._history for each in change.pruned)
        return max((*self._branches, *pruned)) + 1

    # ---- history

    def undo(self) -> str:
        """Go back before the last change. Returns what it was; empty if there was none."""
        self._take_generated()
        self._change_end, self._grows = None, False
        if not self._history.done:
            return ""
        change = self._history.take_done()
        if change is None:
            return ""
        for branch in change.pruned:
            self._branches[branch.number] = branch
        self._branches = dict(sorted(self._branches.items()))
        here = self.place  # where redo goes back to
        was_end = self._kept == len(self._text)  # else more of the branch follows, which was not undone
        self._put(change.start, change.added, change.removed, change.before, in_place=change.in_place)
        began_branch = change.in_place or change.kind == GENERATE
        if was_end if change.before.branch == change.after.branch else began_branch:
            self._kept = len(self._text)
        self._history.put_undone(replace(change, after=here))
        return change.kind

    def redo(self) -> str:
        """Make the last change again that was undone. Returns what it is; empty if there is none."""
        self._take_generated()
        self._change_end, self._grows = None, False
        change = self._history.take_undone()
        if change is None:
            return ""
        here = self.place
        self._put(change.start, change.removed, change.added, change.after, in_place=change.in_place)
        pruned = tuple(self._branches.pop(branch.number) for branch in change.pruned)  # it may have another name by now
        self._history.put_done(replace(change, before=here, pruned=pruned))
        return change.kind

    # ---- as JSON

    def to_dict(self) -> dict[str, Any]:
        """All of the document, JSON-ready."""
        branches: list[dict[str, Any]] = []
        texts: dict[int | None, Text] = {None: Text()}
        for branch in self.branches.values():
            same = branch.text.same_start(texts[branch.parent])
            moved = branch.parted != branch.text.same_start(texts[branch.parent], sources=False)
            branches.append({
                "number": branch.number, "parent": branch.parent, "name": branch.name, "same": same,
                **text_to_dict(branch.text.part(same)), **({"parted": branch.parted} if moved else {}),
                **({"undone": branch.undone} if branch.undone else {}),
            })  # fmt: skip
            texts[branch.number] = branch.text
        return {
            "branches": branches, "length": len(self.text), "place": _place_to_list(self.place),
            "undo": [_change_to_dict(change) for change in self._history.done],
            "redo": [_change_to_dict(change) for change in self._history.undone],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Document:
        """The inverse of :meth:`to_dict`. Raises :class:`KeyError`, :class:`TypeError`, :class:`ValueError` or
        :class:`GenerationError` for values that are no document."""
        document = cls()
        document._branches = {}
        for saved in values["branches"]:
            parent = None if saved["parent"] is None else document._branches[saved["parent"]]
            number = whole_number(saved["number"], 0 if parent is None else parent.number + 1, 2**31)
            if number in document._branches or (parent is None) != (not document._branches):
                raise ValueError("its branches do not form a tree")
            before = Text() if parent is None else parent.text
            text = before.part(0, whole_number(saved["same"], 0, len(before))) + text_from_dict(saved)
            number_of_parent = None if parent is None else parent.number
            parted = whole_number(saved.get("parted", text.same_start(before, sources=False)), 0, 2**62)
            behind = whole_number(saved.get("undone", 0), 0, len(text))
            document._branches[number] = Branch(
                number, number_of_parent, text, str(saved["name"])[:200], parted, behind
            )
        place = _place_from_list(values["place"])
        document._full = document._branches[place.branch].text
        document._text = document._full.part(0, whole_number(values["length"], 0, len(document._full)))
        document._kept = max(len(document._text), len(document._branches[place.branch].kept))
        whole_number(place.cursor, 0, len(document._text))
        whole_number(place.prime_length, 0, len(document._text))
        document.cursor, document.seed, document.branch = place.cursor, place.seed, place.branch
        document.prime_length = place.prime_length
        done, undone = (map(_change_from_dict, values[name]) for name in ("undo", "redo"))
        document._history = History(done, undone)
        document.copy().check_history()  # a copy: going back and forth may shorten branches that were removed
        return document

    def check_history(self) -> None:
        """Go through the whole history. Raises :class:`ValueError` or :class:`KeyError` where it does not fit the text.
        For a :meth:`copy`, which may have another text then."""
        ahead = self.copy()
        while ahead.redo():
            pass
        while self.undo():
            pass
        while self.redo():
            pass
        if self._text != ahead._text or self.branch != ahead.branch:
            raise ValueError("its history does not lead to its text")

    # ---- how a change is made

    def _edit(
        self, kind: str, start: int, removed: int, added: Text, *, cursor: int | None = None, seed: int | None = None,
        branch: int | None = None, joins: bool = False, in_place: bool = True,
    ) -> None:  # fmt: skip
        """Put ``added`` in the place of ``removed`` characters."""
        here, before = self.text, self.place
        gone = here.part(start, start + removed)
        after = Place(
            cursor=start + len(added) if cursor is None else cursor,
            seed=self.seed if seed is None else check_seed(seed),
            prime_length=0 if start < self.prime_length and (removed or added) else self.prime_length,
            branch=self.branch if branch is None else branch,
        )
        joins = joins and self._joins(kind)
        self._record(Change(kind, start, gone, added, before, after, in_place=in_place), joins=joins)
        self._become(
            here.replaced(start, start + removed, added), after, (start, removed, len(added)), in_place=in_place
        )
        self._change_end = self.cursor

    def _go(
        self, kind: str, number: int, cursor: int, length: int | None = None, *, seed: int | None = None,
        joins: bool = False,
    ) -> None:  # fmt: skip
        """Make a branch the current text, or its first ``length`` characters."""
        branch = self._branch(number)
        if length is None and branch.undone:
            length = max(cursor, len(branch.kept))
        text = branch.text.part(0, length)
        before, here = self.place, self._text
        after = replace(
            before, cursor=cursor, branch=number, seed=self.seed if seed is None else check_seed(seed),
            prime_length=self._prime_length_in(text),
        )  # fmt: skip
        joins = joins and self._joins(kind)
        start, removed, added = difference(here, text)
        self._record(Change(kind, start, removed, added, before, after), joins=joins)
        self._become(text, after, (start, len(removed), len(added)))
        self._change_end = self.cursor

    def _prime_length_in(self, text: Text) -> int:
        """How long the prime is in the text of another branch: that may have parted where the prime was edited."""
        return self.prime_length if text.same_start(self._text, sources=False) >= self.prime_length else 0

    def _joins(self, kind: str) -> bool:
        """Whether a change of this kind at the cursor goes on with the last one."""
        last = self._history.last
        return last is not None and last.kind == kind and self.cursor == self._change_end

    def _record(self, change: Change, *, joins: bool) -> None:
        """Keep a change for undo. Nothing that was undone can be redone from now on."""
        if joins and self._history.last is not None:
            self._history.forget_undone()
            self._history.last = merged(self._history.last, change)
        else:
            self._history.add(change)
        self._change_end, self._grows = None, False

    def _put(self, start: int, removed: Text, added: Text, place: Place, *, in_place: bool) -> None:
        """Take ``removed`` out and put ``added`` in, for undo and redo. Raises :class:`ValueError` if it does not
        fit."""
        if self._text.part(start, start + len(removed)) != removed or place.branch not in self._branches:
            raise ValueError("its history does not fit its text")
        text = self._text.replaced(start, start + len(removed), added)
        if place.cursor > len(text) or place.prime_length > len(text):
            raise ValueError("its history has places that are not in its text")
        self._become(text, place, (start, len(removed), len(added)), in_place=in_place)

    def _become(self, text: Text, place: Place, moved: tuple[int, int, int], *, in_place: bool = False) -> None:
        """Make ``text`` the current one. What was undone at its end stays part of its branch, unless the branch is
        changed ``in_place``. Where another branch goes on right there, it is no longer undone: it is the other way on,
        to which one can go back."""
        if place.branch != self.branch:
            self._leave()
            known = self._branches.get(place.branch)
            if known is None:
                parent = self._branches[self._parts_from(text)]
                parted = text.same_start(parent.text, sources=False)
                here = self._branches[self.branch]
                if text.same_start(here.text, sources=False) >= len(here.kept):
                    self._branches[self.branch] = replace(here, undone=0)
                self._branches[place.branch] = Branch(place.branch, parent.number, text, parted=parted)
            self._full, self._kept = text, len(text)
            if known is not None and known.text.starts_with(text):
                self._full, self._kept = known.text, max(len(text), len(known.kept))
        else:
            branch = self._branches[self.branch]
            if in_place and moved[0] < branch.parted:
                self._branches[self.branch] = replace(branch, parted=_parting_after_edit(branch.parted, *moved))
            if in_place or not self._full.starts_with(text):
                self._full, self._kept = text, len(text)
            self._kept = max(self._kept, len(text))
        self._text = text
        self.cursor, self.seed, self.prime_length, self.branch = (
            place.cursor, place.seed, place.prime_length, place.branch
        )  # fmt: skip
        self._shifts.append(moved)
        self._version += 1

    def _parts_from(self, text: Text) -> int:
        """The branch from which ``text`` parts, of those on the way to the current one."""
        place = text.same_start(self._full, sources=False)
        branch = self._branches[self.branch]
        while branch.parent is not None:
            parent = self._branches[branch.parent]
            if branch.text.same_start(parent.text, sources=False) < place:
                break
            branch = parent
        return branch.number

    def _leave(self) -> None:
        """Keep the text of the current branch under its number."""
        self._take_generated()
        branch, undone = self._branches[self.branch], len(self._full) - self._kept
        if branch.text is not self._full or branch.undone != undone:
            self._branches[self.branch] = replace(branch, text=self._full, undone=undone)


def _parting_after_edit(position: int, start: int, removed: int, added: int) -> int:
    """Where a position after ``start`` is when ``added`` characters came there in the place of ``removed`` ones."""
    return position + added - removed if position >= start + removed else min(position, start + added)


def text_to_dict(text: Text) -> dict[str, Any]:
    """A text, JSON-ready."""
    return {"text": text.read(), "by": _sources_to_json(text.sources())}


def text_from_dict(values: Mapping[str, Any]) -> Text:
    """The inverse. Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError` for values that are no text."""
    text = values["text"]
    if not isinstance(text, str):
        raise TypeError("a text is a string")
    return Text.of(text, _sources_from_json(values["by"], len(text)))


def _place_to_list(place: Place) -> list[int]:
    return [place.cursor, place.seed, place.prime_length, place.branch]


def _place_from_list(values: Any) -> Place:
    cursor, seed, prime_length, branch = values
    return Place(
        whole_number(cursor, 0, 2**62),
        check_seed(seed),
        whole_number(prime_length, 0, 2**62),
        whole_number(branch, 0, 2**31),
    )


def _change_to_dict(change: Change) -> dict[str, Any]:
    pruned = [
        {
            "number": branch.number,
            "parent": branch.parent,
            "name": branch.name,
            "parted": branch.parted,
            "undone": branch.undone,
            **text_to_dict(branch.text),
        }
        for branch in change.pruned
    ]
    return {
        "kind": change.kind, "start": change.start, "removed": text_to_dict(change.removed),
        "added": text_to_dict(change.added), "before": _place_to_list(change.before),
        "after": _place_to_list(change.after), **({"pruned": pruned} if pruned else {}), "in_place": change.in_place,
    }  # fmt: skip


def _change_from_dict(values: Mapping[str, Any]) -> Change:
    pruned = tuple(
        Branch(
            whole_number(each["number"], 1, 2**31),
            whole_number(each["parent"], 0, 2**31),
            text_from_dict(each),
            str(each["name"]),
            whole_number(each.get("parted", 0), 0, 2**62),
            whole_number(each.get("undone", 0), 0, len(str(each["text"]))),
        )
        for each in values.get("pruned", ())
    )
    return Change(
        str(values["kind"]), whole_number(values["start"], 0, 2**62), text_from_dict(values["removed"]),
        text_from_dict(values["added"]), _place_from_list(values["before"]), _place_from_list(values["after"]), pruned,
        bool(values["in_place"]),
    )  # fmt: skip


def merged(first: Change, second: Change) -> Change:
    """Two changes, one after the other, as one. The places of both touch each other, or one of them is empty."""
    if second.is_empty:
        return replace(first, after=second.after)
    if first.is_empty:
        return replace(second, kind=first.kind, before=first.before)
    before = max(0, first.start - second.start)  # what the second took away before the first
    behind = max(0, second.start + len(second.removed) - first.start - len(first.added))
    removed = second.removed.part(0, before) + first.removed
    removed += second.removed.part(len(second.removed) - behind)
    added = first.added.part(0, max(0, second.start - first.start)) + second.added
    added += first.added.part(max(0, second.start + len(second.removed) - first.start))
    start = min(first.start, second.start)
    return replace(first, start=start, removed=removed, added=added, after=second.after)


def difference(one: Text, other: Text) -> tuple[int, Text, Text]:
    """Where two texts differ: the place, what one has there, and what the other has."""
    start = one.same_start(other)
    end = one.same_end(other, min(len(one), len(other)) - start)
    return start, one.part(start, len(one) - end), other.part(start, len(other) - end)


def _sources_to_json(sources: Sources) -> int | str:
    """Sources as a number if they are all the same, else as a digit for each character."""
    if not len(sources) or (sources == sources[0]).all():
        return int(sources[0]) if len(sources) else TYPED
    return (sources + ord("0")).astype(np.uint8).tobytes().decode()


def _sources_from_json(written: Any, length: int) -> Sources:
    """The inverse of :func:`_sources_to_json`. Raises :class:`ValueError` for unknown sources or another number
    of them."""
    if isinstance(written, int):
        return np.full(length, whole_number(written, 0, CHOSEN), np.uint8)
    values = np.frombuffer(str(written).encode("utf-32-le", "surrogatepass"), np.uint32) - ord("0")
    if len(values) != length or (values > CHOSEN).any():  # what is less than "0" is large here
        raise ValueError("its sources do not fit its characters")
    return values.astype(np.uint8)
