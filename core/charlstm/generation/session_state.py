"""A session as in its file: document, settings, and a summary for lists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from charlstm.arguments import whole_number
from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.sampler_settings import SamplerSettings

BEGINNING = 80
"""Characters of the text that a summary has."""

ERRORS = (
    KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError, GenerationError,
)  # fmt: skip
"""Raised for values that are not from a session."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a session is about, which is read from the beginning of its file.

    Attributes:
        length: characters after the prime.
        begins: the first characters, with the prime.
        edited: whether the user had a part in it: typed, chose, or made a branch.
        model: the model, as it is named on the command line; empty if it is not known.
        title: what the user calls it; empty if it has no title.
        words: stretches between spaces, with those of the prime; 0 if they were not counted.
        size: all characters, with the prime.
        step: after how many steps of its training the model was; -1 if that is not known.
        saved: when it was changed last, in Unix seconds, which a copy of the file keeps; 0 if that is not known.
    """

    length: int
    begins: str
    edited: bool
    model: str = ""
    title: str = ""
    words: int = 0
    size: int = 0
    step: int = -1
    saved: float = field(default=0.0, compare=False)  # the same session may be saved twice

    @classmethod
    def from_dict(cls, values: Any) -> SessionSummary:
        """The inverse of ``asdict``; other names are ignored. Raises one of :data:`ERRORS` for values that are no
        summary."""
        known = cls(**{each.name: values[each.name] for each in fields(cls) if each.name in values})
        types = (int, str, bool, str, str, int, int, int, float)
        if tuple(type(value) for value in asdict(known).values()) != types or not math.isfinite(known.saved):
            raise TypeError("its summary is not one")
        return known


@dataclass(frozen=True, slots=True)
class SessionState:
    """A whole session, to be written or as it was read.

    Attributes:
        document: which no one changes any more: a :meth:`Document.copy`.
        summary: what it is about; its words are counted when it is written.
        settings, clamps, sample: as in :class:`charlstm.generation.session.Session`.
        weights: SHA-256 of the model's weights; ``run``: the model's name for people, if it has one.
    """

    document: Document
    summary: SessionSummary
    settings: SamplerSettings = field(default_factory=SamplerSettings)
    clamps: tuple[Clamp, ...] = ()
    sample: int = 0
    weights: str = ""
    run: str = ""


def state_from_dict(values: Mapping[str, Any], document: Document) -> SessionState:
    """The state of a session with this document, with its own summary. Raises one of :data:`ERRORS`."""
    model = values["model"]
    return SessionState(
        document, summary_of(document), SamplerSettings.from_dict(values["settings"]),
        tuple(Clamp(*each) for each in values["clamps"]), whole_number(values["sample"], 0, 2**62),
        str(model["weights"]), str(model["run"]),
    )  # fmt: skip


def summary_of(document: Document) -> SessionSummary:
    """What the text alone says about a session."""
    text = document.text
    length = len(text) - document.prime_length
    return SessionSummary(length, text.read(0, BEGINNING), document.is_edited, size=len(text))


def damage(path: Path) -> str:
    """A sentence for a file whose text can be read and that is not whole."""
    return f"{path.name} is damaged. The text is what was saved before the damage; the file stays as it is."
