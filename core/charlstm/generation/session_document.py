"""A session as a document, and a document as a session.

A position in a session does not count the prime; one in a document does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from charlstm.generation.document import Document, text_to_dict
from charlstm.generation.prime import Prime, prepare_prime
from charlstm.generation.recipe import Recipe
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.text_pieces import Text
from charlstm.generation.tree import TYPED, Branch, Pending, Rows

if TYPE_CHECKING:
    from charlstm.generation.session_state import SessionState
    from charlstm.model.file import Model


class SavedBranch(NamedTuple):
    """A branch of a tree: ``own`` is what follows ``start``, a position without the prime, where it leaves its
    parent."""

    number: int
    parent: int | None
    start: int
    name: str
    own: Text


def document_of(session: Session) -> Document:
    """The text of a session with all its branches, each under its number. There is nothing to undo."""
    numbers = {id(branch): number for number, branch in session.tree.items()}
    branches = []
    for branch in session.root.descendants():
        rows = branch.slice(branch.start, branch.stop)
        own = Text.of(session.model.vocabulary.decode(rows["id"]), rows["source"])
        parent = None if branch.parent is None else numbers[id(branch.parent)]
        branches.append(SavedBranch(numbers[id(branch)], parent, branch.start, branch.name, own))
    return document_of_branches(
        session.prime, branches, numbers[id(session.tip)], length=len(session), cursor=session.position,
        seed=session.seed,
    )  # fmt: skip


def document_of_branches(
    prime: str, branches: Sequence[SavedBranch], current: int, *, length: int | None, cursor: int, seed: int,
    rest: Text | None = None,
) -> Document:  # fmt: skip
    """The text of a tree, each branch behind its parent, of which the first ``length`` characters of the ``current``
    one are the text, or all of it. ``rest`` is what followed that in an editor.

    Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError` for values that are no tree.
    """
    begins = len(prime)
    if any(each.parent is not None and each.parent > each.number for each in branches):
        # No version has written such numbers, but a file may have them.
        order = {each.number: place for place, each in enumerate(branches)}
        branches = [
            each._replace(number=order[each.number], parent=None if each.parent is None else order[each.parent])
            for each in branches
        ]
        current = order[current]
    texts: dict[int | None, Text] = {None: Text.of(prime, TYPED)}
    saved: dict[int, dict[str, Any]] = {}
    for each in branches:
        before, same = texts[each.parent], begins + each.start
        if each.number in texts or (each.parent is None) != (not saved) or same > len(before):
            raise ValueError("its branches do not form a tree")
        text = texts[each.number] = before.part(0, same) + each.own
        same = 0 if each.parent is None else same
        saved[each.number] = _branch(each.number, each.parent, each.name, text, same)
    whole = len(texts[current]) if length is None else min(begins + length, len(texts[current]))
    if rest:
        text = texts[current].part(0, whole) + rest
        if not texts[current].starts_with(text):
            known = saved[current]
            if whole < len(texts[current]):  # which stays as a branch
                parent, current = current, max(saved) + 1
                saved[current] = _branch(current, parent, "", text, whole)
            else:
                saved[current] = _branch(current, known["parent"], known["name"], text, known["same"])
        whole = len(text)
    place = [begins + cursor, seed, begins, current]
    return Document.from_dict({
        "branches": [saved[number] for number in sorted(saved)], "length": whole, "place": place,
        "undo": [], "redo": [],
    })  # fmt: skip


def _branch(number: int, parent: int | None, name: str, text: Text, same: int) -> dict[str, Any]:
    return {"number": number, "parent": parent, "name": name, "same": same, **text_to_dict(text.part(same))}


def session_of(state: SessionState, model: Model, stepper: Stepper | None = None) -> Session:
    """A session with the text, the branches and the cursor of a document, all of which the model reads here. A branch
    whose text is the beginning of another one's is not one of its own in a session.

    Characters that the model does not know are left out.
    """
    document = state.document
    session, numbers = _read(state, model, stepper or Stepper(model))
    session.settings, session.clamps, session.seed = state.settings, state.clamps, document.seed
    for number, branch in document.branches.items():
        if branch.name:
            session.rename(numbers[number], branch.name)
    prime = document.prime_length
    session.switch(numbers[document.branch])
    length = min(len(session), _known(model, document.text.part(prime)))
    session.rewind(length)
    session.cut()
    session.rewind(min(length, _known(model, document.text.part(prime, max(prime, document.cursor)))))
    return session


def _known(model: Model, text: Text) -> int:
    """How many characters of a text the model knows."""
    return len(model.vocabulary.encode(text.read())[0])


def _read(state: SessionState, model: Model, stepper: Stepper) -> tuple[Session, Mapping[int, int]]:
    """A session whose model has read all branches, and the number in its tree of each branch of the document."""
    document = state.document
    start = document.prime_length
    prime = document.text.read(0, start)
    ids, _ = model.vocabulary.encode(prime)
    read = (
        Prime(prime, ids.astype(np.intp), dict(state.unknown))
        if len(ids) == len(prime) > 0
        else prepare_prime(model, prime)
    )
    pending = Pending(len(model.vocabulary))
    root = Branch(None, 0, tuple(model.vocabulary.symbols), pending)
    session = Session.restored(
        model, read, Recipe(document.seed, state.sample, state.settings, state.clamps), stepper=stepper,
        tree={0: root}, tip=root, position=0,
    )  # fmt: skip
    branches = document.branches
    numbers: dict[int, int] = {}
    for number, branch in branches.items():
        parent = None if branch.parent is None else branches[branch.parent]
        text = branch.kept
        same = start if parent is None else max(start, text.same_start(parent.kept, sources=False))
        if parent is not None:
            session.switch(numbers[parent.number])
            session.rewind(min(len(session), _known(model, text.part(start, same))))
        session.put_back(_rows(session, text.part(same)))
        numbers[number] = next(key for key, each in session.tree.items() if each is session.tip)
    return session, numbers


def _rows(session: Session, text: Text) -> Rows:
    ids, sources = [], []
    index = session.model.vocabulary.index
    for char, source in zip(text.read(), text.sources().tolist(), strict=True):
        which = index(char)
        if which is not None:
            ids.append(which)
            sources.append(source)
    rows = np.zeros(len(ids), session.root.rows.dtype)
    rows["id"], rows["source"] = ids, sources
    return rows
