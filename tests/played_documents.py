"""Documents for the tests of what is played and saved."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from charlstm.generation import session_file
from charlstm.generation.document import Document
from charlstm.generation.session import Session
from charlstm.model.file import Model


def played(length: int = 40, prime: str = "abc") -> Document:
    """A document with so many generated characters after its prime."""
    document = Document(prime, seed=3)
    document.begin_generating()
    for number in range(length):
        document.generate("defgh"[number * 7 % 5])
    return document


ACTIONS = (
    "type", "paste", "back", "delete", "word", "replace", "move", "undo", "redo", "choose", "stream", "one", "switch",
    "prune", "rename", "alternative", "regenerate",
)  # fmt: skip


def act(document: Document, action: str, choose: Callable[[int], int]) -> None:
    """Do something that a user can do. ``choose(n)`` gives a number from 0 to n."""
    length = len(document)
    if action in ("type", "paste"):
        document.insert("abc d\n"[choose(5)] if action == "type" else "xyz uvw"[: choose(7)])
    elif action in ("back", "delete"):
        document.erase(before=action == "back", after=action == "delete")
    elif action == "word":
        document.erase(before=document.word_before())
    elif action == "replace":
        start = choose(length)
        document.replace(start, start + choose(length - start), "new"[: choose(3)])
    elif action == "move":
        document.move(choose(length), undoable=choose(1) == 0)
    elif action in ("undo", "redo"):
        getattr(document, action)()
    elif action in ("choose", "alternative", "regenerate"):
        place = document.prime_length + choose(length - document.prime_length)
        seed = document.seed + 1 if action == "regenerate" else None
        document.branch_off(place, "abcd"[choose(3)], kind=action, seed=seed, joins=action == "alternative")
        if action == "alternative":
            document.go_on_generating()
            document.generate("abcd"[choose(3)])
            document.put_cursor(place)
    elif action == "one":
        document.generate_one("abcd"[choose(3)])
    elif action == "stream":
        document.begin_generating()
        for _ in range(choose(5)):
            document.generate("abcd"[choose(3)])
    elif action == "rename":
        document.rename(sorted(document.branches)[-1], "name")
    else:
        numbers = sorted(document.branches)
        number = numbers[choose(len(numbers) - 1)]
        if action == "switch":
            document.switch(number)
        elif number:
            document.prune(number)


def work_on(document: Document, steps: int, seed: int = 0) -> Document:
    """Do many things to a document."""
    chance = random.Random(seed)
    for _ in range(steps):
        act(document, chance.choice(ACTIONS), lambda most: chance.randint(0, most))
    return document


def everything(document: Document) -> tuple[Any, ...]:
    """All that a user can see of a document."""
    return (
        document.text.read(), document.text.sources().tolist(),
        (document.cursor, document.seed, document.prime_length, document.branch), document.undoable, document.redoable,
        document.list_branches(),
    )  # fmt: skip


def about(document: Document) -> session_file.SessionSummary:
    """What the file of a document says about it."""
    return session_file.SessionSummary(
        len(document) - document.prime_length, document.text.read(0, 80), document.is_edited
    )


def text_of(path: Path) -> str:
    """The text in a session's file."""
    return session_file.read(path).state.document.text.read()


def state_of(document: Document, **values: Any) -> session_file.SessionState:
    """A document as it is now, to be written."""
    return session_file.SessionState(document.copy(), about(document), **values)


def state_of_session(session: Session) -> session_file.SessionState:
    """All of a session, to be written."""
    document = Document.of(replace(session.document.state, seed=session.seed), session.document.names)
    return session_file.SessionState(
        document, session_file.summary_of(document), session.settings, session.clamps, session.sample
    )


def save_session(session: Session, path: Path) -> None:
    session_file.write(path, state_of_session(session))


def load_session(path: Path, model: Model) -> Session:
    state = session_file.read(path).state
    return session_file.session_of(state, session_file.begin_reading(state, model))
