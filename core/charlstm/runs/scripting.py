"""Runs as scripts and notebooks use them: start, find and list them, and send them what ``charlstm control`` sends.

:class:`Run` is the folder of a run (:mod:`charlstm.runs.folder`) with methods that need its worker, the process that
trains it. Each function checks its arguments, so that a wrong one is a :class:`CharLSTMError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from charlstm import arguments
from charlstm.errors import RunError, SettingsError
from charlstm.runs import control
from charlstm.runs import folder as _folder
from charlstm.runs.log import EventTail
from charlstm.runs.status import RunStatus
from charlstm.runs.table import runs_html, runs_text
from charlstm.training.progress_line import ProgressLine
from charlstm.training.settings import Settings, check_name

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus
    from charlstm.text.reading import TextOptions
    from charlstm.text.sources import Source

_FOLDER = "the path of a folder"


@dataclass(frozen=True, slots=True)
class Run(_folder.Run):
    """A run: a folder, and perhaps a process that trains it. ``path`` is the folder.

    The folder may be deleted at any time, so every method may find nothing. Commands are carried out between two
    training steps: the methods return as soon as they are sent, and :meth:`status` and :meth:`wait` show the effect.
    They raise :class:`RunError` with a sentence that says why when the run cannot do it.
    """

    def __post_init__(self) -> None:
        arguments.path("path", self.path, takes="the folder of a run", error=RunError)
        object.__setattr__(self, "path", Path(self.path))

    def stop(self) -> None:
        """Write a checkpoint and end the process that trains; :meth:`resume` continues from there."""
        control.send_command(self, "stop")

    def finish(self) -> None:
        """Lower the learning rate to zero in about 30 seconds, validate the best model, and end the run."""
        control.send_command(self, "finish")

    def pause(self) -> None:
        """Write a checkpoint and wait, without leaving memory, for :meth:`resume`."""
        control.send_command(self, "pause")

    def checkpoint(self) -> None:
        """Write a checkpoint."""
        control.send_command(self, "checkpoint")

    def set_lr(self, rate: float) -> None:
        """Set the learning rate of the next step, and scale the rest of the schedule to it."""
        control.send_command(self, "set-lr", arguments.number("rate", rate, error=RunError))

    def resume(self, **changes: Any) -> None:
        """Continue: a paused run trains on, and one that has ended gets a new process, from its last checkpoint.

        ``changes`` are settings, such as ``max_steps=2000``, for a run that has ended. Nothing changes for a run that
        is neither paused nor ended. Raises :class:`RunError` or :class:`SettingsError` when it cannot: a finished run
        needs a later end, and settings of a run that trains cannot change.
        """
        status = self.status()
        if not status.alive:
            resume_run(self, changes=changes)
        elif changes:
            raise RunError(
                f"The run {self.name} is {status.state}, so its settings cannot change: stop it first, or use set_lr "
                "or more"
            )
        else:
            control.send_command(self, "resume")

    def more(self, minutes: float) -> None:
        """Let the run train for ``minutes`` more than planned. One that has ended gets a new process for it."""
        minutes = arguments.number("minutes", minutes, error=RunError)
        control.check_command("more", minutes)
        if self.status().alive:
            control.send_command(self, "more", minutes)
            return
        from charlstm.runs.launch import changes_for_more  # numpy, which listing runs does not need

        resume_run(self, changes=changes_for_more(self, minutes))

    def rename(self, name: str) -> Run:
        """Rename the run, which must not be training; returns it under its new name."""
        return Run(_folder.rename_run(self, arguments.text("name", name, error=RunError)).path)

    def delete(self) -> list[str]:
        """Delete the files of the run, which must not be training, and its folder, unless that has files of yours.
        Returns the names of those."""
        return _folder.delete_run(self)

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> RunStatus:
        """Wait until no process trains this run any more, and return its status. With ``progress`` a line shows how far
        it is.

        Raises :class:`RunError`, which is a :class:`TimeoutError` too, when that takes longer than ``timeout`` seconds;
        the training continues then, and also after an interrupt.
        """
        timeout = None if timeout is None else arguments.number("timeout", timeout, 0, error=RunError)
        arguments.flag("progress", progress, error=RunError)
        tail = EventTail(self.events_path)
        with ProgressLine(enabled=progress) as show:
            for status in self.statuses(timeout):
                for event in tail.read() if progress else ():
                    show(event)
                last = status
        return last


class RunList(list[Run]):
    """A list of runs that a notebook shows as a table, as ``charlstm runs`` does; so does ``print``."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> RunList: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Run | RunList:
        return RunList(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def __repr__(self) -> str:
        return runs_text(self)

    def _repr_html_(self) -> str:
        return runs_html(self)


def start_run(
    source: Source | Mapping[str, Any] | Corpus,
    settings: Settings,
    preset: str = "custom",
    *,
    text_options: TextOptions | None = None,
    validation: Source | None = None,
    name: str | None = None,
    runs_dir: str | Path | None = None,
    model_from: str | Path | None = None,
) -> Run:
    """Create a run and start its process, which opens the text itself, so that this returns at once.

    Args:
        source: what :func:`charlstm.open_corpus` takes (a path, several, a folder, the name of a built-in text), or an
            open corpus, which standard input must be.
        settings: such as :func:`charlstm.preset` gives.
        preset: the name of the preset that they come from, for lists and for the name of the run.
        text_options, validation: as :func:`charlstm.open_corpus` takes them, for a text that is not open yet.
        name: of the run; None makes one of text and preset.
        runs_dir: the folder of runs; None is the default one.
        model_from: the file of a model whose weights training starts from.

    Raises:
        RunError: the run cannot be created.
        SettingsError: the settings set no end, or this machine does not have their device.
        TextError: there is no such text.
        ModelError: ``model_from`` is not a model.
    """
    from charlstm.runs import launch  # numpy, which listing runs does not need
    from charlstm.text.corpus import Corpus
    from charlstm.text.reading import TextOptions

    takes = "a path, several paths, a folder, the name of a built-in text or a Corpus"
    arguments.instance("source", source, (str, Path, list, tuple, Mapping, Corpus), takes, error=RunError)
    arguments.instance("settings", settings, Settings, "Settings, such as charlstm.preset gives", error=SettingsError)
    arguments.text("preset", preset, error=RunError)
    arguments.instance("text_options", text_options, (TextOptions, type(None)), "TextOptions", error=RunError)
    if name is not None:
        arguments.text("name", name, error=RunError)
    for what, path in (("runs_dir", runs_dir), ("model_from", model_from)):
        if path is not None:
            arguments.path(what, path, error=RunError)
    with arguments.disk_errors("The folder of runs", "" if runs_dir is None else runs_dir, error=RunError):
        new = launch.NewRun(
            source,
            settings,
            preset,
            text_options=text_options,
            validation=validation,
            name=name,
            runs_dir=runs_dir,
            model_from=model_from,
        )
        run = launch.start_run(new)
    return Run(run.path)


def resume_run(run: _folder.Run, *, changes: Mapping[str, Any] | None = None) -> Run:
    """Start a process that resumes ``run`` from its last checkpoint, with changed settings if given.

    Raises:
        RunError: it has a process already, or it is finished and ``changes`` do not extend it.
        SettingsError: ``changes`` have an unknown name, a wrong value, or a setting that is fixed once a run has begun.
    """
    from charlstm.runs import launch  # numpy, which listing runs does not need

    arguments.instance("run", run, _folder.Run, "a Run, such as charlstm.find_run gives", error=RunError)
    if changes is not None:
        arguments.instance("changes", changes, Mapping, "settings by name", error=SettingsError)
        for name in changes:
            check_name(name)
    return Run(launch.resume_run(run, changes=changes).path)


def find_run(word: str | Path, folder: str | Path | None = None) -> Run:
    """The run that ``word`` names: its name in ``folder``, its path, or the name of a run that was started elsewhere.

    Raises :class:`RunError` that suggests similar names.
    """
    arguments.path("word", word, takes="the name or the folder of a run", error=RunError)
    with arguments.disk_errors("The run", word, error=RunError):
        return Run(_folder.find_run(word, _checked(folder)).path)


def list_runs(folder: str | Path | None = None, *, elsewhere: bool = False) -> RunList:
    """The runs in ``folder``, by name; with ``elsewhere`` also those that were started in other folders by this user
    and are still there. The default folder is the one that ``charlstm paths`` names."""
    arguments.flag("elsewhere", elsewhere, error=RunError)
    with arguments.disk_errors("The folder", "" if folder is None else folder, error=RunError):
        return RunList(Run(each.path) for each in _folder.list_runs(_checked(folder), elsewhere=elsewhere))


def _checked(path: str | Path | None) -> Any:
    return None if path is None else arguments.path("folder", path, takes=_FOLDER, error=RunError)
