"""Documents for the tests of what is played and saved."""

from __future__ import annotations

from typing import Any

from charlstm.generation.document import Document
from charlstm.generation.session_file import SessionSummary


def played(length: int = 40, prime: str = "abc") -> Document:
    """A document with so many generated characters after its prime."""
    document = Document(prime, seed=3)
    document.begin_generating()
    for number in range(length):
        document.generate("defgh"[number * 7 % 5])
    return document


def everything(document: Document) -> tuple[Any, ...]:
    """All that a user can see of a document."""
    return (
        document.text.read(), document.text.sources().tolist(),
        (document.cursor, document.seed, document.prime_length, document.branch), document.undoable, document.redoable,
        document.list_branches(),
    )  # fmt: skip


def about(document: Document) -> SessionSummary:
    """What the file of a document says about it."""
    return SessionSummary(len(document) - document.prime_length, document.text.read(0, 80), document.is_edited)
