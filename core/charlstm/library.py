"""Functions of the public library that take a model by name, as the command line does.

Each checks its arguments, so that a wrong one is a :class:`CharLSTMError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, get_args

from charlstm import arguments, user_files
from charlstm.errors import CharLSTMError, ModelError, TextError
from charlstm.generation import dynamic, scoring
from charlstm.generation import generate as _generate
from charlstm.generation.clamp import Clamp
from charlstm.generation.recipe import Recipe
from charlstm.generation.sampler_settings import SamplerKeywords, SamplerSettings, changed_settings
from charlstm.insight.sample import READ_CHARS, TEXT_CHARS
from charlstm.model import file
from charlstm.model.file import Model
from charlstm.model.given import GivenModel, given_model
from charlstm.runs import models
from charlstm.runs.start_models import share_read
from charlstm.text.batches import part_spans, unknown_in, usual_part
from charlstm.text.corpus import Corpus, read_as, read_text
from charlstm.text.reading import SplitMode
from charlstm.training import state as _state
from charlstm.training.settings import Settings
from charlstm.training.state import TrainingState

if TYPE_CHECKING:
    import numpy.typing as npt

    from charlstm.engine.evaluation import Evaluation
    from charlstm.engine.network import CharLSTM
    from charlstm.insight.activations import Activations
    from charlstm.insight.cells import NamedCell
    from charlstm.insight.context import Context
    from charlstm.insight.influence import Influence
    from charlstm.insight.lesions import Lesions
    from charlstm.insight.multiverse import ContinuationNode, NextWord

Part = Literal["validation", "test", "train", "all"]


def load_model(model: str | Path, *, step: int | None = None, runs_dir: str | Path | None = None) -> Model:
    """Load a model by its file, by the name or folder of a run, or ``"demo"``, which is included.

    Args:
        model: what :func:`charlstm.find_model` takes, or else any model file, whatever its name ends with.
        step: of a run, the snapshot after this many training steps; None is the best model so far.
        runs_dir: the folder in which runs are looked for by name; None is the default one.

    Raises:
        ModelError: the file is missing, damaged, of a newer format or not a model, or there is no such snapshot.
        RunError: there is no such run, or it has no model yet.
    """
    takes = "the file of a model, the name of a run or 'demo'"
    arguments.instance("model", model, (str, os.PathLike), takes, error=ModelError)
    with arguments.disk_errors("The model", model, error=ModelError):
        is_file = Path(model).is_file()
    try:
        path = find_model(model, runs_dir, snapshot=step)
    except CharLSTMError:
        if step is not None or not is_file:
            raise
        path = Path(model)  # a model whose name ends with anything
    return file.load_model(path)


def find_model(word: str | Path, runs_dir: str | Path | None = None, *, snapshot: int | None = None) -> Path:
    """The model file that ``word`` names.

    Args:
        word: a ``.safetensors`` file, the name or folder of a run, or ``"demo"``, which is included.
        runs_dir: the folder in which runs are looked for by name; None is the default one.
        snapshot: of a run, the snapshot after this many training steps; None is the best model so far.

    Raises:
        ModelError: there is no such file or snapshot.
        RunError: there is no such run, or it has no model yet. The sentence says what exists instead.
    """
    with arguments.disk_errors("The model", word, error=ModelError):
        return models.find_model(word, runs_dir, snapshot=snapshot)


def save_model(path: str | Path, model: GivenModel) -> None:
    """Create or replace the file ``path`` atomically. Equal models give equal bytes.

    Args:
        model: a model, or what :func:`load_model` takes.

    Raises:
        ModelError, RunError: as :func:`load_model`.
        CharLSTMError: the weights do not fit the configuration or are not finite, ``info`` is not JSON, or the file
            cannot be written.
    """
    arguments.instance("path", path, (str, os.PathLike), "the path of a file", error=ModelError)
    model = given_model(model)
    try:
        with arguments.disk_errors("The file", path, error=ModelError):
            file.save_model(path, model)
    except TypeError as error:
        raise ModelError(f"The info of the model has something that JSON does not have: {error}") from None


def save_state(path: str | Path, state: TrainingState) -> None:
    """Create or replace the file ``path`` with the exact state of a training (:meth:`charlstm.Trainer.state`).

    Raises:
        CharLSTMError: the file cannot be written.
    """
    arguments.instance("path", path, (str, os.PathLike), "the path of a file", error=ModelError)
    arguments.instance("state", state, TrainingState, "what Trainer.state() returns", error=ModelError)
    with arguments.disk_errors("The file", path, error=ModelError):
        _state.save_state(user_files.destination(path), state)


def load_state(path: str | Path) -> TrainingState:
    """Read and verify what :func:`save_state` wrote, or the file ``state.safetensors`` of a run.

    Raises:
        ModelError: the file is missing, damaged, of a newer format or something else.
    """
    with arguments.disk_errors("The file", path, error=ModelError):
        return _state.load_state(Path(path))


def generate(
    model: GivenModel,
    prime: str = "",
    length: int = 1000,
    *,
    seed: int = 0,
    settings: SamplerSettings | None = None,
    stop: str | Sequence[str] = (),
    clamps: Sequence[Clamp] = (),
    **sampler: Unpack[SamplerKeywords],
) -> str:
    """Generate one text. For the probabilities of each character use a :class:`charlstm.Session`.

    Args:
        model: a model, or what :func:`load_model` takes.
        prime: the text that the model continues; empty: as at the start of a text.
        length: how many characters to generate at most.
        seed: the same seed gives the same text on one machine.
        settings: how characters are chosen; None is temperature 0.8 and min-p 0.05.
        stop: a string or strings after which generation ends; the string itself is part of the text.
        clamps: cells that are held in each step.
        sampler: settings of the sampler as keywords, such as ``temperature=0.5``; they change ``settings``.

    Returns:
        The generated characters, without the prime.

    Raises:
        GenerationError: a stop string is empty, the model does not have a cell of ``clamps``, or a number is out of its
            limits.
        ModelError, RunError: as :func:`load_model`.
    """
    recipe = Recipe(seed, settings=changed_settings(settings, sampler), clamps=clamps)
    return _generate.generate(given_model(model), prime, length, recipe, stop=stop)


def generate_many(
    model: GivenModel,
    prime: str | Sequence[str] = "",
    length: int = 1000,
    *,
    samples: int = 1,
    seed: int = 0,
    settings: SamplerSettings | None = None,
    stop: str | Sequence[str] = (),
    clamps: Sequence[Clamp] = (),
    threads: int | None = None,
    **sampler: Unpack[SamplerKeywords],
) -> list[str]:
    """Generate several texts of one prime or of many at once, several times as fast as one after the other.

    Args:
        prime: one, or a sequence. A prime has the same texts alone as beside others, except that a sum may round
            differently: then they can differ from a character on that was close.
        samples: how many texts of each prime; the n-th uses the random numbers of ``Session(model, sample=n)``.
        threads: of the matrix products; None is one per processor. Results depend on it in the last digits.

    The other arguments and the errors are those of :func:`generate`.

    Returns:
        ``samples`` texts of each prime, without the prime: first those of the first.
    """
    recipe = Recipe(seed, settings=changed_settings(settings, sampler), clamps=clamps)
    return _generate.generate_many(
        given_model(model), prime, length, recipe, samples=samples, stop=stop, threads=threads
    )


def generate_units(
    model: GivenModel,
    count: int,
    length: int = 1000,
    *,
    prime: str = "",
    known: Collection[str] = (),
    unique: bool = False,
    seed: int = 0,
    settings: SamplerSettings | None = None,
    **sampler: Unpack[SamplerKeywords],
) -> list[str]:
    """Generate whole units, such as names or tunes, with a model that was trained on them (``TextOptions.units``).

    Args:
        count: how many units.
        length: characters of one at most.
        prime: what each begins with.
        known: units that are left out, such as those of the training text: ``[corpus.text(*span) for span in
            corpus.units]``.
        unique: leave out repeated ones.
        seed: as of :func:`generate`; so are ``settings`` and ``sampler``.

    Returns:
        The units, without what separates them; fewer than ``count`` if 50 times as many were not enough.

    Raises:
        GenerationError: the model was not trained on units, or as :func:`generate_many`.
        ModelError, RunError: as :func:`load_model`.
    """
    count = arguments.number("count", count, 0)
    recipe = Recipe(seed, settings=changed_settings(settings, sampler))
    return _generate.generate_units(given_model(model), count, length, recipe, prime=prime, known=known, unique=unique)


def _as_read(model: Model, text: str) -> str:
    """``text`` as ``model`` reads another text, such as a file that the command line is given."""
    return read_text(text, model.text_options.for_another_text())


def score(model: GivenModel, text: str) -> scoring.Scores:
    """Compute how surprising each character of ``text`` is for a model, and where it is surprised most.

    Args:
        model: a model, or what :func:`load_model` takes.
        text: read as the model's own text was, as by the command and the app: where wrapped prose was read as
            paragraphs, its lines are joined.

    Returns:
        The ``text`` that was read, and nats, rank and entropy of each of its characters, as arrays ``(N,)``.

    Raises:
        GenerationError: the text has fewer than two characters that the model knows.
        ModelError, RunError: as :func:`load_model`.
    """
    model = given_model(model)
    return scoring.score(model, _as_read(model, text))


def score_models(models: Sequence[GivenModel], text: str) -> list[scoring.Scores]:
    """Compute how surprising ``text`` is for each of several models, over the same characters: the model with the
    lowest ``loss`` is the nearest.

    Args:
        models: models, or what :func:`load_model` takes. The order of the models changes nothing: wrapped prose is
            joined for all models if for one.

    Returns:
        The scores for each model. Characters that only some of the models know are in no mean.

    Raises:
        GenerationError: there is no model, or no character of the text after its first that all of them know.
        ModelError, RunError: as :func:`load_model`.
    """
    given = [given_model(model) for model in models]
    return scoring.score_models(given, read_text(text, scoring.shared_options(given)))


def score_dynamic(model: GivenModel, text: str, *, strength: float = 1.0, segment: int | None = None) -> scoring.Scores:
    """Compute how surprising each character of ``text`` is for a model that learns from those before it.

    A copy of the model learns (dynamic evaluation); the model does not change.

    Args:
        model: a model, or what :func:`load_model` takes.
        strength: a factor of the learning rate, 0 to 10; with 0 it learns nothing.
        segment: the number of characters after which the weights change, 1 to 100; None is the default.

    Returns:
        Nats, rank and entropy of each character, as arrays ``(N,)``.

    Raises:
        GenerationError: the text has fewer than two characters that the model knows, or an argument is out of range.
        ModelError, RunError: as :func:`load_model`.
    """
    model = given_model(model)
    return dynamic.score_dynamic(model, _as_read(model, text), strength=strength, segment=segment)


def evaluate(
    model: GivenModel | CharLSTM,
    corpus: Corpus,
    part: Part | None = None,
    *,
    val_fraction: float | None = None,
    split: SplitMode | None = None,
    test_fraction: float | None = None,
    max_chars: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compute the mean loss of a model on a text or a part of it, with the function that validation uses.

    Args:
        model: a model, what :func:`load_model` takes, or a network. A network is evaluated on its own device; it has no
            vocabulary and is taken to have that of ``corpus``.
        corpus: the text. It is read again as the model's own text was, if it was opened with other options. Characters
            that the model does not know are read as others and count in no figure.
        part: ``"validation"``, ``"test"``, ``"train"`` or ``"all"``; None is what was held out of the text that the
            model was trained on, and all of another text.
        val_fraction, split, test_fraction: how the text is split; None is as in the settings that the model was trained
            with, or the defaults of :class:`charlstm.Settings` where the model does not say.
        max_chars: None predicts every character. A number gives an estimate over about so many of them, from slices
            that are spread evenly, as validation during training does.
        progress: called with ``(done, total)`` predicted characters; an exception that it raises ends the evaluation.

    Returns:
        ``loss``, ``bits_per_char`` and ``perplexity``, over ``chars`` predicted characters: a span of N characters has
        N − 1. ``read_share`` of the text the model had read before, so far as that is known: a loss on text that was
        read is lower than on new text.

    Raises:
        TextError: the part has fewer than two characters that the model knows.
        ModelError: the network does not have as many outputs as ``corpus`` has symbols, or the weights are too large.
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.engine.evaluation import evaluate as evaluate_spans  # torch takes seconds to import
    from charlstm.engine.network import CharLSTM

    arguments.instance("corpus", corpus, Corpus, "a Corpus, such as charlstm.open_corpus gives", error=TextError)
    if part is not None:
        arguments.one_of("part", part, get_args(Part), error=TextError)
    if split is not None:
        arguments.one_of("split", split, get_args(SplitMode), error=TextError)
    max_chars = None if max_chars is None else arguments.number("max_chars", max_chars, 1, error=TextError)
    settings = Settings()
    if isinstance(model, CharLSTM):
        network, vocabulary, part = model, corpus.vocabulary, part or "validation"
        if network.config.vocab_size != len(vocabulary):
            raise ModelError(
                f"The network has {network.config.vocab_size:,} outputs, and {corpus.name} has {len(vocabulary):,} "
                "symbols: evaluate it on the text that it was trained on, or pass a Model, which has a vocabulary"
            )
    else:
        model = given_model(model)
        network, vocabulary = CharLSTM.from_model(model), model.vocabulary
        settings, corpus = Settings.of_model(model.info), read_as(corpus, model.text_options)
        part = part or usual_part(model.info, corpus)
    ids, _ = corpus.encoded_for(vocabulary)
    held_out = settings.val_fraction if val_fraction is None else val_fraction
    test = settings.test_fraction if test_fraction is None else test_fraction
    spans = part_spans(corpus, part, held_out, split or settings.split, test)
    found = evaluate_spans(network, ids, corpus.reading_spans(spans), max_chars, progress=progress)
    if not found.chars:
        raise TextError(f"There is nothing to evaluate: that part of {corpus.name} has fewer than two characters")
    if isinstance(model, CharLSTM):
        return found
    share, by = share_read(model, corpus, spans)
    return replace(found, unknown=unknown_in(corpus, vocabulary, spans), read_share=share, read_by=by)


def activations(model: GivenModel, text: str) -> Activations:
    """Compute the outputs h and the cell states c of every cell after every character of ``text``.

    Args:
        model: a model, or what :func:`load_model` takes.

    Returns:
        Arrays ``(N, L, H)`` for N characters that the model knows, L layers and H cells: 8 bytes for each cell and
        character.

    Raises:
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.insight.activations import activations

    return activations(given_model(model), text)


def name_cells(
    model: GivenModel,
    text: str,
    *,
    per_feature: int = 1,
    patterns: Mapping[str, str] | None = None,
    functions: Mapping[str, Callable[[str], npt.ArrayLike]] | None = None,
    max_chars: int | None = READ_CHARS,
) -> list[NamedCell]:
    """Find the cells that follow features of ``text``, such as being inside quotes.

    Args:
        model: a model, or what :func:`load_model` takes.
        per_feature: how many cells to give for each feature.
        patterns: more features by name: regular expressions; the feature is true on every character of a match.
        functions: more features by name: functions that take the text and return a number for each of its characters.
        max_chars: so many characters are read, in blocks from all over ``text``, as by the command and the app, so that
            all name the same cells; None reads all of it.

    Returns:
        Cells with their score on the half of the text that had no part in the choice, its ``margin`` of two standard
        errors, on how many ``spans`` it rests, the score that ``chance`` reaches and a ``verdict``; the feature
        furthest above chance first. Layers and cells count from 1. Each says on how many ``chars``, at how many
        ``places`` of each half and in the model of which ``step`` it was found.

    Raises:
        GenerationError: the text is too short, or a pattern or function is of no use for it.
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.insight.cells import name_cells, sample_cells
    from charlstm.insight.features import Feature, function_feature, pattern_feature, with_own

    per_feature = arguments.number("per_feature", per_feature, 1)

    def features(read: str) -> list[Feature]:
        own = [pattern_feature(name, pattern, read) for name, pattern in (patterns or {}).items()]
        own += [function_feature(name, function, read) for name, function in (functions or {}).items()]
        return with_own(own, read)

    max_chars = None if max_chars is None else arguments.number("max_chars", max_chars, 1)
    model = given_model(model)
    text = _as_read(model, text)[: None if max_chars is None else TEXT_CHARS]
    sample = sample_cells(model, text, features, max_chars=max_chars)
    return name_cells(sample, per_feature=per_feature)


def influence(model: GivenModel, text: str, at: int, *, back: int = 100) -> Influence:
    """Measure how much each earlier character influences the character of ``text`` at position ``at``.

    Args:
        model: a model, or what :func:`load_model` takes.
        at: counted from 0.
        back: how many characters before it are hidden in turn.

    Returns:
        For each earlier character, how much the loss of the one at ``at`` rises, in nats, when it is hidden.

    Raises:
        GenerationError: there is no predicted character at ``at``, or ``back`` is below 0.
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.insight.influence import influence

    at, back = arguments.number("at", at), arguments.number("back", back, 0)
    return influence(given_model(model), text, at, back=back)


def context(
    model: GivenModel,
    text: str,
    *,
    at: int | None = None,
    places: int = 200,
    max_chars: int | None = TEXT_CHARS,
) -> Context:
    """Measure the loss of ``text`` by how many characters of context the model has read.

    Args:
        model: a model, or what :func:`load_model` takes.
        at: the position of one character of ``text`` as it is; None predicts ``places`` of them, evenly spaced, in
            ``text`` as :func:`score` reads it.
        max_chars: without ``at``, the places are in the first characters of ``text``, as many as by the command and the
            app, so that all measure at the same ones; None is all of it.

    Returns:
        The losses by length, the context that the model uses (``used``) and its margin of error (``used_range``).

    Raises:
        GenerationError: the text is shorter than the longest context, or ``places`` is below 1.
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.insight.context import context

    at = None if at is None else arguments.number("at", at, 0)
    places = arguments.number("places", places, 1)
    max_chars = None if max_chars is None else arguments.number("max_chars", max_chars, 1)
    model = given_model(model)
    return context(model, text if at is not None else _as_read(model, text)[:max_chars], at=at, places=places)


def multiverse(model: GivenModel, prime: str = "", *, depth: int = 20, cutoff: float = 0.005) -> ContinuationNode:
    """Compute all continuations of ``prime`` of up to ``depth`` characters with a probability of at least ``cutoff``.

    Args:
        model: a model, or what :func:`load_model` takes.

    Returns:
        The root of a tree of characters with the joint probabilities of the continuations, each of all characters from
        ``prime`` on, without a sampler.

    Raises:
        GenerationError: ``depth`` or ``cutoff`` is out of range.
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.insight.multiverse import multiverse

    return multiverse(given_model(model), prime, depth=depth, cutoff=cutoff)


def next_words(model: GivenModel, prime: str = "", *, count: int = 8) -> list[NextWord]:
    """The ``count`` most likely next words after ``prime``, most likely first, with their probabilities, each at most
    ``missed`` too low.

    Args:
        model: a model, or what :func:`load_model` takes.
        count: from 1 to 1,000.

    Raises:
        GenerationError: ``count`` is out of range.
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.insight.multiverse import next_words

    count = arguments.number("count", count, 1, 1000)
    return next_words(given_model(model), prime, count=count)


def lesions(model: GivenModel, text: str) -> Lesions:
    """Estimate for every cell how much the loss of ``text`` rises when the cell is silenced.

    Args:
        model: a model, or what :func:`load_model` takes.

    Raises:
        GenerationError: the text is too short.
        ModelError, RunError: as :func:`load_model`.
    """
    from charlstm.insight.lesions import estimate_lesions

    model = given_model(model)
    return estimate_lesions(model, _as_read(model, text))
