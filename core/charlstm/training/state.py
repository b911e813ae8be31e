"""All that an exact resume needs, as one safetensors file: tensors, and everything else as JSON in its metadata.

No pickle, no torch: tensors are numpy arrays here. The SHA-256 over header and tensors is ``model.tensors``' and is
checked on load. What the entries mean is the trainer's business; where the file lies is the run folder's.
"""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from charlstm.errors import ModelError, UnreadableFileError
from charlstm.model.tensors import read_header, read_tensors, write_tensors

FORMAT = 2
"""Format 1, of version 0.1, had some more fields, which nothing read and which are ignored."""
_KIND = "training state"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A run between two steps. ``record`` is JSON-ready; ``tensors`` are copies that nothing else writes to."""

    step: int
    record: dict[str, Any]
    tensors: dict[str, npt.NDArray[Any]]


def save_state(path: Path, state: TrainingState, *, keep: Path | None = None) -> None:
    """Replace ``path`` by ``state``, atomically and synced; the state before goes on under the name ``keep``.

    Raises :class:`OSError` when the disk does not take it.
    """
    values = {"step": state.step, "record": state.record}
    write_tensors(path, state.tensors, {"format": str(FORMAT), "charlstm-state": json.dumps(values)}, keep=keep)


def load_state(path: Path) -> TrainingState:
    """Read and verify a state. Raises :class:`~charlstm.errors.ModelError` in one sentence when it is missing,
    damaged, something else or of a newer format."""
    tensors, metadata = read_tensors(path, _KIND)
    return _state(path, metadata, tensors)


def load_record(path: Path) -> dict[str, Any]:
    """The record of the state at ``path``, by the first bytes of the file alone: at once, however large it is, but not
    verified. For those who only ask; raises :class:`ModelError` as :func:`load_state` does."""
    return _state(path, read_header(path, _KIND).metadata, {}).record


def _state(path: Path, metadata: dict[str, str], tensors: dict[str, npt.NDArray[Any]]) -> TrainingState:
    try:
        version = int(metadata["format"])
        if version > FORMAT:
            raise UnreadableFileError(
                f"{path} was written by a newer charlstm (format {version}): update this one to resume", "newer_format"
            )
        values = json.loads(metadata["charlstm-state"])
        step = operator.index(values["step"])
        if step < 0:
            raise ValueError
        return TrainingState(step, dict(values["record"]), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} is no {_KIND}: name the state file of a run") from error
