"""A session as a document, and a document as a session.

A position in a session does not count the prime; one in a document does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from charlstm.generation.clamp import existing_clamps
from charlstm.generation.document import Branch, Document, state_from_list
from charlstm.generation.prime import read_prime
from charlstm.generation.recipe import Recipe
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.text_pieces import Text
from charlstm.generation.tree import TYPED, Pending, Rows, TreeBranch, text_of

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
        own = Text.of(text_of(rows), rows["source"])
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
    found: dict[int, Branch] = {}
    for each in branches:
        before = Text.of(prime, TYPED) if each.parent is None else found[each.parent].text
        parted = begins + each.start
        if each.number in found or (each.parent is None) != (not found) or parted > len(before):
            raise ValueError("its branches do not form a tree")
        text, parted = before.part(0, parted) + each.own, 0 if each.parent is None else parted
        found[each.number] = Branch(each.number, each.parent, text, parted)
    text = found[current].text.part(0, None if length is None else begins + length) + (rest or Text())
    names = {each.number: each.name for each in branches}
    return document_with(found, names, text, begins + cursor, seed, begins, current)


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


def session_of(state: SessionState, model: Model, stepper: Stepper | None = None) -> Session:
    """A session with the text, the branches and the cursor of a document, all of which the model reads here. A branch
    whose text is the beginning of another one's is not one of its own in a session."""
    document = state.document
    session, numbers = _read(state, model, stepper or Stepper(model))
    session.settings, session.seed = state.settings, document.seed
    for number, name in document.names.items():
        if number in numbers:
            session.rename(numbers[number], name)
    prime = document.prime_length
    session.switch(numbers[document.branch])
    session.rewind(len(document) - prime)
    session.cut()
    session.rewind(max(0, document.cursor - prime))
    return session


def _read(state: SessionState, model: Model, stepper: Stepper) -> tuple[Session, Mapping[int, int]]:
    """A session whose model has read all branches, and the number in its tree of each branch of the document."""
    document = state.document
    start = document.prime_length
    read = read_prime(model, document.text.read(0, start))
    pending = Pending(len(model.vocabulary))
    root = TreeBranch(None, 0, tuple(model.vocabulary.symbols), pending)
    recipe = Recipe(document.seed, state.sample, state.settings, existing_clamps(state.clamps, model.config))
    session = Session.restored(model, read, recipe, stepper=stepper, tree={0: root}, tip=root, position=0)
    branches = document.branches
    numbers: dict[int, int] = {}
    for number, branch in branches.items():
        parent = None if branch.parent is None else branches[branch.parent]
        text = branch.text
        same = start if parent is None else max(start, text.same_start(parent.text, sources=False))
        if parent is not None:
            session.switch(numbers[parent.number])
            session.rewind(min(len(session), same - start))
        session.put_back(_rows(session, text.part(same)))
        numbers[number] = next(key for key, each in session.tree.items() if each is session.tip)
    return session, numbers


def _rows(session: Session, text: Text) -> Rows:
    rows = np.zeros(len(text), session.root.rows.dtype)
    rows["id"], _ = session.model.vocabulary.encode(text.read())
    rows["source"], rows["char"] = text.sources(), text.codes()
    return rows
