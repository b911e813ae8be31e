"""Save and load the exact state of a run: one safetensors file with all that a resume needs.

Tensors are numpy arrays; everything else is JSON in the metadata. ``model.tensors`` adds a SHA-256 of header and
tensors and checks it on load. ``Trainer.state`` in ``engine.trainer`` makes the state.
"""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy import typing as npt  # not "import numpy.typing", beside which another thread cannot import numpy

from charlstm.display import short_repr
from charlstm.errors import ModelError, SettingsError, UnreadableFileError
from charlstm.model.tensors import read_header, read_tensors, write_tensors
from charlstm.training.settings import Settings

FORMAT = 2
_KIND = "training state"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A run between two steps. ``record`` is JSON-ready; ``tensors`` are copies that nothing else changes."""

    step: int
    record: dict[str, Any]
    tensors: dict[str, npt.NDArray[Any]]

    __repr__ = short_repr

    @property
    def settings(self) -> Settings:
        """The settings that were requested for the run, for :meth:`charlstm.Trainer.resume`, perhaps with changes.

        Raises :class:`ModelError` when the state does not say.
        """
        try:
            return Settings.from_dict(self.record["asked"])
        except (KeyError, TypeError, AttributeError, SettingsError) as error:
            raise ModelError("The training state does not say with which settings it was trained") from error


def save_state(path: Path, state: TrainingState, *, keep: Path | None = None) -> None:
    """Write ``state`` to ``path``, atomically and synced. A file that is already there is renamed to ``keep``.

    Raises :class:`OSError` when it cannot be written.
    """
    values = {"step": state.step, "record": state.record}
    write_tensors(path, state.tensors, {"format": str(FORMAT), "charlstm-state": json.dumps(values)}, keep=keep)


def load_state(path: Path) -> TrainingState:
    """Read and verify a state. Raises :class:`~charlstm.errors.ModelError` when it is missing, damaged, of another
    format or something else."""
    tensors, header = read_tensors(path, _KIND)
    return _state(path, header.metadata, tensors)


def load_record(path: Path) -> dict[str, Any]:
    """The record of the state at ``path``. Fast, because only the start of the file is read, but not verified. Raises
    :class:`ModelError` as :func:`load_state` does."""
    return _state(path, read_header(path, _KIND).metadata, {}).record


def _state(path: Path, metadata: dict[str, str], tensors: dict[str, npt.NDArray[Any]]) -> TrainingState:
    try:
        version, written = int(metadata["format"]), metadata["charlstm-state"]
        if version != FORMAT:
            newer, older = "written by a newer charlstm; update charlstm", "of a version before 1.0; start a new run"
            which = newer if version > FORMAT else older
            raise UnreadableFileError(f"{path} cannot be resumed (format {version}): it is {which}", "other_format")
        values = json.loads(written)
        step = operator.index(values["step"])
        if step < 0:
            raise ValueError
        return TrainingState(step, dict(values["record"]), tensors)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} is no {_KIND}: name the state file of a run") from error
