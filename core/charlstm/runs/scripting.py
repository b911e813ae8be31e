"""Runs as scripts and notebooks use them: start, find and list them, and send them what ``charlstm control`` sends.

:class:`Run` is the folder of a run (:mod:`charlstm.runs.folder`) with methods that need its worker, the process that
trains it. Arguments out of their limits raise a :class:`CharLSTMError`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from charlstm import arguments, system
from charlstm.errors import RunError, RunTimeoutError, SettingsError
from charlstm.fields import plain
from charlstm.runs import control
from charlstm.runs import folder as _folder
from charlstm.runs.log import EventTail
from charlstm.runs.models import find_model
from charlstm.runs.notes import notes_if_readable
from charlstm.runs.status import RunStatus
from charlstm.runs.table import ListedRun, runs_html, runs_text, spec_if_readable
from charlstm.training.presets import DEFAULT, differences, presets, with_given
from charlstm.training.progress_line import ProgressLine
from charlstm.training.settings import OWN_NETWORK, Settings, check_name

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus
    from charlstm.text.reading import TextOptions
    from charlstm.text.sources import Source

WAIT_INTERVAL = 0.1
"""Seconds between two looks at a run that is waited for."""


@dataclass(frozen=True, slots=True)
class Run(_folder.RunFolder):
    """A run: a folder, and perhaps a process that trains it. ``path`` is the folder.

    The folder may be deleted at any time, so every method may find nothing. Commands are carried out between two
    training steps: the methods return as soon as they are sent, and :meth:`status` and :meth:`wait` show the effect.
    They raise :class:`RunError` with a sentence that says why when the run cannot do it.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def stop(self) -> None:
        """Write a checkpoint and end the process that trains; :meth:`resume` continues from there."""
        control.send_command(self, "stop")

    def finish(self) -> None:
        """Lower the learning rate to zero in about 25 seconds, validate the best model, and end the run."""
        control.send_command(self, "finish")

    def pause(self) -> None:
        """Write a checkpoint and wait, without leaving memory, for :meth:`resume`."""
        control.send_command(self, "pause")

    def checkpoint(self) -> None:
        """Write a checkpoint."""
        control.send_command(self, "checkpoint")

    def set_lr(self, rate: float) -> None:
        """Set the learning rate of the next step, and scale the rest of the schedule to it."""
        control.send_command(self, "set-lr", arguments.of_python(rate))

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
        """Let the run train for ``minutes`` more than planned. A run that has ended gets a new process."""
        minutes = arguments.of_python(minutes)
        control.check_command("more", minutes)
        if self.status().alive:
            control.send_command(self, "more", minutes)
            return
        from charlstm.runs.launch import minutes_more  # numpy, which listing runs does not need

        resume_run(self, changes=minutes_more(self, minutes))

    def rename(self, name: str) -> Run:
        """Rename the run, which must not be training; returns it under its new name."""
        return Run(_folder.rename_run(self, name).path)

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
        tail, began = EventTail(self.events_path), time.monotonic()
        with ProgressLine(enabled=progress) as show:
            while True:
                status = self.status()
                for event in tail.read() if progress else ():
                    show(event)
                # a worker says how it ended before it releases its lock, and writes its heartbeat once more in between
                if not status.alive and not system.is_locked(self.lock_path):
                    return status
                if timeout is not None and time.monotonic() - began >= timeout:
                    raise RunTimeoutError(f"{self.name} is still {status.state} after {timeout:g} seconds")
                time.sleep(WAIT_INTERVAL)


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

    def rows(self) -> list[dict[str, Any]]:
        """What ``charlstm runs --json`` gives of each, for ``pandas.DataFrame(charlstm.list_runs().rows())``."""
        return [plain(ListedRun(run, run.status(), spec_if_readable(run), notes_if_readable(run))) for run in self]


def start_run(
    source: Source | Mapping[str, Any] | Corpus,
    settings: Settings | Mapping[str, Any] | None = None,
    preset: str | None = None,
    *,
    text_options: TextOptions | None = None,
    validation: Source | None = None,
    name: str | None = None,
    runs_dir: str | Path | None = None,
    model_from: str | Path | None = None,
) -> Run:
    """Create a run and start its process, as ``charlstm train`` does. Returns as soon as the text is read; a text for
    ``settings`` of no preset is read by the process.

    With a preset, training starts from the model in the box where that predicts the text well and the preset does so,
    unless the size or the initial weights of the network are set; what such a start changes in the settings of the
    preset is changed. Settings of no preset are taken as they are, and start from random weights unless ``model_from``
    is given.

    Args:
        source: what :func:`charlstm.open_corpus` takes (a path, several, a folder, the name of a built-in text), or an
            open corpus.
        settings: those that differ from the preset, by name, such as ``{"max_minutes": 5}``; or all of them, as
            :class:`charlstm.Settings`: where a preset is named too, what differs from it is what was asked for.
        preset: the name of a preset, or for complete settings any other, for lists and for the name of the run. None is
            ``"quick"``, or of no preset for complete settings.
        text_options, validation: as :func:`charlstm.open_corpus` takes them, for a text that is not open yet.
        name: of the run; None makes one of text and preset.
        runs_dir: the folder of runs; None is the default one.
        model_from: the model whose weights training starts from: what :func:`charlstm.load_model` takes, ``"none"`` for
            random weights, or ``"auto"`` for that of the model in the box and the runs in ``runs_dir`` that predicts
            the text best. The network has its size.

    Raises:
        RunError: the run cannot be created, or there is no run ``model_from``.
        SettingsError: the settings set no end, this machine does not have their device, there is no such preset or
            setting, or ``settings`` by name ask for another network than that of ``model_from``.
        TextError: ``source`` does not exist.
        ModelError: ``model_from`` is not a model.
    """
    from charlstm.runs import launch  # numpy, which listing runs does not need
    from charlstm.runs.start_models import BEST, NOTHING
    from charlstm.text.corpus import Corpus, open_corpus, reopen_corpus

    takes = "a path, several paths, a folder, the name of a built-in text or a Corpus"
    arguments.instance("source", source, (str, Path, list, tuple, Mapping, Corpus), takes, error=RunError)
    settings = {} if settings is None else settings
    takes = "Settings, such as charlstm.preset gives, or settings by name"
    arguments.instance("settings", settings, (Settings, Mapping), takes, error=SettingsError)
    if preset is None:
        preset = DEFAULT if isinstance(settings, Mapping) else "custom"
    with arguments.disk_errors("The folder of runs", "" if runs_dir is None else runs_dir, error=RunError):
        if preset in presets() or model_from == BEST or not isinstance(settings, Settings):
            if isinstance(source, Mapping):
                source = reopen_corpus(source)
            elif not isinstance(source, Corpus):
                source, validation = open_corpus(source, text_options, validation=validation), None
            settings, model_from = _as_the_command(source, settings, preset, model_from, runs_dir)
        elif model_from is not None:
            model_from = None if model_from == NOTHING else find_model(model_from, runs_dir)
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


def _as_the_command(
    corpus: Corpus,
    asked: Settings | Mapping[str, Any],
    preset: str,
    model_from: str | Path | None,
    runs_dir: str | Path | None,
) -> tuple[Settings, Path | None]:
    """The settings of a new run on ``corpus`` and the file of the model that it starts from, for the arguments of
    :func:`start_run`."""
    from charlstm.runs.start_models import find_start, preset_from, starts_from_model

    own = asked if isinstance(asked, Settings) else None
    folder = None if runs_dir is None else Path(runs_dir)
    word = None if model_from is None else os.fspath(model_from)
    if own is not None and preset not in presets():
        start = find_start(word, corpus, own, folder)
        return own, None if start is None else start.path
    sizes = corpus.text_chars, len(corpus.vocabulary)
    usual = preset_from(None, preset, *sizes)
    given = differences(usual, asked) if isinstance(asked, Settings) else dict(asked)
    for name in given:
        check_name(name)
    settings = own or with_given(usual, given)
    may_start = starts_from_model(word, preset, given if own is None else ())
    start = find_start(word, corpus, settings, folder) if may_start else None
    if start is None:
        return settings, None
    usual = preset_from(start, preset, *sizes)
    if own is not None:
        given = min(given, differences(usual, own), key=len)  # they may have been made for such a start
        if not starts_from_model(word, preset, given):
            return settings, None
        given = {name: value for name, value in given.items() if name not in OWN_NETWORK}
    for name in OWN_NETWORK & given.keys():
        if given[name] != getattr(start.config, name, None):
            raise SettingsError(f"{name} has no effect where training starts from {start.words}: leave it out")
    return with_given(usual, given), start.path


def resume_run(run: _folder.RunFolder | str | Path, *, changes: Mapping[str, Any] | None = None) -> Run:
    """Start a process that resumes ``run`` from its last checkpoint, with changed settings if given.

    Args:
        run: a run, or what :func:`find_run` takes.
        changes: settings by name, such as ``{"max_steps": 2000}``.

    Raises:
        RunError: there is no such run, it has a process already, or it is finished and ``changes`` do not extend it.
        SettingsError: ``changes`` have an unknown name, a wrong value, or a setting that is fixed once a run has begun.
    """
    from charlstm.runs import launch  # numpy, which listing runs does not need

    if not isinstance(run, _folder.RunFolder):
        arguments.instance("run", run, (str, os.PathLike), "a Run, its name or its folder", error=RunError)
        run = find_run(run)
    if changes is not None:
        for name in changes:
            check_name(name)
        changes = {name: arguments.of_python(value) for name, value in changes.items()}  # the worker gets them as JSON
    return Run(launch.resume_run(run, changes=changes).path)


def find_run(word: str | Path, folder: str | Path | None = None) -> Run:
    """The run that ``word`` names: its name in ``folder``, its path, or the name of a run that was started elsewhere.

    Raises :class:`RunError` that suggests similar names.
    """
    arguments.instance("word", word, (str, os.PathLike), "the name or the folder of a run", error=RunError)
    with arguments.disk_errors("The run", word, error=RunError):
        return Run(_folder.find_run(word, folder).path)


def list_runs(folder: str | Path | None = None, *, elsewhere: bool = False) -> RunList:
    """The runs in ``folder``, by name; with ``elsewhere`` also those that were started in other folders by this user
    and are still there. The default folder is the one that ``charlstm doctor`` names; one that does not exist has no
    runs. Raises :class:`RunError` for what is no name of a folder."""
    with arguments.disk_errors("The folder", "" if folder is None else folder, error=RunError):
        return RunList(Run(each.path) for each in _folder.list_runs(folder, elsewhere=elsewhere))
