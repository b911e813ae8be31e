"""The objects that commands print with --json.

Every type here is the schema of one object; the commands build their results as these types, so that mypy checks them.
:data:`SCHEMAS` maps each command to what it prints. This module imports nothing but the standard library, so that
documentation and tests can read it: ``typing.get_type_hints(schema, include_extras=True)`` gives the fields of a type,
the string below a field is its description. Fields with ``NotRequired`` may be missing.

``train``, ``resume`` and ``watch`` print events instead, one JSON object a line: ``charlstm.training.events``. Where a
command fails, :class:`ErrorResult` is printed to stderr instead of a result.

One name means the same everywhere: ``loss`` is the mean loss in nats per character, ``bits_per_char`` the same in bits
(loss / ln 2), ``perplexity`` is e to the power of the loss, and ``chars`` is the number of characters that were
predicted.
"""

from typing import Any, Literal, NotRequired, TypedDict

# -- errors ------------------------------------------------------------------------------------------------------

ErrorKind = Literal[
    "usage",
    "text",
    "model",
    "settings",
    "run",
    "diverged",
    "generation",
    "timeout",
    "system",
    "memory",
    "interrupted",
    "other",
]


class ErrorDetails(TypedDict):
    """Why a command failed."""

    kind: ErrorKind
    """``usage``: options or arguments that are not accepted, and ``settings``, likewise (exit code 2); ``text``,
    ``model``, ``run``, ``generation``: what cannot be used as given; ``diverged``: a training whose loss was not a
    number any more (exit code 3); ``timeout``: of ``control --wait``; ``system``: an error of the operating system;
    ``memory``: not enough of it; ``interrupted``: Ctrl-C (exit code 130), or another signal; ``other``: for example a
    file that cannot be read or written under its name. The exit code of the others is 1."""
    message: str
    """One sentence that says what happened and what to do."""


class ErrorResult(TypedDict):
    """Printed to stderr, as its last line, when a command with --json fails."""

    error: ErrorDetails


# -- what several of them have -----------------------------------------------------------------------------------


class Named(TypedDict):
    """Something that is offered by its name."""

    name: str
    about: str


class RunPlace(TypedDict):
    """A run: its name and its folder. From ``train --detach`` and ``resume --detach``, which train it in the
    background."""

    name: str
    path: str


class NetworkSize(TypedDict):
    """The size of a model."""

    hidden_size: int
    num_layers: int
    vocab_size: int
    parameters: int


class LossWithBits(TypedDict):
    """A mean loss in both units."""

    loss: float
    bits_per_char: float


# -- texts -------------------------------------------------------------------------------------------------------


class TextRow(Named):
    """A text that ``corpora`` lists: a file with ``bytes``, or a built-in text with about ``chars`` characters."""

    bytes: NotRequired[int]
    """Only with a file."""
    chars: NotRequired[int | None]
    """Only with a built-in text: about so many, ``null`` if unknown."""


class RemoteRow(Named):
    """A text that can be fetched, from ``fetch``."""

    address: str
    sha256: str
    bytes: int
    licence: str
    path: str | None
    """``null`` until it is fetched."""


class StatsResult(TypedDict):
    """Statistics of a text, from ``stats``."""

    name: str
    chars: int
    """Characters of the text."""
    lines: int
    distinct: int
    """Different characters."""
    units: int | None
    """Units as which the text is read; ``null`` where it is not."""
    top: list[list[Any]]
    """The most frequent characters: ``[character, count]``, most frequent first."""
    encoding: str
    newlines: str
    invalid_bytes: int
    """Bytes that were not valid in the encoding."""
    train_chars: int
    held_out_chars: int
    baselines: dict[str, LossWithBits] | None
    """``order 0``, ``order 1``, ``order 2`` (n-gram models) and ``xz``, fitted on the training part; ``null`` when the
    text is too short."""
    too_little: str | None
    """Why there are no baselines; ``null`` with baselines."""
    sampled: bool
    """Whether the baselines come from a part of a large text."""
    parts_overlap: str | None
    """A warning when much of the held-out part is in the training part too; ``null`` if it is not."""
    skipped: list[str]
    """Files and folders that could not be read."""


class PruneResult(TypedDict):
    """From ``cache prune``."""

    freed: int
    """Bytes."""


# -- training ----------------------------------------------------------------------------------------------------


class ListedSetting(Named):
    """A setting, from ``presets --settings``."""

    takes: str
    """The values that it accepts, in words."""
    default: str
    """Its value where no preset sets another, as it is written on the command line."""


class PresetEstimate(Named):
    """What a preset takes on this machine, from ``presets TEXT``: figures of
    :class:`~charlstm.training.estimate.Estimate`, which says what they mean."""

    parameters: int
    model_bytes: int
    memory_bytes: int
    steps: int
    epochs: float
    seconds: float
    chars_per_second: float
    slowdown: float
    """How many times as long a training step takes now because other programs use the processor; the other figures
    include that."""
    crowded: bool
    """Whether other programs used the processor while the speed was measured: then it holds for that moment alone."""
    kernel: str
    precision: str
    settings: dict[str, Any]
    """Every setting of the preset for this text, with the changes of --set."""


class QueueRow(RunPlace):
    """A run that trains or waits in the queue, from ``queue``."""

    place: int
    """0: it trains; 1: it is the next one."""
    state: str
    begins: float | None
    """Seconds from now, estimated; ``null`` if not known."""
    ends: float | None
    """Seconds from now, estimated; ``null`` if not known."""
    why: str
    """Why it does not train yet, or why it could not be started when it was its turn; empty if it trains."""


class LessonRow(RunPlace):
    """A run of the lesson, from ``lesson``."""

    added: bool
    """False for one that was there before."""


# -- runs --------------------------------------------------------------------------------------------------------


class RunRow(RunPlace):
    """A run, from ``runs``."""

    state: str
    """``queued``, ``starting``, ``running``, ``paused``, ``waiting`` (for the disk), ``stopped``, ``finished``,
    ``failed`` or ``crashed``."""
    step: int
    planned_steps: int | None
    """``null`` until the run is planned."""
    loss: float | None
    """The lowest validation loss, in nats per character; ``null`` before the first validation."""
    best_kind: Literal["whole", "estimate"] | None
    """``whole``: over the whole held-out part; ``estimate``: from slices of it, as while a run trains; ``null`` before
    the first validation."""
    read_share: float | None
    """The share of the held-out part, 0 to 1, that the model had read before: a loss on it is lower than on new text.
    ``null`` if unknown."""
    read_by: str | None
    """The model that had read it, from which training started; empty where the training part has the same words.
    ``null`` where no other model had read it."""
    train_seconds: float
    """Seconds spent in training steps."""
    work_seconds: float
    """Seconds of the run without pauses: training, validations and samples."""
    progress: float | None
    """The fraction of the run that is done, 0 to 1, the final validation included; ``null`` until the run is
    planned."""
    seconds_left: float | None
    """Estimated seconds until a running run ends; ``null`` if it does not train."""
    text: str
    preset: str
    started_from: str | None
    """The run or the file of the model whose weights it began with; ``null`` for a run from nothing."""
    bytes: int
    """Size of the run's folder."""
    message: str
    slowdown: float | None
    """How many times as long training takes now because other programs use the processor; ``null`` if unknown, or
    if the run does not train."""
    tags: list[str]
    """What the user tagged the run with."""
    notes: str
    """The user's note on the run; empty without one."""
    created: float | None
    """Unix seconds; ``null`` if its ``run.json`` cannot be read."""


class NotesResult(RunPlace):
    """What the user noted about a run, from ``tag`` and ``note``."""

    tags: list[str]
    notes: str


class DifferenceRow(TypedDict):
    """Something that differs between compared runs."""

    name: str
    """A setting, ``text``, ``preset``, ``started from``, ``kernel``, ``text.`` and an option of the text, or ``changed
    on the way``."""
    values: list[Any]
    """One for each run."""


class CompareResult(TypedDict):
    """Runs side by side, from ``compare``."""

    runs: list[RunRow]
    differences: list[DifferenceRow]


class ControlResult(TypedDict):
    """A command that was sent to a run, from ``control``."""

    id: str
    """The ``id`` of the ``control`` event that the run logs when it carries the command out."""
    command: str
    value: float | None
    """``null`` for a command without one."""
    done: bool
    """Whether the command was carried out; always false without --wait, which does not ask. With --wait it is false
    when the run came to its own end before it read ``stop`` or ``finish``."""
    step: int | None
    """The step at which it was carried out; for ``stop`` and ``finish``, the last step of the run; ``null`` without
    --wait."""
    state: str | None
    """The state of the run afterwards; ``null`` without --wait."""


class RenameResult(RunPlace):
    """From ``rename``."""

    former: str


class DeleteResult(RunPlace):
    """From ``delete``; with several runs there is a list."""

    left: list[str]
    """Files in the run's folder that are not the run's own and were kept."""


class PrunedRun(RunPlace):
    """A run from ``prune``."""

    files: int
    """Snapshots and states that can go, or are gone."""
    bytes: int
    pruned: bool
    """Whether they are gone: with --yes."""


class SweepTrial(RunPlace):
    """A run of a sweep."""

    settings: dict[str, Any]
    """Those that the runs vary."""
    state: str
    """As of ``runs``."""
    step: int
    loss: float | None
    """``null`` without a validation."""


class SweepCell(TypedDict):
    """The runs of a sweep that differ in the seed alone."""

    settings: dict[str, Any]
    losses: list[float]
    """Of those that have finished."""
    mean: float | None
    """``null`` before one has finished."""


class SweepResult(TypedDict):
    """From ``sweep``."""

    name: str
    runs: list[SweepTrial]
    cells: list[SweepCell]
    best: str | None
    """The best run of the cell with the lowest mean; ``null`` before one has finished."""
    preset: str | None
    """Its settings as a preset of your own, lines for the configuration; ``null`` before one has finished."""


# -- models ------------------------------------------------------------------------------------------------------


class InfoResult(NetworkSize):
    """A model, from ``info``."""

    path: str
    loss: float | None
    """Validation loss of the model, in nats per character; ``null`` where the file does not say."""
    loss_kind: Literal["whole", "estimate"] | None
    """As ``best_kind`` of ``runs``; ``null`` where the file does not say."""
    read_share: float | None
    """As in ``runs``; ``null`` where the file does not say."""
    read_by: str | None
    """As in ``runs``; ``null`` likewise."""
    vocabulary: list[str]
    text_options: dict[str, Any]
    info: dict[str, Any]
    """Everything that the file says about the model, as it is stored there."""


class ImportResult(NetworkSize):
    """From ``import``."""

    out: str
    """Path of the new model."""


class ExportResult(TypedDict):
    """From ``export`` and ``log``."""

    out: str
    to: str


class StepAlternative(TypedDict):
    """A character that might have come instead: :class:`~charlstm.generation.rows.Alternative` says what the fields
    mean."""

    char: str
    probability: float
    sampled: float
    kept: bool


class GeneratedStep(TypedDict):
    """One generated character, from ``generate --show-probs``: :class:`~charlstm.generation.rows.Step` says what the
    fields mean."""

    char: str
    probability: float
    rank: int
    entropy: float
    alternatives: list[StepAlternative]


class CheckpointResult(TypedDict):
    """What one model of a run generated, from ``generate --checkpoints``."""

    step: int
    loss: float | None
    """Its validation loss in nats; ``null`` where it was not measured."""
    text: str
    """Without the prime."""


class GenerateResult(TypedDict):
    """From ``generate``. The prime is included only with --until unit."""

    text: NotRequired[str]
    """Only without --samples and --checkpoints."""
    texts: NotRequired[list[str]]
    """Only with --samples."""
    steps: NotRequired[list[GeneratedStep]]
    """Only with --show-probs."""
    checkpoints: NotRequired[list[CheckpointResult]]
    """Only with --checkpoints."""


# -- evaluation --------------------------------------------------------------------------------------------------


class LossFigures(LossWithBits):
    """How well a model predicts a text."""

    perplexity: float
    chars: int
    unknown: dict[str, int]
    """Characters that the model does not know and that count in no figure, with their counts."""


class DynamicResult(LossWithBits):
    """How well a model predicts the same characters while it learns from those before them, from ``eval --dynamic``."""

    strength: float
    """As given with ``--strength``."""
    perplexity: float


class EvalResult(LossFigures):
    """How well a model predicts a text, from ``eval``."""

    read_share: float | None
    """The share of the text, 0 to 1, that the model was trained on; ``null`` if unknown."""
    read_by: str | None
    """The model from which its run started, if that one has read it; empty where the training part has the same words;
    else ``null``."""
    dynamic: NotRequired[DynamicResult]
    """Only with --dynamic; the other figures are those of the fixed weights."""


class ScoredPlace(TypedDict):
    """One of the most surprising characters of a text. Of those within 24 characters of each other only the most
    surprising one is listed; where that gives fewer than ``--top`` places, all are."""

    position: int
    """Index of the character in ``text``."""
    char: str
    loss: float
    rank: int
    before: str
    after: str


class ScoredLine(TypedDict):
    """A line of a text; its newline counts as one of its characters."""

    line: int
    """From 1."""
    chars: int
    loss: float | None
    """``null`` for a line without a predicted character."""
    bits_per_char: float | None
    """``null`` for a line without a predicted character."""
    text: str


class SentencePlace(TypedDict):
    """A sentence of a text, ``text[start:stop]``."""

    line: int
    """Where it begins, from 1."""
    start: int
    stop: int
    text: str


class ScoredSentence(SentencePlace, LossWithBits):
    """A sentence of a text and how surprising it is."""


class ScoreResult(LossFigures):
    """The figures of ``eval``, and one for each character, from ``score``. The first character is not predicted: its
    figures are ``null``. With ``--dynamic`` all of them are those of the model that learns while it reads."""

    strength: NotRequired[float]
    """Only with --dynamic: as given with --strength."""
    text: str
    """What was scored; the lists below have one entry for each of its characters."""
    losses: list[float | None]
    """``null`` for the first character."""
    ranks: list[int | None]
    """1 for the most likely character; ``null`` for the first character."""
    entropy: list[float | None]
    """Bits that the model expected; ``null`` for the first character."""
    places: list[ScoredPlace]
    lines: list[ScoredLine]
    sentences: list[ScoredSentence]


class ModelBits(TypedDict):
    """The bits of a text under one of several models."""

    model: str
    """As given."""
    bits: float
    """Of the whole text."""
    bits_per_char: float
    log10_odds: float
    """The logarithm of the odds of this model against the nearest one: 0 for the nearest, else negative."""
    nearest_in: int
    """In so many sentences it is the nearest."""


class ComparedSentence(SentencePlace):
    """A sentence under several models."""

    bits_per_char: dict[str, float]
    """By model."""
    nearest: str


class ScoreAgainstResult(TypedDict):
    """A text under several models, from ``score --against``. Characters that one of the models does not know count in
    no figure of any. The odds are for equal chances before, among these models alone."""

    nearest: str
    chars: int
    unknown: dict[str, int]
    """The characters that one of the models does not know, with their counts."""
    text: str
    """As the first model reads it, and so all of them."""
    models: list[ModelBits]
    """The nearest first."""
    sentences: list[ComparedSentence]


class CopiedStretch(TypedDict):
    """A stretch of a text that is in the corpus word for word, or known to be in a text that is not here, such as the
    books that demo has read."""

    start: int
    length: int
    line: int
    corpus_start: int | None
    """Where the stretch stands in the other text; ``null`` where that text is not here."""
    corpus_line: int | None
    """Its line there; ``null`` likewise."""
    text: str


class NoveltyResult(TypedDict):
    """How much of a text is copied, from ``novelty``."""

    chars: int
    """Characters of the text."""
    copied: int
    share: float
    """``copied`` / ``chars``."""
    corpus: str
    stretches: list[CopiedStretch]
    units: NotRequired[int]
    """Only with a run that was trained on units. Units of the text."""
    known_units: NotRequired[list[str]]
    """Only with ``units``. Those that are units of the training part of the run's text."""
    held_out_units: NotRequired[list[str]]
    """Only with ``units``. Those that stand only in what the run held out."""


# -- insight -----------------------------------------------------------------------------------------------------


class NamedCellRow(TypedDict):
    """A cell that follows a feature of a text, from ``cells``: :class:`~charlstm.insight.cells.NamedCell` says what the
    fields mean."""

    feature: str
    cell: list[int]
    kind: Literal["auc", "r"]
    score: float
    margin: float
    spans: int
    chance: float
    verdict: Literal["follows", "no better than chance", "too few to tell"]
    low: float
    high: float
    where_true: float | None
    """``null`` for a graded feature."""
    where_false: float | None
    """``null`` for a graded feature."""
    chars: int
    places: int
    step: int | None
    """``null`` where the file does not say."""


class PageResult(TypedDict):
    """The page that ``report`` wrote."""

    out: str
    bytes: int


# -- configuration -----------------------------------------------------------------------------------------------


class ConfigPath(TypedDict):
    """Where the configuration was written, from ``config init``."""

    path: str
    exists: bool


class DoctorResult(TypedDict):
    """Machine, terminal, torch, folders and configuration, from ``doctor``; something wrong is exit code 1, a note is
    not."""

    sections: dict[str, dict[str, str]]
    """Names and values of ``program``, ``machine``, ``terminal``, ``training``, ``folders`` and ``configuration``."""
    problems: list[str]
    """A sentence for each thing that is wrong."""
    notes: list[str]
    """A sentence for each thing that slows down a training now and may pass by itself."""


SCHEMAS: dict[str, Any] = {
    "corpora": list[TextRow],
    "fetch": list[RemoteRow],
    "stats": StatsResult,
    "presets": list[Named],
    "presets --settings": list[ListedSetting],
    "presets TEXT": list[PresetEstimate],
    "train --detach": RunPlace,
    "resume --detach": RunPlace,
    "queue add": QueueRow,
    "queue list": list[QueueRow],
    "queue remove": list[QueueRow],
    "lesson": list[LessonRow],
    "runs": list[RunRow],
    "control": ControlResult,
    "tag": NotesResult,
    "note": NotesResult,
    "rename": RenameResult,
    "delete": DeleteResult,
    "prune": list[PrunedRun],
    "sweep": SweepResult,
    "generate": GenerateResult,
    "eval": EvalResult,
    "score": ScoreResult,
    "score --against": ScoreAgainstResult,
    "novelty": NoveltyResult,
    "compare": CompareResult,
    "log": ExportResult,
    "cells": list[NamedCellRow],
    "report": PageResult,
    "info": InfoResult,
    "import": ImportResult,
    "export": ExportResult,
    "config init": ConfigPath,
    "doctor": DoctorResult,
    "cache prune": PruneResult,
}
"""What each command prints with --json, by the words that call it."""
