"""A run is a folder: what stands in it, where runs are kept, and how one is made, found, renamed and removed.

Everything here only reads, except for making, renaming and deleting whole folders and for replacing ``run.json``; the
worker is the one writer of what is inside. ``run.json`` is first written by whoever makes the run, with what was asked.
From then on its worker replaces it, atomically each time: at the first start with what was found and measured (corpus
record, vocabulary, plan), which is frozen from then on, and at a resume with changed settings, which adds an amendment.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from charlstm import storage
from charlstm.display import visible
from charlstm.errors import Advice, ModelError, NewerFormatError, RunError, SettingsError
from charlstm.paths import data_dir
from charlstm.runs import index, liveness
from charlstm.runs.log import read_events
from charlstm.runs.names import check_name, composed, natural_key, next_name, spelled
from charlstm.runs.status import RunStatus, read_status
from charlstm.training.settings import Settings

if TYPE_CHECKING:
    import numpy.typing as npt

    from charlstm.model.file import Model
    from charlstm.training.events import AnyEvent

FORMAT = 1
OWN_KEYS = frozenset({"format", "created", "corpus", "settings"})
"""What every ``run.json`` of this program says; other programs write files of that name, too."""

MAX_SPEC_BYTES = 16_000_000
"""A ``run.json`` longer than this is no run's: 60,000 characters of vocabulary take less than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What ``run.json`` holds. ``corpus`` is a record that ``charlstm.text.corpus.reopen_corpus`` takes: from the start
    ``{"name", "sources", "options"}``, and its fingerprint as soon as the text has been read. ``settings`` are those
    that hold now, ``amendments`` how they came to differ from what was asked first: ``{"time", "step", "changes"}``.
    ``lineage`` says from which model the weights came. ``plan`` is what :class:`~charlstm.training.plan.Plan` froze."""

    corpus: dict[str, Any]
    settings: Settings
    preset: str = "custom"
    created: float = field(default_factory=time.time)
    lineage: dict[str, Any] | None = None
    vocabulary: tuple[str, ...] | None = None
    plan: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    amendments: tuple[dict[str, Any], ...] = ()

    @property
    def corpus_name(self) -> str:
        """The text's name, for people."""
        name = self.corpus.get("name")
        return name if isinstance(name, str) and name else _text_name(self.corpus.get("sources", ()))

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
    def _validation(self) -> dict[str, Any]:
        about = self.corpus.get("validation")
        return about if isinstance(about, dict) else {}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "format": FORMAT,
            "created": self.created,
            "preset": self.preset,
            "corpus": self.corpus,
            "settings": self.settings.to_dict(),
            "lineage": self.lineage,
            "versions": self.versions,
            "plan": self.plan,
            "amendments": list(self.amendments),
            "vocabulary": None if self.vocabulary is None else list(self.vocabulary),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`RunError` for a newer format or values that are no spec."""
        try:
            if int(values["format"]) > FORMAT:
                raise NewerFormatError(
                    f"The run was written by a newer charlstm (format {values['format']}); update this one to read it"
                )
            vocabulary = values.get("vocabulary")
            return cls(
                corpus=_typed(dict, values["corpus"]),
                settings=Settings.from_dict(_typed(dict, values["settings"])),
                preset=_typed(str, values.get("preset", "custom")),
                created=float(values["created"]),
                lineage=None if values.get("lineage") is None else _typed(dict, values["lineage"]),
                vocabulary=None if vocabulary is None else tuple(_typed(str, symbol) for symbol in vocabulary),
                plan=None if values.get("plan") is None else _typed(dict, values["plan"]),
                versions=_typed(dict, values.get("versions", {})),
                amendments=tuple(_typed(dict, each) for each in values.get("amendments", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, SettingsError) as error:
            raise RunError("run.json is damaged: it does not say what was asked") from error


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The model as it was after ``step`` steps, at ``path``."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder. Holding one promises nothing about the folder, which may be gone by the next call."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def spec_path(self) -> Path:
        return self.path / "run.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def control_path(self) -> Path:
        return self.path / "control.jsonl"

    @property
    def heartbeat_path(self) -> Path:
        return self.path / "heartbeat"

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def log_path(self) -> Path:
        return self.path / "worker.log"

    @property
    def model_path(self) -> Path:
        """The best model so far; the file need not be there yet."""
        return self.path / "model.safetensors"

    @property
    def state_path(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def previous_state_path(self) -> Path:
        return self.path / "state.prev.safetensors"

    @property
    def snapshots_dir(self) -> Path:
        return self.path / "snapshots"

    @property
    def sessions_dir(self) -> Path:
        """Saved and self-saved generation sessions; made by who writes the first."""
        return self.path / "sessions"

    def exists(self) -> bool:
        """Whether the folder is there and holds a run; one that cannot be looked at does not. A run is known by what
        its ``run.json`` says, or, when that is damaged, by its worker's heartbeat."""
        try:
            found = os.stat(self.spec_path)
            if not stat.S_ISREG(found.st_mode):
                return False
            own = _has_own_keys(self.spec_path, storage.FileStamp.of(found))
        except OSError:  # one entry on a disk or server that is gone must not hide the others of a list
            return False
        return own or liveness.read_heartbeat(self.heartbeat_path) is not None

    def parts(self) -> Iterator[Path]:
        """The files that the run consists of, ``run.json`` first. What else is in its folder is somebody's."""
        own = (
            *(self.spec_path, self.events_path, self.control_path, self.heartbeat_path, self.lock_path, self.log_path),
            *(self.model_path, self.state_path, self.previous_state_path),
        )
        yield from (path for path in own if _is_part(path))
        names = {path.name for path in own}
        yield from (path for path in _entries(self.path) if _written_for(path.name) in names and _is_part(path))
        for path in _entries(self.snapshots_dir):
            name = _written_for(path.name) or path.name
            if re.fullmatch(r"[0-9]+\.safetensors", name) and _is_part(path):
                yield path
        for path in _entries(self.sessions_dir):
            if (_written_for(path.name) or path.name).endswith(".json") and _is_part(path):
                yield path

    def spec(self) -> RunSpec:
        """What was asked and measured. Raises :class:`RunError` when ``run.json`` is missing, damaged or newer."""
        try:
            values = storage.read_json(self.spec_path, most=MAX_SPEC_BYTES)
        except FileNotFoundError:
            raise RunError(f"There is no run in {self.path}: it has no run.json") from None
        except OSError as error:
            raise RunError(f"The run {self.name} cannot be read: {error.strerror}") from None
        except ValueError:
            raise RunError(f"The run {self.name} has a damaged run.json; delete the run or restore the file") from None
        try:
            return RunSpec.from_dict(values)
        except RunError as error:
            raise RunError(f"The run {self.name} cannot be read: {error}") from error

    def write_spec(self, spec: RunSpec) -> None:
        """Replace ``run.json``. For who makes the run, and then for its worker."""
        text = json.dumps(spec.to_dict(), ensure_ascii=False, indent=1)
        storage.replace_bytes(self.spec_path, text.encode("utf-8", errors="surrogatepass"))

    def status(self) -> RunStatus:
        """How the run is now: reads a few hundred bytes, and the log only when there is no heartbeat."""
        return read_status(self.path)

    def snapshots(self) -> list[Snapshot]:
        """The model growing up, youngest first."""
        found = []
        with contextlib.suppress(OSError):
            for path in self.snapshots_dir.glob("*.safetensors"):
                if path.stem.isascii() and path.stem.isdecimal():
                    found.append(Snapshot(int(path.stem), path))
        return sorted(found, key=lambda snapshot: snapshot.step)

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

    def model(self, step: int | None = None) -> Model:
        """Load the best model so far, or the snapshot after ``step`` training steps.

        Raises :class:`ModelError` for a damaged file or a step without a snapshot (:meth:`snapshots` lists them), and
        :class:`RunError` when the run has no model yet.
        """
        from charlstm.model.file import load_model  # numpy, which listing runs does not need

        return load_model(self.model_file(step))

    def model_file(self, step: int | None = None) -> Path:
        """The file of the best model so far, or of the snapshot after ``step`` training steps. Raises as :meth:`model`
        does, but reads nothing."""
        if step is not None:
            steps = {each.step: each.path for each in self.snapshots()}
            if step not in steps:
                known = ", ".join(map(str, steps)) or "none yet"
                raise ModelError(f"{self.name} has no snapshot of step {step}; it has {known}")
            return steps[step]
        if not self.model_path.is_file():
            status = self.status()
            if status.alive:
                raise RunError(f"{self.name} has no model yet; it is {status.state}, try again in a moment")
            raise RunError(f"{self.name} has no model: it ended before its first validation; resume it or start anew")
        return self.model_path

    def size(self) -> int:
        """Bytes of all files of the run."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total


def runs_dir(asked: str | Path | None = None) -> Path:
    """Where runs are kept: as ``asked``, else ``CHARLSTM_RUNS``, else ``./checkpoints`` if it is there, else the
    platform's data folder. Absolute; it need not exist yet. An empty variable is none; :class:`RunError` when ``asked``
    is empty."""
    if asked == "":
        raise RunError("The folder that runs are kept in has an empty name: name one, such as . for the current folder")
    if asked is not None:
        return Path(os.path.expanduser(asked)).absolute()
    if named := os.environ.get("CHARLSTM_RUNS"):
        return Path(os.path.expanduser(named)).absolute()
    here = Path("checkpoints").absolute()
    if here.is_dir():
        return here
    return data_dir(make=False) / "runs"


def list_runs(folder: str | Path | None = None, *, elsewhere: bool = False) -> list[Run]:
    """The runs in ``folder`` (default: :func:`runs_dir`), by name; with ``elsewhere`` also those that were started in
    other folders by this user and are still there."""
    folder = runs_dir(folder)
    with contextlib.suppress(OSError):
        found = {path.absolute() for path in folder.iterdir() if not path.name.startswith(".")}
        runs = sorted((Run(path) for path in found if Run(path).exists()), key=lambda run: natural_key(run.name))
        return runs + [run for run in known_runs() if elsewhere and run.path not in found]
    return [run for run in known_runs() if elsewhere]


def find_run(word: str | Path, folder: str | Path | None = None) -> Run:
    """The run that ``word`` means: a name in ``folder``, a path, or the name of a run that was started elsewhere.

    Raises :class:`RunError` that lists what is near.
    """
    text = os.fspath(word)
    if text and not _is_path(text):
        parent = runs_dir(folder)
        inside = Run(parent / text)
        if not inside.exists():
            inside = Run(parent / spelled(text, parent))
        if inside.exists():
            return inside
    as_path = Path(os.path.expanduser(text))
    if text and as_path.is_dir():
        run = Run(as_path.absolute())
        if run.exists():
            return run
        why = "its run.json is not one of this program's" if run.spec_path.exists() else "it has no run.json"
        raise RunError(f"{text} is a folder but not a run: {why}")
    if not _is_path(text):
        others = [run for run in known_runs() if composed(run.name) == composed(text)]
        if len(others) == 1:
            return others[0]
        if others:
            raise RunError(
                f"Several runs are called {text}: name one by its folder", Advice("use_folder", str(others[0].path))
            )
    names = [run.name for run in list_runs(folder, elsewhere=True)]
    if not names:
        raise RunError(f"There is no run {text!r}, and no other in {runs_dir(folder)}: train one", Advice("train"))
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"the runs are {', '.join(names[:8])}{', …' * (len(names) > 8)}"
    raise RunError(f"There is no run {text!r} in {runs_dir(folder)}; {hint}")


def create_run(spec: RunSpec, *, name: str | None = None, folder: str | Path | None = None) -> Run:
    """Make a run's folder, for the user alone, with ``run.json`` in it, and remember where it is.

    Without a ``name`` it is called TEXT-PRESET-N. Raises :class:`RunError` when the name is taken or is none, or the
    folder cannot be written.
    """
    parent = runs_dir(folder)
    if name is not None:
        name = spelled(check_name(name), parent)
    try:
        parent.mkdir(mode=storage.PRIVATE_FOLDER, parents=True, exist_ok=True)
        run = Run(parent / name) if name is not None else None
        while run is None or not _make(run, given=name is not None):
            taken = (path.name for path in parent.iterdir())
            run = Run(parent / next_name(spec.corpus_name, spec.preset, taken))
        run.write_spec(spec)
    except OSError as error:
        raise RunError(
            f"No run can be created in {parent} ({error.strerror}): choose another folder for runs",
            Advice("choose_runs_dir"),
        ) from None
    index.remember_run(run.path)
    return run


def rename_run(run: Run, name: str) -> Run:
    """Give ``run`` another name. Raises :class:`RunError` while a worker is on it or when the name will not do."""
    name = check_name(name)
    there = spelled(name, run.path.parent)
    target = Run(run.path.with_name(name if there == run.name else there))  # a run may only change its spelling
    _need_run(run)
    if os.path.lexists(target.path) and not _same_folder(run.path, target.path):
        raise RunError(f"There is {_taken(target)} already; choose another name")
    with _alone(run, "renamed"):
        try:
            os.rename(run.path, target.path)
            storage.sync_folder(run.path.parent)
        except OSError as error:
            raise RunError(f"The run {run.name} cannot be renamed: {error.strerror}") from None
    index.rewrite_index(lambda paths: [target.path if path == run.path else path for path in paths])
    return target


def delete_run(run: Run) -> list[str]:
    """Remove ``run`` for good, but nothing else that is in its folder. What was left there, as names: when there is
    none, the folder is gone too. Raises :class:`RunError` while a worker is on it."""
    _need_run(run)
    if run.path.is_symlink():
        raise RunError(f"{run.path} is a link to a run elsewhere: delete {run.path.resolve()} instead")
    with _alone(run, "deleted"):
        try:
            storage.disk.unlink(run.spec_path)  # without it no run is found, so that never half of one is
        except OSError as error:
            raise RunError(f"The run {run.name} cannot be deleted: {error.strerror}") from None
    index.rewrite_index(lambda paths: [path for path in paths if path != run.path])
    try:
        for path in run.parts():  # once the lock is closed: NFS keeps what is open, under another name
            storage.disk.unlink(path)
        for folder in (run.snapshots_dir, run.sessions_dir, run.path):
            if folder.is_symlink():
                storage.disk.unlink(folder)
            elif folder.is_dir() and not _entries(folder):
                folder.rmdir()
    except OSError as error:
        raise RunError(
            f"The run {run.name} is gone from the list, but not all of it could be removed: {error.strerror}; "
            f"what is left is in {run.path}"
        ) from None
    return sorted(path.name for path in _entries(run.path))


def left_over(run: Run, names: Sequence[str]) -> str:
    """A sentence on what :func:`delete_run` left; empty when that is nothing."""
    if not names:
        return ""
    some = ", ".join(names[:5]) + ", …" * (len(names) > 5)
    return visible(f"Not of the run, and still in {run.path}: {some}", keep="")


def known_runs() -> list[Run]:
    """Runs that this user started anywhere and that are still there, latest first."""
    runs = (Run(path) for path in reversed(index.remembered_paths()))
    return [run for run in runs if run.exists()]


def _make(run: Run, *, given: bool) -> bool:
    try:
        storage.make_folder(run.path)
    except FileExistsError:
        if given:
            if run.exists():
                sentence = f"There is a run {run.name} already: choose another name, or resume it"
                raise RunError(sentence, Advice("resume", run.name)) from None
            raise RunError(f"There is {_taken(run)} already: choose another name") from None
        return False  # somebody was quicker with this number
    return True


def _text_name(sources: Any) -> str:
    sources = list(sources) if isinstance(sources, (list, tuple)) else [sources]
    first = os.fspath(sources[0]) if sources and isinstance(sources[0], (str, Path)) else ""
    return "stdin" if first == "-" else Path(first).name or "text"


def _typed(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value


@functools.lru_cache(maxsize=4096)
def _has_own_keys(path: Path, _: storage.FileStamp) -> bool:
    """Whether the ``run.json`` at ``path`` is this program's. Remembered for as long as the file is the same one, since
    an app that lists runs asks several times a second."""
    try:
        values = storage.read_json(path, most=MAX_SPEC_BYTES)
    except ValueError:
        return False
    return isinstance(values, dict) and values.keys() >= OWN_KEYS


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir()) if not folder.is_symlink() else []
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_part(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _written_for(name: str) -> str:
    """The file that was to be replaced, if ``name`` is what a killed process left of that; else an empty word."""
    return re.sub(r"(\.\d+){1,2}\.tmp", "", name[1:]) if storage.is_leftover(name) else ""


def _taken(run: Run) -> str:
    return f"a run {run.name}" if run.exists() else f"something else called {run.name}"


def _is_path(text: str) -> bool:
    return text in ("", ".", "..") or any(mark in text for mark in ("/", os.sep, "\0"))


def _same_folder(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)  # a name that differs in case only, on a file system that ignores it
    return False


def _need_run(run: Run) -> None:
    if not run.exists():
        raise RunError(f"There is no run in {run.path} any more")


@contextlib.contextmanager
def _alone(run: Run, what: str) -> Iterator[None]:
    """Holds the run's lock, so that no worker is on it and none can start."""
    status = run.status()
    if status.alive and status.elsewhere:
        raise RunError(f"The run {run.name} is running on {status.host} and cannot be {what}; stop it there first")
    if status.alive:
        raise _has_worker(run, what)
    try:
        held = liveness.acquire_lock(run.lock_path, patience=0.5)
    except liveness.LockHeldError:
        raise _has_worker(run, what) from None
    except OSError as error:
        raise RunError(f"The run {run.name} cannot be {what}: {error.strerror}") from None
    try:
        yield
    finally:
        held.release()


def _has_worker(run: Run, what: str) -> RunError:
    sentence = f"The run {run.name} is being trained and cannot be {what}: stop it first"
    return RunError(sentence, Advice("stop", run.name))
