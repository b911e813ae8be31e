"""Write what the trainer saves into a run's folder: plan, best model, snapshots, exact state.

Writes happen in the order in which they are queued. Before a model or a state is replaced, the event log is synced.
From the moment a state is renamed, a resume starts from it. When to save what is decided in ``engine.trainer``: the
best model after a better validation, the exact state at each checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charlstm import arguments, storage
from charlstm.errors import ModelError, RunError, SettingsError, UnreadableFileError
from charlstm.fields import plain, read
from charlstm.model.file import load_model, model_writer
from charlstm.runs.folder import RunFolder, RunSpec
from charlstm.training import state as state_file
from charlstm.training.plan import Plan, read_plan
from charlstm.training.progress import Progress
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from charlstm.model.file import Model

LARGEST_HALF = float(np.finfo(np.float16).max)


class _Store:
    """Saves models and states under the names that they have in a run's folder. ``sync_events`` is called before a
    model or a state is replaced.

    Every method raises :class:`OSError` when the disk does not take the file; what was saved before is untouched then.
    """

    def __init__(self, run: RunFolder, sync_events: Callable[[], None] = lambda: None) -> None:
        self._run = run
        self._sync_events = sync_events

    def save_model(self, model: Model) -> None:
        """Replace the best model."""
        self._sync_events()
        self._replace(self._run.model_path, model)

    def save_snapshot(self, model: Model, step: int) -> None:
        """Write the model as it is after ``step`` steps, in float16 unless a weight is too large for that."""
        with contextlib.suppress(FileExistsError):
            storage.make_folder(self._run.snapshots_dir)
        half = max(float(np.abs(weights).max()) for weights in model.weights.values()) <= LARGEST_HALF
        self._replace(self._run.snapshots_dir / f"{step}.safetensors", model, half=half)

    def save_state(self, state: TrainingState) -> None:
        """Replace the state; the previous one stays beside it."""
        self._sync_events()
        state_file.save_state(self._run.state_path, state, keep=self._run.previous_state_path)

    def _replace(self, path: Path, model: Model, *, half: bool = False) -> None:
        storage.replace_file(path, model_writer(model, str(path), half=half))


class FolderStore(_Store):
    """Keeps what a :class:`charlstm.Trainer` saves in a folder, which is created if it does not exist.

    The folder gets the best model so far (``model.safetensors``), the exact state (``state.safetensors``, and the one
    before it) and the snapshots (``snapshots/STEP.safetensors``). How often a state is saved is decided by the settings
    ``checkpoint_steps`` and ``checkpoint_minutes``, and there is one at the end.

    ``Trainer(corpus, settings, store=FolderStore("novel"))`` trains. With ``state = store.state()``,
    ``Trainer.resume(corpus, state.settings, state, store=store)`` continues exactly, also in another process. A folder
    in which a trainer has trained refuses a new trainer, which would replace the trained model.

    Raises :class:`RunError` when the folder cannot be used, or is the folder of a run, in which only its own process
    writes. The methods ``save_…`` are for the trainer and raise :class:`OSError`.
    """

    def __init__(self, path: str | Path) -> None:
        with arguments.disk_errors("The folder", path, error=RunError):
            folder = Path(os.path.expanduser(path)).absolute()
            folder.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        super().__init__(RunFolder(folder))
        if self._run.is_run():
            raise RunError(f"{folder} is the folder of a run: choose another one, or continue the run with resume_run")

    def __repr__(self) -> str:
        return f"FolderStore({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The folder."""
        return self._run.path

    def state(self) -> TrainingState | None:
        """The last state, or the state before if the last is damaged. None when none was saved.

        Raises :class:`RunError` when no state can be read.
        """
        with arguments.disk_errors("The folder", self.path, error=RunError):
            return load_state(self._run)[0]

    def model(self) -> Model:
        """The best model that was saved. Raises :class:`ModelError` without one."""
        with arguments.disk_errors("The folder", self.path, error=ModelError):
            return load_model(self._run.model_path)

    def save_plan(self, plan: Plan) -> None:
        """Refuse a new training where an earlier one has saved something, which the new one would soon replace by an
        untrained network. What it planned is part of every state, and is not kept here. Raises :class:`RunError`."""
        run = self._run
        if any(map(os.path.lexists, (run.state_path, run.previous_state_path, run.model_path))):
            raise RunError(
                f"{self.path} has a training already: continue it with Trainer.resume and the state that store.state() "
                "returns, or choose another folder"
            )


class RunStore(_Store):
    """A :class:`~charlstm.training.hooks.CheckpointStore` over a run's folder; ``spec`` is what its ``run.json`` says,
    and ``sync_events`` makes the log durable."""

    def __init__(self, run: RunFolder, spec: RunSpec, sync_events: Callable[[], None]) -> None:
        super().__init__(run, sync_events)
        self.spec = spec

    def save_plan(self, plan: Plan) -> None:
        """Write the measured plan into ``run.json``; the run keeps it."""
        self._run.write_spec(replace(self.spec, plan=plain(plan)))


def load_state(run: RunFolder) -> tuple[TrainingState | None, str | None]:
    """The state from which to resume, and a warning when it is not the last one. ``(None, None)`` when none was saved.

    Raises :class:`RunError` when no saved state can be read, or when one may be intact but cannot be read now.
    """
    first_error: ModelError | None = None
    for path in (run.state_path, run.previous_state_path):
        if not os.path.lexists(path):  # a link to nothing is a state that cannot be read
            continue
        try:
            state = _with_weights_of_model(run, state_file.load_state(path))
        except UnreadableFileError as error:
            # A state that is intact but cannot be read now is not skipped: after a resume from the older one, the
            # next checkpoints would replace it.
            remedy = "; move the file away to resume from the checkpoint before it" if error.reason == "disk" else ""
            raise RunError(f"{error}{remedy}") from error
        except ModelError as error:
            first_error = first_error or error
        else:
            warning = (
                f"The last checkpoint is damaged; training continues from the one before it, at step {state.step:,}"
            )
            return state, None if first_error is None else warning
    if first_error is not None:
        raise RunError(f"No checkpoint of the run {run.name} can be read: {first_error}")
    return None, None


def remove_copies(run: RunFolder) -> None:
    """Keep once what the folder of ``run``, which has finished, has twice: leave out of its state the weights that its
    best model has, and remove the snapshot of the step of that model and the state before the last.

    Raises :class:`OSError` or :class:`ModelError`; ``run`` can be continued then, too.
    """
    state = _with_weights_of_model(run, state_file.load_state(run.state_path))
    model = load_model(run.model_path)
    weights = {name: model.weights.get(_weight(name)) for name in state.tensors}
    copies = [
        name for name, found in weights.items() if found is not None and np.array_equal(found, state.tensors[name])
    ]
    tensors = {name: array for name, array in state.tensors.items() if name not in copies}
    of_model = {"digest": model.digest(), "tensors": copies}
    state_file.save_state(run.state_path, replace(state, record={**state.record, "model": of_model}, tensors=tensors))
    storage.disk.unlink(run.snapshots_dir / f"{model.info.get('step')}.safetensors")
    storage.disk.unlink(run.previous_state_path)


def _with_weights_of_model(run: RunFolder, state: TrainingState) -> TrainingState:
    """``state`` with the weights that :func:`remove_copies` left out. Raises :class:`ModelError` when the model of
    ``run`` is another one by now."""
    if (of_model := state.record.get("model")) is None:
        return state
    model = load_model(run.model_path)
    try:
        if model.digest() != of_model["digest"]:
            raise ModelError(f"its {run.model_path.name} is not that of its state: put that file back")
        weights = {name: model.weights[_weight(name)] for name in of_model["tensors"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"The state of {run.name} is damaged: resume from the one before it") from error
    return replace(state, tensors={**state.tensors, **weights})


def _weight(name: str) -> str:
    """The name of the weight that the tensor ``name`` of a state has."""
    return name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """The record of the run in a checkpoint. ``asked`` are the settings of ``run.json`` at that time, and ``settings``
    the settings of the training, whose limits the command ``more`` may have raised. ``commands`` are the ids of the
    commands that have changed the schedule."""

    plan: Plan
    progress: Progress
    asked: Settings
    settings: Settings
    commands: frozenset[str]


def last_checkpoint(run: RunFolder) -> CheckpointRecord | None:
    """The record of the last checkpoint, read quickly and without verifying the file. ``None`` when there is none or it
    cannot be read; :func:`load_state` then says why."""
    for path in (run.state_path, run.previous_state_path):
        with contextlib.suppress(ModelError, SettingsError, KeyError, TypeError, ValueError, AttributeError):
            record = state_file.load_record(path)
            return CheckpointRecord(
                read_plan(record["plan"]),
                read(Progress, record["progress"]),
                Settings.from_dict(record["asked"]),
                Settings.from_dict(record["settings"]),
                frozenset(each["id"] for each in record["schedule"]["amendments"]),
            )
    return None
