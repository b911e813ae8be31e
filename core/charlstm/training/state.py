"""All that an exact resume needs, as one safetensors file: tensors, and everything else as JSON in its metadata.

No pickle, no torch: tensors are numpy arrays here. A SHA-256 over the JSON and every tensor is checked on load. What
the entries mean is the trainer's business; where the file lies is the run folder's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from charlstm import storage
from charlstm.errors import ModelError

FORMAT = 1
MAX_HEADER = 4_000_000
"""Bytes of header that a reader accepts; a hostile file cannot make it parse more."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A run between two steps. ``record`` is JSON-ready, ``tensors`` are copies that nothing else writes to."""

    step: int
    control_position: int
    """Where the next command starts in ``control.jsonl``; those before it were acted on (see ``seams.Command``)."""
    record: dict[str, Any]
    tensors: dict[str, np.ndarray[Any, Any]]
    model_digest: str | None = None
    """SHA-256 of the model file that was the best so far; the store fills it in when it writes."""

    def with_digest(self, digest: str | None) -> TrainingState:
        """The same state that names the model file beside it."""
        return replace(self, model_digest=digest)


def save_state(path: Path, state: TrainingState) -> None:
    """Write ``state`` to ``path`` atomically and synced. Raises :class:`OSError` when the disk does."""
    storage.replace_bytes(path, to_bytes(state))


def load_state(path: Path) -> TrainingState:
    """Read and verify a state. Raises :class:`~charlstm.errors.ModelError` in one sentence when it is missing,
    damaged or of a newer format."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The training state {path} cannot be read: {error.strerror}") from error
    return from_bytes(content, str(path))


def to_bytes(state: TrainingState) -> bytes:
    """The state as the bytes of a safetensors file."""
    record = json.dumps(
        {
            "step": state.step,
            "control_position": state.control_position,
            "model_digest": state.model_digest,
            "record": state.record,
        },
        ensure_ascii=False,
    )
    metadata = {"format": str(FORMAT), "charlstm-state": record, "sha256": _digest(record, state.tensors)}
    return save({name: np.ascontiguousarray(array) for name, array in state.tensors.items()}, metadata)


def from_bytes(content: bytes, where: str) -> TrainingState:
    """The inverse of :func:`to_bytes`; ``where`` names the source in errors (:class:`ModelError`)."""
    damaged = ModelError(
        f"The training state {where} is damaged or is no training state; resume from the one before it"
    )
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, MAX_HEADER):
        raise damaged
    try:
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        version, text, digest = int(metadata["format"]), metadata["charlstm-state"], metadata["sha256"]
        if version > FORMAT:
            raise ModelError(
                f"The training state {where} was written by a newer charlstm (format {version}); update this one"
            )
        tensors = load(content)
        if digest != _digest(text, tensors):
            raise damaged
        values = json.loads(text)
        return TrainingState(
            int(values["step"]), int(values["control_position"]), values["record"], tensors, values["model_digest"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise damaged from error


def _digest(record: str, tensors: dict[str, np.ndarray[Any, Any]]) -> str:
    """SHA-256 over the record and every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(memoryview(np.ascontiguousarray(array)).cast("B") if array.size else b"")
    return digest.hexdigest()
