"""Start a worker, for a new run or to resume one, that outlives the process that starts it.

The child process has its own session, writes its output to ``worker.log`` and is reaped by a thread. Only the run's
folder connects it with other processes. See ``worker`` for its work.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm import storage, system
from charlstm.errors import Advice, RunError
from charlstm.model.file import read_info
from charlstm.runs import folder, liveness
from charlstm.runs.control import ControlReader, pending_commands
from charlstm.runs.folder import RunFolder, RunSpec
from charlstm.runs.liveness import HeartbeatRecord
from charlstm.runs.models import DEMO, demo_path
from charlstm.runs.notes import Notes, change_notes
from charlstm.runs.status import status_of_worker
from charlstm.runs.store import CheckpointRecord, last_checkpoint
from charlstm.runs.text import keep_text
from charlstm.text.batches import trained_texts
from charlstm.text.reading import TextOptions
from charlstm.text.sources import Source, resolve
from charlstm.training.estimate import check_memory, has_card
from charlstm.training.plan import fit_batch, later_end, next_end, no_end
from charlstm.training.settings import LENGTH, Settings, changed, continued

if TYPE_CHECKING:
    from charlstm.runs.series import RunSeries
    from charlstm.text.corpus import Corpus


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to create.

    ``source`` is what ``text.corpus.open_corpus`` takes (a path, several, a folder, the name of a built-in text), an
    open corpus, or its record; standard input must be an open corpus. ``validation`` is a separate text to validate on,
    for a source that is not open yet, and ``text_options`` are for both. Training starts from the weights of the model
    file ``model_from`` if given: the network then has the size of that model, whatever ``settings`` say. Without a
    ``name``, text and preset make one.
    """

    source: Source | Mapping[str, Any] | Corpus
    settings: Settings
    preset: str = "custom"
    _: KW_ONLY
    text_options: TextOptions | None = None
    validation: Source | None = None
    name: str | None = None
    runs_dir: str | Path | None = None
    model_from: str | Path | None = None
    tags: tuple[str, ...] = ()


def start_run(new: NewRun, prepared: PreparedWorker | None = None) -> RunFolder:
    """Create a run, start its worker, or take the ``prepared`` one, and return at once: the worker opens the text.

    Raises as :func:`create_new_run` does, and :class:`RunError` when the system starts no worker.
    """
    run = create_new_run(new, here=False)
    launch(run, prepared=prepared)
    return run


def create_new_run(new: NewRun, *, here: bool = True) -> RunFolder:
    """Create a run without a worker, which this process will train, or if not ``here`` another one.

    Raises :class:`RunError` when the run cannot be created, :class:`ModelError` for a file that is no model to start
    from, :class:`TextError` for a text that is not there, and :class:`SettingsError` when this machine does not have
    the device, or the settings set no end or need more memory than it has.
    """
    check_device(new.settings.device, here=here)
    settings, lineage = new.settings, None
    if new.model_from is not None:
        path = Path(os.path.expanduser(new.model_from)).absolute()
        config, info = read_info(path)
        settings = settings.with_changes(hidden_size=config.hidden_size, num_layers=config.num_layers)
        lineage = {"from": str(path)} | {key: info[key] for key in ("run", "step", "val_loss", "corpus") if key in info}
        if path == demo_path():
            lineage["run"] = DEMO
        # for a warning when this run, or a run that starts from it, holds the text out
        lineage["learnt"] = trained_texts(info)
    if not settings.ends:
        raise no_end()
    corpus = None if isinstance(new.source, (str, Path, Sequence, Mapping)) else new.source
    check_fits(settings, corpus)
    spec = RunSpec(corpus=_record(new), settings=settings, preset=new.preset, lineage=lineage)

    def prepare(run: RunFolder) -> dict[str, Any]:
        if new.tags:
            change_notes(run, lambda _: Notes(new.tags))
        return spec.corpus if corpus is None else keep_text(run, corpus)

    return folder.create_run(spec, name=new.name, folder=new.runs_dir, prepare=prepare)


def check_device(device: str, *, here: bool = False) -> None:
    """Raises :class:`TorchError` without torch, and :class:`SettingsError` when this machine does not have ``device``.
    Only torch knows that, which takes seconds to import: with ``here``, in a command, it is, and else the worker of the
    run says it."""
    system.check_torch()
    if device not in ("auto", "cpu") and (here or "torch" in sys.modules):
        system.prepare_for_torch()
        from charlstm.engine.devices import choose_device

        choose_device(device)


def resume_run(run: RunFolder, *, changes: Mapping[str, Any] | None = None) -> RunFolder:
    """Start a worker that resumes ``run`` from its last checkpoint, with changed settings if given.

    Raises :class:`RunError` or :class:`SettingsError` when it cannot: see :func:`check_resume`.
    """
    changes = dict(changes or {})
    check_resume(run, changes)
    launch(run, changes)
    return run


def minutes_more(run: RunFolder, minutes: float) -> dict[str, Any]:
    """The changes of settings with which a resume trains ``run``, which has ended, for ``minutes`` more by the clock.
    Raises :class:`RunError` before its first step."""
    status, checkpoint = run.status(), last_checkpoint(run)
    worked = status.work_seconds if checkpoint is None else checkpoint.progress.work_seconds
    if not worked or not (status.step if checkpoint is None else checkpoint.progress.step):
        raise RunError(f"The run {run.name} has taken no step yet, so the time of a step is not known: resume it")
    wanted: dict[str, Any] = {"epochs": None, "max_steps": None, "max_minutes": round(worked / 60 + minutes, 2)}
    # a resume that failed at its start has changed run.json alone
    asked = run.spec().settings
    before = (asked,) if checkpoint is None else (asked, checkpoint.asked)
    return {name: value for name, value in wanted.items() if any(getattr(each, name) != value for each in before)}


def settings_to_continue(run: RunFolder, asked: Settings) -> Settings:
    """The settings with which a resume continues ``run`` when ``asked`` is asked for: the later limits that the command
    ``more`` gave the run stay, unless another length is asked for now.

    Raises :class:`SettingsError` for a setting that cannot change.
    """
    checkpoint = last_checkpoint(run)
    return asked if checkpoint is None else continued(checkpoint.settings, checkpoint.asked, asked)


def check_resume(run: RunFolder, changes: Mapping[str, Any]) -> None:
    """Raises :class:`RunError` or :class:`SettingsError` when ``run`` cannot be resumed with ``changes``: it has a
    worker, it is finished and they do not extend it or it has no state, or they change a setting that is fixed once a
    run has begun.

    This reads the last checkpoint without verifying it; the worker checks again.
    """
    status = status_of_worker(run.path)  # of a run that waits in the queue too
    if status.alive:
        where = f" on {status.host}" if status.elsewhere else ""
        raise RunError(
            f"The run {run.name} is {status.state}{where} already: watch it instead", Advice("watch", run.name)
        )
    after = run.spec().settings.with_changes(**changes)
    check_device(after.device if "device" in changes else "auto")
    checkpoint = last_checkpoint(run)
    if checkpoint is None and run.pruned_path.exists():
        raise RunError(
            f"The run {run.name} was pruned: it has its log and its best model, but no state to continue from; start a "
            "new run from its model"
        )
    if checkpoint is not None:  # else training has not begun, and every setting may change
        # compared with those of the checkpoint, as the worker does: a resume that failed at its start has changed
        # run.json alone
        changes = changed(checkpoint.asked, after)
    elif status.state == "finished" and not run.has_state:
        raise RunError(  # as one of the lesson: it would begin again at step 0, in place of what is there
            f"The run {run.name} is finished and cannot be continued, because its folder has no exact state: train "
            "another run like it"
        )
    longer = LENGTH & changes.keys()
    # a run that ended by its patience can continue to its planned end, for example with a lower rate
    continues = longer or (changes and checkpoint is not None and checkpoint.progress.ended == "patience")
    if status.state == "finished" and not continues:
        raise _finished(run, checkpoint)
    if checkpoint is not None and longer:
        progress = checkpoint.progress
        later_end(after, checkpoint.plan, step=progress.step, worked=progress.work_seconds)


WORKER = (sys.executable, "-P", "-m", "charlstm.runs.worker")

PreparedWorker = subprocess.Popen[bytes]
"""A process that has loaded torch, or is about to, and waits on its standard input for the arguments of a worker."""


def prepare_worker() -> PreparedWorker:
    """Start a process that becomes the worker of the run that it is given by :func:`launch`, some three seconds sooner
    than a new one. Without a run it ends with the caller, or after ten minutes. Raises :class:`OSError` when the system
    refuses."""
    away = subprocess.DEVNULL
    return subprocess.Popen([*WORKER, "-"], stdin=subprocess.PIPE, stdout=away, stderr=away, start_new_session=True)


def launch(run: RunFolder, changes: Mapping[str, Any] | None = None, *, prepared: PreparedWorker | None = None) -> int:
    """Start the worker of ``run``, unless there is a ``prepared`` one that still waits, and return its process id.
    Raises :class:`RunError` when the system refuses."""
    arguments = [str(run.path), "--control-from", str(control_size(run))]
    if changes:
        arguments += ["--changes", json.dumps(dict(changes))]
    try:
        log = storage.disk.open(run.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            figures = run.status().still_true()
            child = prepared
            if child is None or not _took(child, arguments):
                child = subprocess.Popen(
                    [*WORKER, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    close_fds=True,
                    start_new_session=True,  # the worker outlives its parent, terminal and connection
                )
        finally:
            os.close(log)
    except OSError as error:
        raise RunError(f"The worker of {run.name} cannot be started: {error.strerror}") from None
    # the state is `starting` from now on; the worker soon writes its own heartbeat over this one
    start = system.process_start(child.pid) or ""
    with contextlib.suppress(OSError):  # it waits for a disk that is full
        beat = HeartbeatRecord(state="starting", pid=child.pid, start=start, **figures)
        liveness.write_heartbeat(run.heartbeat_path, beat)
    threading.Thread(target=child.wait, name=f"reap {child.pid}", daemon=True).start()
    return child.pid


def _took(prepared: PreparedWorker, arguments: Sequence[str]) -> bool:
    """Whether the prepared worker still waited and was given these arguments."""
    if prepared.poll() is not None or prepared.stdin is None:
        return False
    try:
        prepared.stdin.write(json.dumps(arguments).encode())
        prepared.stdin.close()
    except BrokenPipeError:
        return False
    return True


def control_size(run: RunFolder) -> int:
    """The size of ``control.jsonl`` in bytes: its commands were meant for earlier workers."""
    try:
        return run.control_path.stat().st_size
    except OSError:
        return 0


def unread_commands(run: RunFolder, series: RunSeries, until: int) -> str | None:
    """A sentence on commands that a worker of ``run`` died before reading; empty without any. No later worker carries
    them out. They are in the first ``until`` bytes of the file; ``series`` are the run's events. One that is in the
    last checkpoint was carried out, though the worker was killed before it logged that.
    """
    checkpoint, sent = last_checkpoint(run), ControlReader(run.control_path).read(until)
    done = set() if checkpoint is None else checkpoint.commands
    unread = [
        each.command + ("" if each.value is None else f" {each.value:g}")
        for each in pending_commands(sent, series)
        if each.id not in done
    ]
    if not unread:
        return None
    return f"Not carried out, because the process that trained died before it read them: {', '.join(unread)}"


def _finished(run: RunFolder, checkpoint: CheckpointRecord | None) -> RunError:
    """Names the setting that ended the run, because raising another one changes nothing."""
    if checkpoint is None:
        name, than = "epochs", ""
    else:
        settings, progress = checkpoint.settings, checkpoint.progress
        name, _ = next_end(settings, checkpoint.plan, step=progress.step, worked=progress.work_seconds)
        than = f" than {name}={getattr(settings, name):.12g} in all"
    advice = Advice("resume", run.name, setting=name)
    return RunError(f"The run {run.name} is finished: resume it with more{than or f' {name}'}", advice)


def check_fits(settings: Settings, corpus: Corpus | None) -> None:
    """Raises :class:`SettingsError` for a run that needs more memory than this machine has, before its folder is
    created. Nothing is known of a text that is not open yet; the worker checks again."""
    symbols, chars = 1, 0
    if corpus is not None:
        parts = corpus.split(settings.val_fraction, settings.split, settings.test_fraction)
        rows, length = fit_batch(settings, parts.train_chars)
        symbols, chars = len(corpus.vocabulary), rows * length
    check_memory(settings, symbols, chars, on_card=has_card(settings.device), loaded=False)


def _record(new: NewRun) -> dict[str, Any]:
    """What ``run.json`` has about the text; a text that is not open yet has no fingerprint."""
    source = new.source
    if isinstance(source, Mapping) or not isinstance(source, (str, Path, Sequence)):
        if new.validation is not None:
            raise RunError("This text is open already: open it again together with the text to validate on")
        return dict(source) if isinstance(source, Mapping) else source.to_record()
    options = new.text_options or TextOptions()
    texts = [resolve(each, options) for each in (source, new.validation) if each is not None]
    if any(text.is_stdin for text in texts):
        raise RunError("Standard input must be read before a worker is started: a detached worker has none")
    names = [{"name": text.name, "sources": list(text.sources)} for text in texts]
    record = names[0] | {"options": options.to_dict()}
    return record if new.validation is None else record | {"validation": names[1]}
