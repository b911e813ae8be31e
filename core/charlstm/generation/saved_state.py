"""Read a saved session of any format as a document, with what the model had read of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from charlstm import storage
from charlstm.errors import GenerationError
from charlstm.generation import saving, session_log
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.session_document import document_of, fit
from charlstm.generation.session_log import ERRORS, SeenFile, SessionSummary
from charlstm.generation.stepper import Stepper
from charlstm.storage import FileStamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from charlstm.model.file import Model


@dataclass(frozen=True, slots=True)
class SavedState:
    """A session as it was saved.

    Attributes:
        document: its text with branches and history; the caller may change it.
        settings, clamps, sample: as in :class:`charlstm.generation.session.Session`.
        unknown: characters of the prime that the model does not know, with their counts.
        summary: what the session is about.
        seen: the file, to go on in it.
        session: what the model had read, if the file has it and it is of these weights: its current text is the
            beginning of the document's text that was read, its tree may have other texts.
        note: a sentence about what is damaged in the file, if anything is.
    """

    document: Document
    settings: SamplerSettings
    clamps: tuple[Clamp, ...]
    sample: int
    unknown: Mapping[str, int]
    summary: SessionSummary
    seen: SeenFile
    session: Session | None = field(default=None, repr=False)
    note: str = ""


def load(path: Path, model: Model, stepper: Stepper | None = None) -> SavedState:
    """Load a session file of any format, to be continued by ``model``.

    Raises :class:`GenerationError` if the file is missing, damaged, of a newer format or of a model with other
    characters.
    """
    stepper = stepper or Stepper(model)
    with saving.reading(path), storage.open_file(path) as file:
        if session_log.is_log(cast(BinaryIO, file)):
            log = session_log.read(path)
            return _of_log(log, path, model, stepper)
        stamp = FileStamp.of(os.fstat(file.fileno()))
        values = storage.read_json(path, most=max(1, stamp.size))
    return _of_tree(values, path, stamp, model, stepper)


def _of_log(log: session_log.ReadLog, path: Path, model: Model, stepper: Stepper) -> SavedState:
    state = log.state
    saving.check_log(state, path, model)
    session = saving.read_cache(state, model, stepper)
    if session is not None:
        session = fit(session, state.document)
    return SavedState(
        state.document, state.settings, state.clamps, state.sample, state.unknown, state.summary, log.seen, session,
        log.note,
    )  # fmt: skip


def _of_tree(values: Any, path: Path, stamp: FileStamp, model: Model, stepper: Stepper) -> SavedState:
    """The state of a file of format 1 or 2, whose tree of branches becomes a document."""
    rest = values.pop("rest", None) if isinstance(values, dict) else None
    session = saving.from_dict(values, model, stepper=stepper, name=str(path))
    try:
        if rest is None:
            document = document_of(session)
        else:
            document = document_of(session, (str(rest["text"]), list(rest["sources"])), rest.get("position"))
        summary = SessionSummary.from_dict(values["summary"]) if "summary" in values else saving.summary(session)
    except ERRORS as error:
        raise GenerationError(f"{path} is damaged: {str(error)[:200] or type(error).__name__}") from None
    return SavedState(
        document, session.settings, session.clamps, session.sample, session.unknown, summary, SeenFile(path, stamp),
        session,
    )  # fmt: skip
