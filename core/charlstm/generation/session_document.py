"""A session as a document, and a document as a session.

A position in a session does not count the prime; one in a document does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from charlstm.generation.document import Document
from charlstm.generation.prime import Prime, prepare_prime
from charlstm.generation.recipe import Recipe
from charlstm.generation.session import Session
from charlstm.generation.stepper import Stepper
from charlstm.generation.text_pieces import Text
from charlstm.generation.tree import CHOSEN, TYPED, Branch, Pending, Rows

if TYPE_CHECKING:
    from charlstm.generation.session_log import SessionState
    from charlstm.model.file import Model


def document_of(session: Session, rest: tuple[str, Sequence[int]] = ("", ()), position: int | None = None) -> Document:
    """The text of a session with all its branches, each under its number. There is nothing to undo.

    ``rest`` is what followed the text in an editor, and the source of each of its characters; ``position`` is that of
    the cursor, if it may be in the rest.

    Raises :class:`ValueError` for sources that do not fit its characters.
    """
    prime = Text.of(session.prime, TYPED)
    tree = [(number, branch) for number, branch in session.tree.items()]
    numbers = {id(branch): number for number, branch in tree}
    if any(branch.parent is not None and numbers[id(branch.parent)] > numbers[id(branch)] for _, branch in tree):
        # No version has written such numbers, but a file may have them.
        numbers = {id(branch): number for number, branch in enumerate(session.root.descendants())}
    texts: dict[int | None, Text] = {None: prime}
    saved: dict[int, dict[str, Any]] = {}
    for branch in session.root.descendants():
        number, parent = numbers[id(branch)], None if branch.parent is None else numbers[id(branch.parent)]
        same, own = len(prime) + branch.start, _text(session, branch.slice(branch.start, branch.stop))
        texts[number] = texts[parent].part(0, same) + own
        saved[number] = _branch(number, parent, branch.name, texts[number], 0 if parent is None else same)
    current, length = numbers[id(session.tip)], len(prime) + len(session)
    cursor = session.position if position is None else position
    if rest[0]:
        sources = np.array(rest[1])
        if (
            sources.shape != (len(rest[0]),)
            or sources.dtype.kind not in "iu"
            or sources.min() < 0
            or sources.max() > CHOSEN
        ):
            raise ValueError("its text and its sources disagree")
        whole = texts[current].part(0, length) + Text.of(rest[0], sources.astype(np.uint8))
        if not texts[current].starts_with(whole):
            parent = current
            if length < len(texts[current]):  # which stays as a branch
                current = max(saved) + 1
                saved[current] = _branch(current, parent, "", whole, length)
            else:
                known = saved[current]
                saved[current] = _branch(current, known["parent"], known["name"], whole, known["same"])
        length = len(whole)
    place = [len(prime) + cursor, session.seed, len(prime), current]
    branches = [saved[number] for number in sorted(saved)]
    return Document.from_dict(
        {"branches": branches, "length": length, "place": place, "changes": 0, "undo": [], "redo": []}
    )


def _branch(number: int, parent: int | None, name: str, text: Text, same: int) -> dict[str, Any]:
    own = text.part(same)
    by = "".join(map(str, own.sources().tolist()))
    return {"number": number, "parent": parent, "name": name, "same": same, "text": own.read(), "by": by}


def _text(session: Session, rows: Rows) -> Text:
    return Text.of(session.model.vocabulary.decode(rows["id"]), rows["source"])


def fit(session: Session, document: Document) -> Session | None:
    """Make the branch of a session that begins like the document's text for the longest part the current one, and cut
    it where they differ. The session has read an earlier version of the document. None if it has another prime."""
    text, prime = document.text, document.prime_length
    if session.prime != text.read(0, prime):
        return None
    ids, unknown = session.model.vocabulary.encode(text.read(prime))
    if unknown:
        return None
    best, length = 0, -1
    for number in session.tree:
        session.switch(number)
        read = session.rows()["id"]
        shorter = min(len(read), len(ids))
        differ = np.flatnonzero(read[:shorter] != ids[:shorter])
        same = int(differ[0]) if len(differ) else shorter
        if same > length:
            best, length = number, same
    session.switch(best)
    session.rewind(length)
    session.cut()
    session.rewind(min(length, max(0, document.cursor - prime)))
    return session


def session_of(
    state: SessionState, model: Model, stepper: Stepper | None = None, *, known: Session | None = None
) -> Session:
    """A session with the text, the branches and the cursor of a document. What ``known`` has not read, the model reads
    here. A branch whose text is the beginning of another one's is not one of its own in a session.

    Characters that the model does not know are left out.
    """
    document = state.document
    numbers: Mapping[int, int]
    if known is not None and _has_same_texts(known, document):
        session, numbers = known, {number: number for number in document.branches}
    else:
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


def _has_same_texts(session: Session, document: Document) -> bool:
    """Whether the tree of a session has the branches of a document, and no others."""
    if session.prime != document.text.read(0, document.prime_length):
        return False
    read = document_of(session).branches
    branches = document.branches
    return read.keys() == branches.keys() and all(read[number].text == branches[number].kept for number in branches)


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
