"""The text that is played and written: characters, branches, and the steps of undo. No model is needed here.

Every change of the text is made here at once, at any position; the model reads the text later
(:mod:`charlstm.generation.reading`). The text at one time is a :class:`State`, which never changes: undo goes back to
the state before.
"""

from __future__ import annotations

import copy
import math
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np

from charlstm.arguments import whole_number
from charlstm.errors import GenerationError
from charlstm.generation.rows import CHOSEN, GENERATED, TYPED
from charlstm.generation.sampling import check_seed
from charlstm.generation.text_pieces import Sources, Text

MOST_STEPS = 1000
"""Steps that can be undone."""

LONGEST_WORD = 200
"""Characters among which the beginning or end of a word is looked for."""

BEGINNING, BEFORE = 80, 40
"""Characters of a branch that a list shows: after the parting from its parent, and before."""

MOVE, TYPE, ERASE, GENERATE, PRUNE, SWITCH, REPLACE = (
    "moving", "typing", "erasing", "generating", "pruning", "switching branches", "replacing"
)  # fmt: skip
"""Kinds of steps; callers may name others."""


class Splice(NamedTuple):
    """At ``start``, ``added`` characters came in the place of ``removed`` ones."""

    start: int
    removed: int
    added: int

    def then(self, other: Splice) -> Splice:
        """One splice for this splice and then ``other``, with the characters between the two."""
        if not (self.removed or self.added):
            return other
        if not (other.removed or other.added):
            return self
        start, end = min(self.start, other.start), max(self.start + self.added, other.start + other.removed)
        return Splice(start, end - self.added + self.removed - start, end - other.removed + other.added - start)

    def carry(self, position: int) -> int:
        """The position after the splice; from within the removed characters, the end of the added ones."""
        start, removed, added = self
        return position + added - removed if position >= start + removed else min(position, start + added)


@dataclass(frozen=True, slots=True)
class Branch:
    """A numbered text. ``parent`` is the number of the branch from which it parted, and ``parted`` the position in
    ``text`` where it parted, which later edits of the text move along."""

    number: int
    parent: int | None
    text: Text
    parted: int = 0


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """One branch of a text, for lists.

    Attributes:
        number: the argument of :meth:`Document.switch`, :meth:`Document.prune` and :meth:`Document.rename`; 0 is the
            first one.
        parent: the number of the branch that it parted from; None for the first one.
        start, stop: the positions of its characters, without the prime.
        text: its first characters, at most 80.
        current: whether the current text passes through it.
        before: the characters before ``start``, at most 40.
    """

    number: int
    parent: int | None
    start: int
    stop: int
    name: str
    text: str
    current: bool
    before: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """A text with its cursor and branches.

    Attributes:
        cursor: characters before the cursor.
        seed: of the random numbers.
        prime_length: characters at the beginning that are the prime. Draws are counted from the end of the prime. An
            edit makes the prime ordinary text: 0.
        branch: the number of the branch that ``text`` is the text of.
        branches: all branches, each after its parent. The entry of ``branch`` has the text at the switch to this
            branch.
    """

    text: Text
    cursor: int
    seed: int
    prime_length: int
    branch: int
    branches: tuple[Branch, ...]

    def with_own_text(self) -> State:
        """The same with ``text`` in the entry of the current branch, as needed for a switch to another branch."""
        branches = tuple(
            replace(each, text=self.text) if each.number == self.branch else each for each in self.branches
        )
        return replace(self, branches=branches)


def only_moved(before: State, after: State) -> bool:
    """Whether the two states differ at most in the cursor."""
    return before.text is after.text and replace(before, cursor=after.cursor) == after


@dataclass(frozen=True, slots=True)
class Done:
    """A step of the history, with the ``state`` before it; of an undone step, the state after it."""

    kind: str
    state: State
    splice: Splice


@dataclass(frozen=True, slots=True)
class _Next:
    """The step of the history that the next change belongs to; usually the change begins a step.

    Attributes:
        joins_at: with the cursor here, a change of the last step's kind belongs to the last step; None: nowhere.
        generating: generated text belongs to the last step.
        begun: the state before the step that generated text begins; None: it begins none.
        way: an undone continuation: text that goes on like it begins no new branch.
    """

    joins_at: int | None = None
    generating: bool = False
    begun: State | None = None
    way: Text = field(default_factory=Text)


def own_text(text: str) -> str:
    """A text of the user's as a document takes it: with composed accents (Unicode's NFC) and line ends that are one
    character, and without other control characters."""
    text = unicodedata.normalize("NFC", re.sub("\r\n?|\x85", "\n", text))
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)


class Document:
    """A text with a cursor, its branches and its history. Positions count characters from the first of the prime.

    Edits with :meth:`insert`, :meth:`erase` and :meth:`replace` change the current branch. :meth:`branch_off` puts
    characters in the place of all that follows, which stays as a branch of its own.

    Args:
        prime: the text to continue.
        seed: of the random numbers.

    Attributes:
        done, undone: the steps to undo and to redo; the next one stands last.
        state: the text with its cursor and its branches; another one with each change.
        names: the names of branches, by number. Undo leaves names as they are.
    """

    def __init__(self, prime: str = "", seed: int = 0) -> None:
        text = Text.of(prime, TYPED)
        self.state = State(text, len(text), check_seed(seed), len(text), 0, (Branch(0, None, text),))
        self.done: deque[Done] = deque(maxlen=MOST_STEPS)
        self.undone: list[Done] = []
        self.names: dict[int, str] = {}
        self._last_number = 0  # the highest number of a branch so far
        self._next = _Next()
        self._owner = object()  # of the chunks that it may append to

    # ---- reading

    @property
    def text(self) -> Text:
        """The current text, with the prime."""
        return self.state.text

    def __len__(self) -> int:
        """The number of characters, with the prime."""
        return len(self.state.text)

    @property
    def cursor(self) -> int:
        return self.state.cursor

    @property
    def seed(self) -> int:
        return self.state.seed

    @property
    def prime_length(self) -> int:
        return self.state.prime_length

    @property
    def branch(self) -> int:
        return self.state.branch

    @property
    def undoable(self) -> str:
        """What :meth:`undo` would undo; empty for nothing."""
        return self.done[-1].kind if self.done else ""

    @property
    def redoable(self) -> str:
        """What :meth:`redo` would redo; empty for nothing."""
        return self.undone[-1].kind if self.undone else ""

    def copy(self) -> Document:
        """The document as it is now, for another thread. Texts are shared and never change."""
        other = copy.copy(self)
        other._owner = object()
        other.done, other.undone, other.names = self.done.copy(), self.undone.copy(), self.names.copy()
        return other

    @property
    def is_edited(self) -> bool:
        """Whether the user wrote, chose, erased, or made a branch."""
        state = self.state
        changed = any(each.kind not in (MOVE, GENERATE) for each in self.done)
        written = state.text.sources(state.prime_length) != GENERATED
        return changed or len(state.branches) > 1 or bool(written.any())

    @property
    def words(self) -> int:
        """How many words the text has: stretches between spaces."""
        return len(self.text.read().split())

    def word_before(self) -> int:
        """Characters from the beginning of the word before the cursor to the cursor, with the spaces after it."""
        found = re.search(r"\S*\s*$", self.text.read(max(0, self.cursor - LONGEST_WORD), self.cursor))
        return 0 if found is None else len(found.group())

    def word_after(self) -> int:
        """Characters from the cursor to the end of the next word, with the spaces before it."""
        found = re.match(r"\s*\S*", self.text.read(self.cursor, self.cursor + LONGEST_WORD))
        return 0 if found is None else found.end()

    # ---- edits of the current branch

    def insert(self, text: str, source: int = TYPED, *, kind: str = TYPE) -> None:
        """Put ``text`` in at the cursor. Words that are typed letter by letter are one step each, with the space
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
            self._next = _Next()  # what was pasted is a step of its own

    def erase(self, before: int = 0, after: int = 0) -> None:
        """Remove characters before and after the cursor, as many as there are of them."""
        start, stop = max(0, self.cursor - before), min(len(self), self.cursor + after)
        if start < stop:
            self._edit(ERASE, start, stop - start, Text(), joins=True)

    def replace(self, start: int, stop: int, text: str = "", source: int = TYPED) -> None:
        """Put ``text`` in the place of the characters from ``start`` to ``stop``, which is one step; the cursor is
        behind it then. Raises :class:`GenerationError` unless these are positions of the text, in their order."""
        stop = min(stop, len(self))
        if not 0 <= start <= stop:
            raise GenerationError(f"There are no characters {start} to {stop}: the text has {len(self)} of them")
        self._edit(TYPE if text else ERASE, start, stop - start, Text.of(text, source))

    def replace_all(self, spans: Sequence[tuple[int, int]], text: str) -> None:
        """Put ``text`` in the place of each of ``spans``, (start, stop) in the order of the text. All are one step. The
        cursor stays between its characters; from within a span it goes behind the new text.

        Raises :class:`GenerationError` unless these are parts of the text that do not overlap.
        """
        if not spans:
            return
        here, cursor = self.text, self.cursor
        start, end = spans[0][0], spans[-1][1]
        whole = here.part(start, end)
        old, sources = whole.read(), whole.sources()
        parts, kept, done = list[str](), list[Sources](), start
        new = np.full(len(text), TYPED, np.uint8)
        for first, last in spans:
            if not done <= first < last <= len(here):
                raise GenerationError(f"There are no characters {first} to {last} to replace")
            parts += [old[done - start : first - start], text]
            kept += [sources[done - start : first - start], new]
            done = last
            if first < self.cursor:
                cursor += first + len(text) - min(last, self.cursor)
        self._edit(REPLACE, start, end - start, Text.of("".join(parts), np.concatenate(kept)), cursor=cursor)

    def move(self, position: int, *, undoable: bool = True) -> None:
        """Move the cursor. Consecutive ``undoable`` moves are one step; with steps to redo, moves are no step, so that
        a user can look around first."""
        before = self.state
        position = min(max(0, position), len(before.text))
        if position == before.cursor:
            return
        self._next = _Next(way=self._next.way)
        if undoable and not self.undone:
            last = self.done[-1] if self.done else None
            if last is None or last.kind != MOVE:
                self.done.append(Done(MOVE, before, Splice(position, 0, 0)))
            elif last.state.cursor == position:  # where it was
                self.done.pop()
        self.state = replace(before, cursor=position)

    # ---- generated text

    def begin_generating(self) -> None:
        """Begin a step with the text that is generated next. Without this call, in a text to which nothing was done,
        generated text is no step."""
        here = self.state
        self._next = _Next(begun=here, way=self._next.way)
        self.state = replace(here, cursor=len(here.text))

    def generate_one(self, char: str) -> None:
        """Add one generated character at the end of the text. Consecutive characters of this kind are one step."""
        if self.cursor == len(self) and self._joins(GENERATE):
            self._next = replace(self._next, generating=True)
        else:
            self.begin_generating()
        self.generate(char)
        self._next = replace(self._next, joins_at=self.cursor)

    def generate(self, text: str) -> None:
        """Add generated characters at the end of the text; the cursor is behind them then. An undone continuation that
        differs stays as a branch, and the text becomes a new branch."""
        if not text:
            return
        here, begun = self.state, self._next.begun
        added = here.text.continued(len(here.text), text, GENERATED, self._owner)
        way = self._undone_way()
        whole = (here.text + added).along(way)
        after = replace(here, text=whole, cursor=len(whole))
        if not (way.starts_with(whole) or whole.starts_with(way)):
            after, way = self._as_new_branch(after, left=way), Text()
        joins = self._next.generating and bool(self.done)
        is_step = joins or begun is not None or bool(self.done or self.undone)
        if is_step:
            self.state = begun or here
            self._step(GENERATE, after, Splice(len(here.text), 0, len(added)), joins=joins)
        else:
            self.state = after
        self._next = _Next(generating=is_step, way=way)

    def _undone_way(self) -> Text:
        """The current text with its undone continuation, which was generated or chosen."""
        text = self.state.text
        way = self._next.way if len(self._next.way) > len(text) else text
        for each in reversed(self.undone):
            other = each.state
            begins = other.text.sources(len(way), len(way) + 1)
            if other.branch != self.state.branch or not other.text.starts_with(way) or (begins == TYPED).any():
                break
            way = other.text
        return way

    # ---- branches

    def branch_off(
        self, position: int, text: str, source: int = CHOSEN, *, kind: str, seed: int | None = None,
        joins: bool = False, whole: bool = True,
    ) -> None:  # fmt: skip
        """Put ``text`` at ``position`` in the place of all that follows, which stays as a branch. With ``whole``,
        an existing branch that begins like this becomes the current one. The cursor is behind ``text`` then.

        Raises :class:`GenerationError` if there is no such position.
        """
        before = self.state
        here = before.text
        if not 0 <= position <= len(here):
            raise GenerationError(f"The text has no position {position}: it ends at {len(here)}")
        wanted = here.part(0, position) + here.continued(position, text, source)
        after = replace(before, cursor=len(wanted), seed=before.seed if seed is None else check_seed(seed))
        joins = joins and self._joins(kind)
        if here.starts_with(wanted) and (whole or position == len(here)):
            self._step(kind, after, Splice(len(wanted), 0, 0), joins=joins)
            return
        way = self._undone_way() if wanted.starts_with(here) else here
        wanted = wanted.along(way)
        if wanted.starts_with(here) and (way.starts_with(wanted) or wanted.starts_with(way)):
            self._go(kind, replace(after, text=wanted), joins=joins)
            self._next = replace(self._next, way=way)
        elif whole and (branch := self._branch_beginning_with(wanted)) is not None:
            self._go(kind, self._on(branch, after), joins=joins)
        else:
            prime_length = before.prime_length if position >= before.prime_length else 0
            after = replace(after, text=wanted, prime_length=prime_length)
            self._go(kind, self._as_new_branch(after, left=way), joins=joins)

    def go_on_generating(self) -> None:
        """Let text that is generated next belong to the last step, if that step changed the end of the text."""
        splice = self.done[-1].splice if self.done else None
        at_end = splice is None or splice[1:] == (0, 0) or splice.start + splice.added == len(self.text)
        self._next = replace(self._next, generating=at_end)

    def put_cursor(self, position: int) -> None:
        """Let the last step end with the cursor at ``position``."""
        position = min(max(0, position), len(self))
        self.state, self._next = replace(self.state, cursor=position), replace(self._next, joins_at=position)

    def switch(self, number: int) -> None:
        """Make a branch the current text, with the cursor at its end. Raises :class:`GenerationError` if there is no
        such branch."""
        branch = self._branch(number)
        self._go(SWITCH, self._on(branch, replace(self.state, cursor=len(branch.text))))

    def prune(self, number: int) -> None:
        """Remove a branch and its descendants. If the current branch is removed, the parent of ``number`` becomes the
        current text.

        Raises :class:`GenerationError` if there is no such branch or it is the first.
        """
        branch = self._branch(number)
        if branch.parent is None:
            raise GenerationError("The first branch cannot be removed: the others continue it")
        after, gone = self.state.with_own_text(), {number}
        for each in after.branches:  # a branch stands after its parent
            if each.parent in gone:
                gone.add(each.number)
        if after.branch in gone:
            parent = self._branch(branch.parent)
            cursor = min(after.cursor, branch.text.same_start(parent.text, sources=False))
            after = self._on(parent, replace(after, cursor=cursor))
        self._go(PRUNE, replace(after, branches=tuple(each for each in after.branches if each.number not in gone)))

    def rename(self, number: int, name: str) -> None:
        """Name a branch. Raises :class:`GenerationError` if there is no such branch."""
        self.names[self._branch(number).number] = unicodedata.normalize("NFC", name)[:200]

    @property
    def branches(self) -> dict[int, Branch]:
        """All branches by number, each after its parent."""
        return {branch.number: branch for branch in self.state.with_own_text().branches}

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
            text = branch.text
            start = self.prime_length if branch.parent is None else min(branch.parted, len(text))
            stop, begins = len(text), text.read(start, start + BEGINNING)
            before = "" if branch.parent is None else text.read(max(0, start - BEFORE), start)
            start, stop = (max(0, end - self.prime_length) for end in (start, stop))
            name, current = self.names.get(branch.number, ""), branch.number in on_path
            infos.append(BranchInfo(branch.number, branch.parent, start, stop, name, begins, current, before))
            waiting.extend(reversed(children.get(branch.number, [])))
        return infos

    def _branch(self, number: int) -> Branch:
        branches = self.branches
        branch = branches.get(number)
        if branch is None:
            raise GenerationError(f"There is no branch {number}: the branches are {', '.join(map(str, branches))}")
        return branch

    def _branch_beginning_with(self, text: Text) -> Branch | None:
        return next((branch for branch in self.branches.values() if branch.text.starts_with(text)), None)

    @staticmethod
    def _on(branch: Branch, state: State) -> State:
        """``state`` with the text of a branch, and without a prime if the branch parted within the prime."""
        same = branch.text.same_start(state.text, sources=False)
        prime_length = state.prime_length if same >= state.prime_length else 0
        branches = state.with_own_text().branches
        return replace(state, text=branch.text, prime_length=prime_length, branch=branch.number, branches=branches)

    def _as_new_branch(self, state: State, *, left: Text) -> State:
        """``state`` with its text as a new branch. The branch that is left keeps the text ``left``."""
        before = replace(self.state, text=left)
        branches = {branch.number: branch for branch in before.with_own_text().branches}
        parent = branches[before.branch]
        parts_at = state.text.same_start(parent.text, sources=False)
        while parent.parent is not None:  # the new branch parts from an ancestor that has the text up to ``parts_at``
            other = branches[parent.parent]
            if parent.text.same_start(other.text, sources=False) < parts_at:
                break
            parent = other
        self._last_number += 1
        parted = state.text.same_start(parent.text, sources=False)
        new = Branch(self._last_number, parent.number, state.text, parted)
        return replace(state, branch=new.number, branches=(*branches.values(), new))

    # ---- history

    def undo(self) -> str:
        """Undo the last step and return its kind; empty without a step. A branch that began in the step stays."""
        here, self._next = self.state.with_own_text(), _Next()
        if not self.done:
            return ""
        step = self.done.pop()
        self.undone.append(replace(step, state=here))
        known = {branch.number for branch in step.state.branches}
        began = tuple(branch for branch in here.branches if branch.number not in known)
        self.state = replace(step.state, branches=step.state.branches + began)
        left = next((each.text for each in here.branches if each.number == step.state.branch), Text())
        if here.branch != step.state.branch and left.starts_with(step.state.text):
            self._next = _Next(way=left)  # generated text may go along what the branch had left
        return step.kind

    def redo(self) -> str:
        """Redo the last undone step and return its kind; empty without a step."""
        here, self._next = self.state, _Next()
        if not self.undone:
            return ""
        step = self.undone.pop()
        self.done.append(replace(step, state=here))
        self.state = step.state
        return step.kind

    # ---- how a step is made

    def _edit(
        self, kind: str, start: int, removed: int, added: Text, *, joins: bool = False, cursor: int | None = None
    ) -> None:
        """Put ``added`` in the place of ``removed`` characters of the current branch."""
        here, joins = self.state, joins and self._joins(kind)
        splice = Splice(start, removed, len(added))
        after = replace(
            here,
            text=here.text.replaced(start, start + removed, added),
            cursor=start + len(added) if cursor is None else cursor,
            prime_length=0 if start < here.prime_length and (removed or added) else here.prime_length,
            branches=tuple(
                replace(each, parted=splice.carry(each.parted))
                if each.number == here.branch and start < each.parted
                else each
                for each in here.branches
            ),
        )
        self._step(kind, after, splice, joins=joins)

    def _go(self, kind: str, after: State, *, joins: bool = False) -> None:
        """Make the text of ``after`` the current one."""
        here = self.state.text
        start = after.text.same_start(here)
        self._step(kind, after, Splice(start, len(here) - start, len(after.text) - start), joins=joins)

    def _step(self, kind: str, after: State, splice: Splice, *, joins: bool = False) -> None:
        """Make ``after`` the state: a new step, unless the change ``joins`` the last step. Nothing that was undone can
        be made again from now on."""
        here, self._next = self.state, _Next(way=self._next.way)
        if not any(splice[1:]) and after.with_own_text() == here.with_own_text():
            return  # nothing was done
        self.undone.clear()
        if joins:
            last = self.done[-1]
            self.done[-1] = replace(last, splice=last.splice.then(splice))
        else:
            self.done.append(Done(kind, here, splice))
        self.state, self._next = after, _Next(after.cursor)

    def _joins(self, kind: str) -> bool:
        """Whether a step of this kind at the cursor goes on with the last one."""
        return bool(self.done) and self.done[-1].kind == kind and self.cursor == self._next.joins_at

    # ---- as JSON

    def to_dict(self) -> dict[str, Any]:
        """The text with its branches, JSON-ready."""
        branches, texts = list[dict[str, Any]](), dict[int | None, Text]({None: Text()})
        for branch in self.branches.values():
            texts[branch.number] = branch.text
            branches.append(_branch_to_dict(branch, texts[branch.parent]))
        names = {str(number): name for number, name in self.names.items()}
        return {"place": _state_to_list(self.state), "names": names, "branches": branches}

    def history(self, most: float = math.inf) -> dict[str, list[dict[str, Any]]]:
        """The steps to undo and to redo, JSON-ready, the next one first: as many as have ``most`` characters together,
        and at least one.

        Each has the text, cursor, seed, prime and branches of its state, as far as they differ from the step before.
        """
        return {"undo": list(self._steps(self.done, most)), "redo": list(self._steps(self.undone, most))}

    def _steps(self, steps: Sequence[Done], most: float) -> Iterator[dict[str, Any]]:
        size, here = 0, self.state.with_own_text()
        for number, step in enumerate(reversed(steps)):
            there, (start, removed, added) = step.state.with_own_text(), step.splice
            if steps is self.done:
                removed, added = added, removed
            known = {branch.number: branch for branch in here.branches}
            branches = [
                _branch_to_dict(each, Text() if before is None else before.text)
                for each in there.branches
                if (before := known.pop(each.number, None)) is None
                or before.parted != each.parted
                or (each.number != there.branch and before.text is not each.text and before.text != each.text)
            ]
            text = there.text.part(start, start + added)
            size += len(text) + sum(len(each["text"]) for each in branches)
            if number and size > most:
                return
            yield {
                "kind": step.kind, "start": start, "removed": removed, **_text_to_dict(text),
                "place": _state_to_list(there), **({"branches": branches} if branches else {}),
                **({"without": list(known)} if known else {}),
            }  # fmt: skip
            here = there

    @classmethod
    def of(cls, state: State, names: Mapping[int, str]) -> Self:
        """A document with this state and these names of branches, without a history."""
        document = cls()
        document.state, document.names = state, {number: name[:200] for number, name in names.items() if name}
        # a pruned branch left its name, which a new one must not get
        document._last_number = max([branch.number for branch in state.branches] + list(document.names))
        return document

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`KeyError`, :class:`TypeError`, :class:`ValueError` or
        :class:`GenerationError` for values that are no document."""
        branches = dict[int, Branch]()
        for saved in values["branches"]:
            parent = None if saved["parent"] is None else branches[saved["parent"]]
            branch = _branch_from_dict(saved, Text() if parent is None else parent.text)
            if (parent is None) != (not branches) or branch.number <= max(branches, default=-1):
                raise ValueError("its branches do not form a tree")
            branches[branch.number] = branch
        names = {int(number): str(name) for number, name in dict(values["names"]).items()}
        return cls.of(_state_from_list(values["place"], branches[values["place"][3]].text, branches), names)

    def read_history(self, history: Mapping[str, Any]) -> None:
        """Restore the steps of :meth:`history`. Raises as :meth:`from_dict` does, and then changes nothing."""
        found: dict[str, list[Done]] = {"undo": [], "redo": []}
        for name, steps in found.items():
            here = self.state.with_own_text()
            for values in history[name]:
                start, text = whole_number(values["start"], 0, len(here.text)), _text_from_dict(values)
                removed = whole_number(values["removed"], 0, len(here.text) - start)
                without = values.get("without", ())
                branches = {branch.number: branch for branch in here.branches if branch.number not in without}
                for saved in values.get("branches", ()):
                    known = branches.get(saved["number"])
                    branch = _branch_from_dict(saved, Text() if known is None else known.text)
                    branches[branch.number] = branch
                whole = here.text.replaced(start, start + removed, text)
                here = _state_from_list(values["place"], whole, dict(sorted(branches.items()))).with_own_text()
                splice = Splice(start, removed, len(text)) if name == "redo" else Splice(start, len(text), removed)
                steps.append(Done(str(values["kind"]), here, splice))
                self._last_number = max(self._last_number, *branches)
        self.done, self.undone = deque(found["undo"][::-1], MOST_STEPS), found["redo"][::-1]


def _text_to_dict(text: Text) -> dict[str, Any]:
    """A text, JSON-ready."""
    return {"text": text.read(), "by": _sources_to_json(text.sources())}


def _text_from_dict(values: Mapping[str, Any]) -> Text:
    """The inverse. Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError` for values that are no text."""
    text = values["text"]
    if not isinstance(text, str):
        raise TypeError("a text is a string")
    return Text.of(text, _sources_from_json(values["by"], len(text)))


def _state_to_list(state: State) -> list[int]:
    return [state.cursor, state.seed, state.prime_length, state.branch]


def _state_from_list(values: Any, text: Text, branches: Mapping[int, Branch]) -> State:
    """A state from its cursor, seed, length of the prime and branch. Raises :class:`KeyError`, :class:`TypeError`,
    :class:`ValueError` or :class:`GenerationError` if these are not in the text."""
    cursor, seed, prime_length, branch = values
    length = len(text)
    return State(
        text, whole_number(cursor, 0, length), check_seed(seed), whole_number(prime_length, 0, length),
        branches[branch].number, tuple(branches.values()),
    )  # fmt: skip


def _branch_to_dict(branch: Branch, known: Text) -> dict[str, Any]:
    same = branch.text.same_start(known)
    return {
        "number": branch.number, "parent": branch.parent, "parted": branch.parted, "same": same,
        **_text_to_dict(branch.text.part(same)),
    }  # fmt: skip


def _branch_from_dict(values: Mapping[str, Any], known: Text) -> Branch:
    text = known.part(0, whole_number(values["same"], 0, len(known))) + _text_from_dict(values)
    parent = None if values["parent"] is None else whole_number(values["parent"], 0, 2**31)
    return Branch(whole_number(values["number"], 0, 2**31), parent, text, whole_number(values["parted"], 0, 2**62))


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
