"""What to play: it is asked for, found on the disk and read, and facts about its model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charlstm.display import plural, visible
from charlstm.errors import CharLSTMError
from charlstm.generation import session_file
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Branch, Document, State, own_text
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import TYPED
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_file import ReadSession, SessionState, SessionSummary, summary_of
from charlstm.generation.session_state import BEGINNING
from charlstm.generation.stepper import Stepper
from charlstm.generation.text_pieces import Text
from charlstm.model.file import Model, load_model, read_info
from charlstm.runs.folder import RunFolder, find_run
from charlstm.runs.models import DEMO
from charlstm.storage import FileStamp
from charlstm.text.paragraphs import Joined
from charlstm.text.reading import Tally, TextOptions
from charlstm.text.sources import Item, item_text
from charlstm_tui.choices import model_after_rename, path_after_rename
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.saved_sessions import SavedSession


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """What to play.

    ``model_name`` is MODEL as on the command line and ``step`` one of its snapshots (``None``: its best model). A
    ``prime`` of ``None`` is the model's own suggestion. ``settings`` and ``speed`` of ``None`` stay as they are.
    """

    model_name: str
    step: int | None = None
    runs_dir: Path | None = None
    prime: str | None = None
    seed: int = 0
    settings: SamplerSettings | None = None
    speed: float | None = None
    stream: bool = False
    """Whether to stream at once; at speed 0 nothing is generated."""
    to_sentence: int | None = None
    """Characters to stream, and then on to the end of a sentence; ``None``: until it pauses by itself."""
    clamps: tuple[Clamp, ...] = ()
    """Cells that are held from the first generated character on."""
    session: Path | None = None
    """A saved session to continue, or a file of text, instead of starting from the prime."""

    def with_text(self, document: Document, **model: Any) -> PlayRequest:
        """A request for the text of a document with another model."""
        prime = document.text.read(0, document.prime_length)
        return replace(self, prime=prime, settings=None, speed=None, stream=False, **model)

    def after_rename(self, old: Path, new: Path) -> PlayRequest:
        """The same request after the run in the folder ``old`` was renamed to ``new``."""
        session = None if self.session is None else path_after_rename(self.session, old, new)
        return replace(self, model_name=model_after_rename(self.model_name, old, new), session=session)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that is played, trained for ``step`` steps; ``checkpoint_steps`` are those of all models of its run,
    the best one too."""

    name: str
    path: Path
    run: Path | None = None
    step: int | None = None
    checkpoint_steps: tuple[int, ...] = ()
    loss: float | None = None
    """Validation loss in nats, where the file has it."""
    loss_whole: bool = True
    """Whether it is over all of the held-out text."""
    shape: str = ""
    vocab_size: int = 0

    @property
    def number(self) -> int:
        """The number of the model among the models of its run, from 0."""
        return max((n for n, step in enumerate(self.checkpoint_steps) if step <= (self.step or 0)), default=0)

    @property
    def sessions(self) -> Path:
        """The folder for sessions of the model."""
        return saved_sessions.folder(self.run, self.path)


def checkpoints(run: Path) -> list[tuple[int, int | None]]:
    """The models of a run, the earliest first, each with its step and the ``step`` of a request for it: ``None`` is
    the best model."""
    found: dict[int, int | None] = {snapshot.step: snapshot.step for snapshot in RunFolder(run).snapshots()}
    with contextlib.suppress(CharLSTMError):
        step = read_info(RunFolder(run).model_path)[1].get("step")
        if isinstance(step, int):
            found[step] = None
    return sorted(found.items(), key=lambda one: one[0])


def model_beside(run: Path, here: int, by: int) -> int | str | None:
    """The ``step`` of a request for the run's model that is ``by`` models later than the one after ``here`` steps, or
    earlier where ``by`` is negative; or a sentence that says why there is none."""
    found = checkpoints(run)
    if not found:
        return "The run has no models any more."
    others = [one for one in found if (one[0] < here if by < 0 else one[0] > here)]
    if not others:
        return f"This is the {'earliest model of the run' if by < 0 else 'latest model so far'}."
    return others[max(0, len(others) + by) if by < 0 else min(by, len(others)) - 1][1]


def model_of_session(session: Path, runs_dir: Path | None = None) -> tuple[str, int | None] | None:
    """The model with which to continue a session, and the ``step`` of a request for it: the model that last played the
    session, or if gone the best model of the run. None if the model is not there."""
    name = saved_sessions.model_of(session, runs_dir)
    if name is None:
        return None
    saved, step = saved_sessions.session_at(session), None
    if saved is not None and saved.summary is not None and saved.summary.step >= 0:
        with contextlib.suppress(CharLSTMError):
            step = dict(checkpoints(find_run(name, runs_dir).path)).get(saved.summary.step)
    return name, step


def read(path: Path) -> tuple[ReadSession, SavedSession | None]:
    """The session in a file, and as it is listed; or a new one with the text of another file, as one's own. Raises
    :class:`CharLSTMError`."""
    if path.suffix.lower() != ".json":
        text = _read_text(path)
        return text, SavedSession(path, time.time(), text.state.summary)
    found, listed = session_file.read(path), saved_sessions.session_at(path)
    saved_sessions.remember(path)
    return found, listed


def _read_text(path: Path) -> ReadSession:
    """A file of text as a session, without a file of its own."""
    tally = Tally()
    item = Item(visible(path.name, keep=""), path)
    there = "".join(item_text(item, TextOptions(), tally, Joined()))
    text = Text.of(own_text(there), TYPED)
    [stamp] = tally.stamps
    assert stamp is not None
    document = Document.of(State(text, 0, 0, 0, 0, (Branch(0, None, text),)), {})
    summary = replace(summary_of(document), edited=True, title=path.stem, words=document.words)
    damage = f"{plural(tally.invalid_bytes, 'byte')} could not be read." if tally.invalid_bytes else ""
    left_out = len(there) - len(text)
    controls = f"{plural(left_out, 'control character')} left out." if left_out else ""
    note = " ".join(filter(None, (damage, controls)))
    return ReadSession(path, SessionState(document, summary), stamp, is_session=False, note=note)


def other_model_words(opened: SavedSession | None, facts: ModelFacts) -> str:
    """A sentence that says with which model a session is continued, where that is another one than before; else
    empty."""
    if opened is None or opened.summary is None or not opened.model:
        return ""
    was, here = visible(opened.model, keep=""), facts.name
    played = visible(Path(opened.summary.model).name.removesuffix(".safetensors"), keep="")
    step = "" if facts.step is None else f" @ step {facts.step:,}"
    if here not in (was, played):  # a session in the folder of a run may have gone on with another model
        return f"Its model {was} is not there: it goes on with {here}{step}."
    before = opened.summary.step
    if before >= 0 and facts.step is not None and before != facts.step:
        return f"Its model {here} @ step {before:,} is not there: it goes on with step {facts.step:,}."
    return ""


def describe(model: Model, path: Path, request: PlayRequest) -> ModelFacts:
    """Facts about the model at ``path``."""
    run = next((folder for folder in (path.parent, path.parent.parent) if RunFolder(folder).exists()), None)
    info = model.info
    step = info.get("step")
    loss = info.get("val_loss")
    models = [] if run is None else checkpoints(run)
    return ModelFacts(
        name=visible(run.name if run is not None else "demo" if request.model_name == "demo" else path.stem, keep=""),
        path=path,
        run=run,
        step=step if isinstance(step, int) else request.step,
        checkpoint_steps=tuple(step for step, _ in models),
        loss=loss if isinstance(loss, float) else None,
        loss_whole=info.get("val_whole") is not False,
        shape=f"{model.config.num_layers}×{model.config.hidden_size}",
        vocab_size=model.config.vocab_size,
    )


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model with its packed weights, the file that it was read from, and SHA-256 of its weights."""

    source: tuple[Path, FileStamp | None]
    model: Model
    stepper: Stepper
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class LearntModel:
    """A copy of a model that has learnt from a text at some strength, with its packed weights."""

    model: Model
    stepper: Stepper
    strength: float


def load(request: PlayRequest, known: Iterable[LoadedModel]) -> tuple[LoadedModel, ModelFacts]:
    """The requested model, unless it is ``known`` already, and facts about it. Raises :class:`CharLSTMError`."""
    path = saved_sessions.model_file(request.model_name, request.runs_dir, request.step)
    stamp = None
    with contextlib.suppress(OSError):  # then load_model raises an error that says more
        stamp = FileStamp.of(path.stat())
    source = (path, stamp)
    loaded = next((one for one in known if stamp is not None and one.source == source), None)
    if loaded is None:
        model = load_model(path)
        loaded = LoadedModel(source, model, Stepper(model), model.digest())
    return loaded, describe(loaded.model, path, request)


@dataclass(frozen=True, slots=True, eq=False)
class OpenText:
    """Facts about a played text, besides its document.

    Attributes:
        key: its number for who saves it.
        opened: the file that it was read from, as it was then.
        closed: the text that was played before, if there is work in it; ``last_session`` is what to continue instead.
        edited: whether the user wrote, picked, erased, branched or saved.
    """

    request: PlayRequest
    loaded: LoadedModel
    facts: ModelFacts
    key: int = 0
    opened: SavedSession | None = None
    closed: SavedSession | None = None
    last_session: SavedSession | None = None
    edited: bool = False
    title: str = ""

    @property
    def model_name(self) -> str:
        """The model, to find it again from any folder."""
        if self.request.model_name == DEMO:
            return DEMO
        return str((self.facts.run or self.facts.path).absolute())

    def summary(self, document: Document) -> SessionSummary:
        """What the text is about; its words are counted when it is written."""
        text = document.text
        return SessionSummary(
            len(text) - document.prime_length, text.read(0, BEGINNING), self.edited, model=self.model_name,
            title=self.title, size=len(text), step=-1 if self.facts.step is None else self.facts.step,
        )  # fmt: skip

    def session_state(self, document: Document, recipe: Recipe) -> SessionState:
        """All of the text, to be saved."""
        return SessionState(
            document=document.copy(), summary=self.summary(document), settings=recipe.settings,
            clamps=tuple(recipe.clamps), sample=recipe.sample, weights=self.loaded.digest,
            run=str(self.loaded.model.info.get("run") or ""),
        )  # fmt: skip

    def as_saved(self, document: Document, file: Path | None) -> SavedSession | None:
        """The text as it is saved in ``file``."""
        summary = replace(self.summary(document), words=document.words)
        return None if file is None else SavedSession(file, time.time(), summary)

    def after_rename(self, old: Path, new: Path) -> OpenText:
        """The same after the run in the folder ``old`` was renamed to ``new``."""
        request, facts = self.request.after_rename(old, new), self.facts
        if facts.run == old:
            facts = describe(self.loaded.model, path_after_rename(facts.path, old, new), request)
        sessions = (self.opened, self.closed, self.last_session)
        opened, closed, last = (
            each and replace(each, path=path_after_rename(each.path, old, new)) for each in sessions
        )
        return replace(self, request=request, facts=facts, opened=opened, closed=closed, last_session=last)
