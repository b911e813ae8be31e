"""Write what the trainer saves into a run's folder: plan, best model, snapshots, exact state.

Writes happen in the order in which they are queued. Before a model or a state is replaced, the event log is synced.
From the moment a state is renamed, a resume starts from it. When to save what is decided in ``engine.trainer``: the
best model after a better validation, the exact state at each checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm import storage
from charlstm.errors import ModelError, RunError, UnreadableFileError
from charlstm.model.file import model_writer
from charlstm.runs.folder import Run, RunSpec
from charlstm.training import state as state_file
from charlstm.training.plan import Plan
from charlstm.training.progress import Progress
from charlstm.training.state import TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from charlstm.model.file import Model


class RunStore:
    """A :class:`~charlstm.training.hooks.CheckpointStore` over a run's folder; ``spec`` is what its ``run.json`` says,
    and ``sync_events`` makes the log durable.

    Every method raises :class:`OSError` when the disk does not take the file; what was saved before is untouched then.
    """

    def __init__(self, run: Run, spec: RunSpec, sync_events: Callable[[], None]) -> None:
        self._run = run
        self._spec = spec
        self._sync_events = sync_events

    def save_plan(self, plan: Plan) -> None:
        """Write the measured plan into ``run.json``; the run keeps it."""
        self._run.write_spec(replace(self._spec, plan=plan.to_dict()))

    def save_model(self, model: Model) -> None:
        """Replace the best model."""
        self._sync_events()
        _replace(self._run.model_path, model)

    def save_snapshot(self, model: Model, step: int) -> None:
        """Write the model as it is after ``step`` steps."""
        with contextlib.suppress(FileExistsError):
            storage.make_folder(self._run.snapshots_dir)
        _replace(self._run.snapshots_dir / f"{step}.safetensors", model)

    def save_state(self, state: TrainingState) -> None:
        """Replace the state; the previous one stays beside it."""
        self._sync_events()
        state_file.save_state(self._run.state_path, state, keep=self._run.previous_state_path)


def _replace(path: Path, model: Model) -> None:
    storage.replace_file(path, model_writer(model, str(path)))


def load_state(run: Run) -> tuple[TrainingState | None, str | None]:
    """The state from which to resume, and a warning when it is not the last one. ``(None, None)`` when none was saved.

    Raises :class:`RunError` when no saved state can be read, or when one may be intact but cannot be read now.
    """
    first_error: ModelError | None = None
    for path in (run.state_path, run.previous_state_path):
        if not os.path.lexists(path):  # a link to nothing is a state that cannot be read
            continue
        try:
            state = state_file.load_state(path)
        except UnreadableFileError as error:
            # A state that is intact but cannot be read now is not skipped: after a resume from the older one, the
            # next checkpoints would replace it.
            remedy = "; move the file away to resume from the checkpoint before it" if error.reason == "disk" else ""
            raise RunError(f"{error}{remedy}") from error
        except ModelError as error:
            first_error = first_error or error
        else:
            return state, _damage_warning(state, first_error)
    if first_error is not None:
        raise RunError(f"No checkpoint of the run {run.name} can be read: {first_error}")
    return None, None


def last_checkpoint(run: Run) -> tuple[Plan, Progress] | None:
    """The plan and the progress of the last checkpoint, read quickly and without verifying the file. ``None`` when
    there is none or it cannot be read; :func:`load_state` then says why."""
    for path in (run.state_path, run.previous_state_path):
        with contextlib.suppress(ModelError, KeyError):
            record = state_file.load_record(path)
            return Plan.from_dict(record["plan"]), Progress.from_dict(record["progress"])
    return None


def _damage_warning(state: TrainingState, error: ModelError | None) -> str | None:
    if error is None:
        return None
    return f"The last checkpoint is damaged; training continues from the one before it, at step {state.step:,}"
