"""A run as a folder: its files, and how runs are created, found, renamed and deleted.

The worker writes log, models and states; commands, notes and sessions come from other programs. This module creates,
renames and deletes whole folders and replaces ``run.json``. That file is first written when the run is created, with
what was requested. Then only the worker replaces it, atomically: at the first start with what was measured (corpus
record, plan), which the run keeps, and at a resume with changed settings.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import functools
import json
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from charlstm import storage
from charlstm.display import short_repr, visible
from charlstm.errors import Advice, ModelError, OtherFormatError, RunError, SettingsError, UnreadableFileError
from charlstm.fields import plain, read
from charlstm.paths import data_dir
from charlstm.runs import index, liveness, queue_file
from charlstm.runs.log import read_events
from charlstm.runs.names import check_name, composed, natural_key, next_name
from charlstm.runs.status import RunStatus, read_status
from charlstm.training.events import AnyEvent
from charlstm.training.settings import Settings, setting_names

if TYPE_CHECKING:
    import numpy.typing as npt

    from charlstm.model.file import Model

FORMAT = 1

OWN_KEYS = frozenset({"format", "created", "corpus", "settings"})
"""The keys of every ``run.json`` of this program; other programs have files of that name, too."""

_LINES = re.compile(r"lines-[0-9a-f]{16}\.bin")
"""The file beside ``text.bin`` with the lines of its files, where they were joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """The content of ``run.json``.

    ``corpus``: ``{"name", "sources", "options"}`` of the text, and once that has been read what
    :func:`charlstm.runs.text.keep_text` returns. ``settings``: the current ones; how they were changed
    is in the log. ``lineage``: the model whose weights training started from. ``plan``: a
    :class:`~charlstm.training.plan.Plan`, once measured.
    """

    created: float = field(default_factory=time.time)
    preset: str = "custom"
    corpus: dict[str, Any]
    settings: Settings
    lineage: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    plan: dict[str, Any] | None = None

    __repr__ = short_repr

    @property
    def started_from(self) -> str:
        """The run or the file whose model training started from, to show; empty if it started from nothing."""
        if not self.lineage:
            return ""
        run, path = self.lineage.get("run"), self.lineage.get("from")
        if isinstance(run, str) and run:
            return run
        return Path(path).name if isinstance(path, str) and path else "a model"

    @property
    def corpus_name(self) -> str:
        name = self.corpus.get("name")
        return name if isinstance(name, str) and name else _text_name(self.corpus.get("sources", ()))

    @property
    def reading(self) -> str:
        """How the text was read, to show: ``as it is``, ``as units (lines)``, ``without its licence``."""
        options, report = (_mapping(self.corpus.get(name)) for name in ("options", "report"))
        left_out = options.get("strip_boilerplate") and report.get("boilerplate")
        words = ["as paragraphs"] * bool(report.get("paragraphs")) + ["without its licence"] * bool(left_out)
        if units := options.get("units"):
            words.append(f"as units ({visible(str(units), keep='')})")
        return " and ".join(words) or "as it is"

    @property
    def validation_name(self) -> str | None:
        """The name of the separate text to validate on, for people; None when there is none."""
        name = self._validation.get("name")
        return name if isinstance(name, str) else None

    @property
    def validation_sources(self) -> tuple[str, ...]:
        """The sources of the separate text to validate on; empty when there is none."""
        sources = self._validation.get("sources")
        return tuple(each for each in sources if isinstance(each, str)) if isinstance(sources, list) else ()

    @property
    def batch(self) -> tuple[int, int]:
        """Rows and characters of a row that a training step reads: those that were planned, which are fewer than in the
        settings where the text is small; before that those of the settings."""
        rows, length = ((self.plan or {}).get(name) for name in ("batch_size", "seq_length"))
        if type(rows) is int and type(length) is int:
            return rows, length
        return self.settings.batch_size, self.settings.seq_length

    @property
    def _validation(self) -> dict[str, Any]:
        return _mapping(self.corpus.get("validation"))


def text_names(specs: Sequence[RunSpec]) -> list[str]:
    """The names of the texts of runs, to show. Where some have read the same files in different ways, so that their
    losses cannot be compared, it is added how: ``anna.txt (as paragraphs)``."""
    sources, readings = [str(spec.corpus.get("sources")) for spec in specs], [spec.reading for spec in specs]
    found = Counter(source for source, _ in set(zip(sources, readings, strict=True)))
    return [
        f"{spec.corpus_name} ({reading})" if found[source] > 1 else spec.corpus_name
        for spec, source, reading in zip(specs, sources, readings, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The model as it was after ``step`` steps, at ``path``."""

    step: int
    path: Path


class _Inside:
    """The path of a file or folder in the folder of a :class:`RunFolder`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, run: RunFolder, _: type) -> Path:
        return run.path / self.name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run. It may be deleted at any time, so every method may find nothing."""

    JSON_FIELDS: ClassVar = ("name", "path")

    path: Path

    spec_path = _Inside("run.json")
    events_path = _Inside("events.jsonl")
    control_path = _Inside("control.jsonl")
    heartbeat_path = _Inside("heartbeat")
    lock_path = _Inside("lock")
    log_path = _Inside("worker.log")
    notes_path = _Inside("notes.json")
    """Tags and a note of the user; created when there are any."""
    model_path = _Inside("model.safetensors")
    """The best model so far; the file may not exist yet."""
    state_path = _Inside("state.safetensors")
    previous_state_path = _Inside("state.prev.safetensors")
    pruned_path = _Inside("pruned")
    """An empty file in a run without states, which :func:`prune_run` has deleted: it cannot be continued."""
    text_path = _Inside("text.bin")
    """The text: see ``runs.text``."""
    snapshots_dir = _Inside("snapshots")
    sessions_dir = _Inside("sessions")
    """Generation sessions that were saved; created with the first one."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def has_state(self) -> bool:
        """Whether there is an exact state to continue from."""
        return self.state_path.exists() or self.previous_state_path.exists()

    def sessions(self) -> list[Path]:
        """The files of its saved sessions: text that was played or written with its models."""
        return [path for path in _entries(self.sessions_dir) if path.suffix == ".json" and _is_file(path)]

    def exists(self) -> bool:
        """Whether the folder exists and is a run: by the keys of its ``run.json``, or, when that is damaged, by its
        worker's heartbeat. False for a folder that cannot be read."""
        try:
            return self.is_run()
        except RunError:  # one folder on a disk or server that is gone must not hide the others of a list
            return False

    def is_run(self) -> bool:
        """As :meth:`exists`, but raises :class:`RunError` when ``run.json`` is there and cannot be read now: for what
        would change the folder."""
        try:
            own = _has_own_keys(self.spec_path, storage.FileStamp.of(os.stat(self.spec_path)))
        except (FileNotFoundError, NotADirectoryError, storage.NotAFileError):
            return False
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise self._unreadable(error) from None
        return own or liveness.read_heartbeat(self.heartbeat_path) is not None

    def _unreadable(self, error: OSError) -> RunError:
        return RunError(f"The run {self.name} cannot be read now: {error.strerror} ({error.filename})")

    def remove_leftovers(self) -> None:
        """Remove the temporary files that a killed worker left. Only for the worker of the run. Temporary files of
        others stay: notes, sessions and whatever a user saves here are written by other programs, perhaps now."""

        def is_own(path: Path) -> bool:
            return storage.replaced_by(path.name) not in ("", self.notes_path.name) and path.parent != self.sessions_dir

        _remove(self, is_own)

    def parts(self) -> Iterator[Path]:
        """The files of the run, and links in their places. What else is in its folder belongs to the user."""
        folders = (self.snapshots_dir, self.sessions_dir)
        names = {*_FILES, storage.lock_path(self.notes_path).name} - {folder.name for folder in folders}
        yield from filter(Path.is_symlink, folders)
        yield from _own_files(self.snapshots_dir, _is_snapshot)
        yield from _own_files(self.path, lambda name: name in names or bool(_LINES.fullmatch(name)))
        yield from _own_files(self.sessions_dir, lambda name: bool(re.fullmatch(r".*\.json|\..*\.json\.lock", name)))

    def prunable(self) -> list[Path]:
        """The files without which its log and its best model can still be used: states and snapshots. Raises
        :class:`RunError` when its folder cannot be read."""
        try:
            return [path for path in self.parts() if self._is_state(path) or self._is_of_snapshots(path)]
        except OSError as error:
            raise self._unreadable(error) from None

    def _is_state(self, path: Path) -> bool:
        states = (self.state_path.name, self.previous_state_path.name)
        return path.parent == self.path and (storage.replaced_by(path.name) or path.name) in states

    def _is_of_snapshots(self, path: Path) -> bool:
        return self.snapshots_dir in (path, path.parent)

    def spec(self) -> RunSpec:
        """The content of ``run.json``. Raises :class:`RunError` when it is missing, damaged or of another format."""
        try:
            values = storage.read_json(self.spec_path)
            other = [f"format {number}"] if (number := int(values["format"])) != FORMAT else []
            other = other or [f"setting {name}" for name in dict(values["settings"]) if name not in setting_names()]
            if other:
                raise OtherFormatError(
                    f"The run {self.name} was written by a newer charlstm or one before 1.0 ({other[0]}): update "
                    "charlstm to read it, or train it again"
                )
            settings = Settings.from_dict(values["settings"])
            return read(RunSpec, {**values, "created": values["created"], "settings": settings})
        except FileNotFoundError:
            raise RunError(f"There is no run in {self.path}: it has no run.json") from None
        except OSError as error:
            raise self._unreadable(error) from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SettingsError):
            what = "it has a damaged run.json; delete the run or restore the file"
            raise RunError(f"The run {self.name} cannot be read: {what}") from None

    def write_spec(self, spec: RunSpec) -> None:
        """Replace ``run.json``. Only for the process that creates the run, and then for its worker."""
        text = json.dumps({"format": FORMAT, **plain(spec)}, ensure_ascii=False, indent=1)
        storage.replace_bytes(self.spec_path, text.encode("utf-8", errors="surrogatepass"))

    def status(self) -> RunStatus:
        """The current status. Reads a few hundred bytes, and the log only when there is no heartbeat."""
        return read_status(self.path)

    def snapshots(self) -> list[Snapshot]:
        """The snapshots of the model, earliest first."""
        found: list[Snapshot] = []
        with contextlib.suppress(OSError):
            paths = [path for path in self.snapshots_dir.iterdir() if _is_snapshot(path.name)]
            found = sorted((Snapshot(int(path.stem), path) for path in paths), key=lambda each: each.step)
        return found

    def events(self) -> list[AnyEvent]:
        """Every event of the run's log, in the order in which they were written; an empty list before the first.

        After a resume the log holds both what happened after the checkpoint and what replaced it; :meth:`history`
        leaves out the former. Raises :class:`RunError` when the log cannot be read or is of a newer format.
        """
        return list(read_events(self.events_path))

    def history(self) -> dict[str, npt.NDArray[Any]]:
        """The figures of the run's log as arrays by name; what a resume replaced is left out.

        Arrays ``(N,)``, an element for each logged training step:

        - ``step`` int64: training steps done;
        - ``train_loss`` float64: mean since the element before, nats per character;
        - ``lr``: learning rate of the step;
        - ``grad_norm``: largest norm of the gradients since the element before, before clipping;
        - ``chars_per_second``: training speed;
        - ``train_seconds``: time spent in training steps since the run began.

        Arrays ``(M,)``, an element for each validation during training, which reads slices of the held-out part:

        - ``val_step`` int64 and ``val_train_seconds``: as above;
        - ``val_loss``: nats per character.

        A figure that was not finite is not-a-number. Raises :class:`RunError` as :meth:`events` does.
        """
        from charlstm.runs.series import RunSeries  # numpy, which listing runs does not need

        series = RunSeries.of(self.events())
        train, validation = series.points("train"), series.points("validation")
        return {
            "step": train.x.astype("int64"),
            "train_loss": train.y,
            "lr": series.points("lr").y,
            "grad_norm": series.points("grad_norm").y,
            "chars_per_second": series.points("speed").y,
            "train_seconds": series.points("train", "seconds").x,
            "val_step": validation.x.astype("int64"),
            "val_loss": validation.y,
            "val_train_seconds": series.points("validation", "seconds").x,
        }

    def history_table(self) -> dict[str, npt.NDArray[Any]]:
        """:meth:`history` as columns of one length, for ``pandas.DataFrame(run.history_table())``: a row for each step
        that was logged or validated, not-a-number where it has no such figure. Raises :class:`RunError` as it does."""
        import numpy as np  # listing runs does not need it

        history = self.history()
        table = {"step": np.union1d(history["step"], history["val_step"])}
        for name, figures in history.items():
            if name.endswith("step"):
                continue
            column = table.setdefault(name.replace("val_train", "train"), np.full(len(table["step"]), np.nan))
            steps = history["val_step" if name.startswith("val_") else "step"]
            column[np.searchsorted(table["step"], steps)] = figures
        return table

    def model(self, step: int | None = None) -> Model:
        """Load the best model so far, or the snapshot after ``step`` training steps.

        Raises :class:`ModelError` for a damaged file or a step without a snapshot (:meth:`snapshots` lists them), and
        :class:`RunError` when the run has no model yet.
        """
        from charlstm.model.file import load_model  # numpy, which listing runs does not need

        return load_model(self.model_file(step))

    def model_file(self, step: int | None = None) -> Path:
        """The file of the best model so far, or of the model after ``step`` training steps: a snapshot, or the best
        model if it is of this step. Raises as :meth:`model` does."""
        if step is not None:
            steps = {each.step: each.path for each in self.snapshots()}
            if step in steps:
                return steps[step]
            from charlstm.model.file import read_info  # numpy: this module is imported when the app starts

            best = read_info(self.model_path)[1].get("step") if self.model_path.is_file() else None
            if best == step:
                return self.model_path
            known = ", ".join(map(str, steps)) or "none yet"
            also = "" if best is None else f", and its best model is of step {best}"
            raise ModelError(f"{self.name} has no snapshot of step {step}; it has {known}{also}")
        if not self.model_path.is_file():
            status = self.status()
            if status.alive:
                raise RunError(f"{self.name} has no model yet; it is {status.state}, try again in a moment")
            if status.place is not None:
                raise RunError(f"{self.name} has no model yet; it is {status.message}")
            raise RunError(f"{self.name} has no model, as it ended before the first validation: resume the run")
        return self.model_path

    def size(self) -> int:
        """Total size of the files in the folder, in bytes."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total


_FILES = frozenset(each.name for each in vars(RunFolder).values() if isinstance(each, _Inside))


def runs_dir(requested: str | Path | None = None) -> Path:
    """The folder of runs, as an absolute path: ``requested``, else the environment variable ``CHARLSTM_RUNS`` unless
    empty, else ``./checkpoints`` if it exists, else the platform's data folder. It may not exist yet. Raises
    :class:`RunError` when ``requested`` is empty."""
    if requested == "":
        raise RunError("The name of the folder for runs is empty: give a name, such as . for the current folder")
    if requested is not None:
        return Path(os.path.expanduser(requested)).absolute()
    if named := os.environ.get("CHARLSTM_RUNS"):
        return Path(os.path.expanduser(named)).absolute()
    here = Path("checkpoints")
    return here.absolute() if here.is_dir() else data_dir() / "runs"  # absolute() fails where the folder has gone


def list_runs(folder: str | Path | None = None, *, elsewhere: bool = False) -> list[RunFolder]:
    """The runs in ``folder`` (default: :func:`runs_dir`), by name; with ``elsewhere`` also those that were started in
    other folders by this user and are still there."""
    folder = runs_dir(folder)
    with contextlib.suppress(OSError):
        found = {path.absolute() for path in folder.iterdir() if not path.name.startswith(".")}
        runs = sorted(
            (RunFolder(path) for path in found if RunFolder(path).exists()), key=lambda run: natural_key(run.name)
        )
        if not elsewhere:
            return runs
        here = {index.located(path) for path in found}
        return runs + [run for run in known_runs() if run.path not in here]
    return known_runs() if elsewhere else []


def find_run(word: str | Path, folder: str | Path | None = None) -> RunFolder:
    """The run that ``word`` names: its name in ``folder``, its path, or the name of a run that was started elsewhere.

    Raises :class:`RunError` that suggests similar names.
    """
    text = os.fspath(word)
    if text and not _is_path(text):
        for name in (text, composed(text)):
            if (inside := RunFolder(runs_dir(folder) / name)).is_run():
                return inside
    as_path = Path(os.path.expanduser(text))
    if text and as_path.is_dir():
        # the last part of the path is the name of the run
        run = RunFolder(Path(os.path.realpath(as_path)) if as_path.name == ".." else as_path.absolute())
        if run.is_run():
            return run
        why = "its run.json is not from this program" if run.spec_path.exists() else "it has no run.json"
        raise RunError(f"{text} is a folder but not a run: {why}")
    if not _is_path(text):
        others = [run for run in list_runs(folder, elsewhere=True) if composed(run.name) == composed(text)]
        if len(others) == 1:
            return others[0]
        if others:
            raise RunError(
                f"Several runs are called {text}: name one by its folder", Advice("use_folder", str(others[0].path))
            )
    names = [run.name for run in list_runs(folder)]
    known = dict(zip(names, names, strict=True))
    for run in known_runs():
        known.setdefault(run.name, str(run.path))  # found by its name as well, but not one of this folder
    near = [name for name in known if text in name][:1] or difflib.get_close_matches(text, known, n=1)
    if not names and not near:
        raise RunError(f"There is no run {text!r}, and no other in {runs_dir(folder)}: train one", Advice("train"))
    listed = f"the runs there are {', '.join(names[:8])}{', …' * (len(names) > 8)}"
    hint = f"did you mean {known[near[0]]}?" if near else listed
    raise RunError(f"There is no run {text!r} in {runs_dir(folder)}; {hint}")


def run_of_model(file: Path) -> RunFolder | None:
    """The run whose model, or a snapshot of it, is ``file``; ``None`` if it lies elsewhere."""
    run = RunFolder(file.parent.parent if file.parent.name == "snapshots" else file.parent)
    return run if run.exists() else None


def run_of_session(file: Path) -> RunFolder | None:
    """The run among whose saved sessions ``file`` is; ``None`` if it lies elsewhere."""
    run = RunFolder(file.parent.parent)
    return run if run.sessions_dir == file.parent and run.exists() else None


def create_run(
    spec: RunSpec,
    *,
    name: str | None = None,
    folder: str | Path | None = None,
    prepare: Callable[[RunFolder], dict[str, Any]] | None = None,
) -> RunFolder:
    """Create a run's folder with ``run.json`` in it, readable by the user alone, and add it to the index. ``prepare``
    puts what else there is into the folder before, such as the text, and returns what ``run.json`` says about the text.

    The default ``name`` is TEXT-PRESET-N. Raises :class:`RunError` when the name is taken or not valid, or the folder
    cannot be written.
    """
    parent = runs_dir(folder)
    if name is not None:
        name = check_name(name)
    try:
        parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        run = _make(parent, name, spec)
        try:
            run.write_spec(spec if prepare is None else replace(spec, corpus=prepare(run)))
        except BaseException:
            with contextlib.suppress(OSError):  # the first error matters more
                _remove(run, folders=(run.path,))  # else its name would be taken
            raise
    except OSError as error:
        raise RunError(
            f"No run can be created in {parent} ({error.strerror}): choose another folder for runs",
            Advice("choose_runs_dir"),
        ) from None
    index.remember_run(run.path)
    return run


def rename_run(run: RunFolder, name: str) -> RunFolder:
    """Rename ``run``. Raises :class:`RunError` while it has a worker, or when the name is taken or not valid."""
    target = RunFolder(run.path.with_name(check_name(name)))
    _need_run(run)
    if os.path.lexists(target.path):
        raise RunError(f"There is {_taken(target)} already; choose another name")
    with _without_worker(run, "renamed"):
        try:
            os.rename(run.path, target.path)
            storage.sync_folder(run.path.parent)
        except OSError as error:
            raise RunError(f"The run {run.name} cannot be renamed: {error.strerror}") from None
    before, after = index.located(run.path), index.located(target.path)
    index.rewrite_index(lambda paths: dict.fromkeys(after if path == before else path for path in [*paths, before]))
    queue_file.rename_in_queue(run.path, target.path)
    return target


def delete_run(run: RunFolder) -> list[str]:
    """Delete the files of ``run``, but no others in its folder. Returns the names of those; without any, the folder is
    deleted too. Raises :class:`RunError` while the run has a worker, and when not all could be deleted; what is left is
    still a run, unless the disk failed at the very end."""
    _need_run(run)
    _need_own_folder(run, "delete")
    with _without_worker(run, "deleted"):
        try:
            # run.json last: a run of which a part is left can be found, and deleted again
            _remove(run, lambda path: path not in (run.spec_path, run.lock_path), (run.snapshots_dir, run.sessions_dir))
            gone = index.located(run.path)
            index.rewrite_index(lambda paths: [path for path in paths if path != gone])
            with contextlib.suppress(RunError):  # the disk is full: a folder without a run does not count there
                queue_file.remove_from_queue(run.path)
            storage.disk.unlink(run.spec_path)
        except OSError as error:
            raise RunError(
                f"Not all of the run {run.name} could be deleted: {error.strerror}; what is left is in {run.path}"
            ) from None
    try:
        _remove(run, folders=(run.path,))  # the lock, now that it is closed: NFS keeps an open file under another name
    except OSError as error:
        raise RunError(
            f"The run {run.name} is deleted, but not its folder: {error.strerror}; what is left is in {run.path}"
        ) from None
    return sorted(path.name for path in {*_entries(run.path)} - {*run.parts()})


def prune_run(run: RunFolder, *, dry_run: bool = False) -> int:
    """Delete the states and snapshots of ``run``, which then can be played but not continued; a ``dry_run`` deletes
    nothing. Returns the freed bytes. Raises :class:`RunError` while it has a worker, or when it has no intact model to
    keep."""
    _need_run(run)
    _need_own_folder(run, "prune")
    if not (files := run.prunable()):
        return 0
    with _without_worker(run, "pruned"):
        _need_intact_model(run, files)
        freed = sum(map(_size, files))
        if dry_run:
            return freed
        try:
            _remove(run, run._is_of_snapshots, (run.snapshots_dir,))
            storage.replace_bytes(run.pruned_path, b"")  # first: else half of it would be resumed from its start
            _remove(run, run._is_state)
        except OSError as error:
            raise RunError(
                f"Not all states and snapshots of the run {run.name} could be removed: {error.strerror}; prune it again"
            ) from None
    return freed


def left_over(run: RunFolder, names: Sequence[str]) -> str:
    """A sentence about the files that :func:`delete_run` left; empty without any."""
    if not names:
        return ""
    return visible(f"These files do not belong to the run and are still in {run.path}: {_some(names)}", keep="")


def known_runs() -> list[RunFolder]:
    """The existing runs that this user started in any folder, latest first."""
    return [run for run in map(RunFolder, reversed(index.remembered_paths())) if run.exists()]


def _make(parent: Path, name: str | None, spec: RunSpec) -> RunFolder:
    """Create the folder of a run with this name, or with the next one that is free."""
    while True:
        run = RunFolder(parent / (name or next_name(spec.corpus_name, spec.preset, os.listdir(parent))))
        with contextlib.suppress(FileExistsError):
            storage.make_folder(run.path)
            return run
        if name is not None and run.exists():
            sentence = f"There is a run {name} already: choose another name, or resume it"
            raise RunError(sentence, Advice("resume", name))
        if name is not None:
            raise RunError(f"There is {_taken(run)} already: choose another name")
        # another process took this number first


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + ", …" * (len(names) > 5)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_name(sources: Any) -> str:
    sources = list(sources) if isinstance(sources, (list, tuple)) else [sources]
    first = os.fspath(sources[0]) if sources and isinstance(sources[0], (str, Path)) else ""
    return "stdin" if first == "-" else Path(first).name or "text"


@functools.lru_cache(maxsize=4096)
def _has_own_keys(path: Path, _: storage.FileStamp) -> bool:
    """Whether the ``run.json`` at ``path`` is from this program. Cached for as long as the file is unchanged, since the
    app lists runs several times a second."""
    try:
        values = storage.read_json(path)
    except ValueError:
        return False
    return isinstance(values, dict) and values.keys() >= OWN_KEYS


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir()) if not folder.is_symlink() else []
    except (FileNotFoundError, NotADirectoryError):
        return []


def _own_files(folder: Path, is_own: Callable[[str], bool]) -> Iterator[Path]:
    """The files in ``folder`` with names that are a run's own, and the temporary ones that would replace them."""
    for path in _entries(folder):
        if is_own(storage.replaced_by(path.name) or path.name) and _is_file(path):
            yield path


def _size(path: Path) -> int:
    """The size in bytes of a file; 0 for a link, and for a file that is gone by now."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return 0
    return info.st_size if stat.S_ISREG(info.st_mode) else 0


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _is_snapshot(name: str) -> bool:
    return re.fullmatch(r"[0-9]+\.safetensors", name) is not None


def _taken(run: RunFolder) -> str:
    return f"a run {run.name}" if run.exists() else f"something else called {run.name}"


def _is_path(text: str) -> bool:
    return text in ("", ".", "..") or any(mark in text for mark in ("/", os.sep, "\0"))


def _remove(
    run: RunFolder, is_wanted: Callable[[Path], bool] = lambda path: True, folders: Sequence[Path] = ()
) -> None:
    """Remove those parts of ``run`` for which ``is_wanted`` is true, then those of ``folders`` that are empty. Nothing
    else removes anything in the folder of a run, but a session by itself.

    What is no part of a run stays. Where a part is a link, the link is removed and what it leads to stays. Raises
    :class:`OSError`.
    """
    for path in list(run.parts()):
        if is_wanted(path):
            storage.disk.unlink(path)
    for folder in folders:
        storage.disk.rmdir(folder)


def _need_run(run: RunFolder) -> None:
    if not run.is_run():
        raise _gone(run)


def _gone(run: RunFolder) -> RunError:
    return RunError(f"There is no run in {run.path} any more")


def _need_own_folder(run: RunFolder, do: str) -> None:
    if run.path.is_symlink():
        raise RunError(f"{run.path} is a link to a run elsewhere: {do} {run.path.resolve()} instead")


def _need_intact_model(run: RunFolder, files: Sequence[Path]) -> None:
    """Raises :class:`RunError` unless the model of ``run`` can be loaded, and would be there without ``files``."""
    from charlstm.model.file import load_model  # numpy, which listing runs does not need

    try:
        load_model(run.model_path)
    except UnreadableFileError as error:
        raise RunError(f"The run {run.name} is not pruned: {error}") from None
    except ModelError:
        raise RunError(
            f"The run {run.name} is not pruned, because it has no intact {run.model_path.name} and its states and "
            "snapshots may hold the only good model: resume it, or copy a snapshot to this name, or delete the run"
        ) from None
    if os.path.realpath(run.model_path) in map(os.path.realpath, files):
        link = f"its {run.model_path.name} is a link to a file that would go: replace the link by a copy of the file"
        raise RunError(f"The run {run.name} is not pruned, because {link}")


@contextlib.contextmanager
def _without_worker(run: RunFolder, what: str) -> Iterator[None]:
    """Hold the run's lock, so that it has no worker and none can start."""
    status = run.status()
    where = f" on {status.host}" if status.elsewhere else ""
    sentence = f"The run {run.name} is being trained{where} and cannot be {what}: stop it first"
    has_worker = RunError(sentence, Advice("stop", run.name))
    if status.alive:
        raise has_worker
    try:
        held = liveness.acquire_lock(run.lock_path, patience=0.5)
    except liveness.LockHeldError:
        raise has_worker from None
    try:
        if not run.is_run():  # another program has deleted or renamed it meanwhile, and the lock was made anew
            with contextlib.suppress(OSError):
                _remove(run, run.lock_path.__eq__, (run.path,))
            raise _gone(run)
        yield
    finally:
        held.release()
