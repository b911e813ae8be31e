"""Commands that evaluate: ``eval`` and ``score`` a text by a model, ``novelty`` of a text against a corpus."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NotRequired, TypedDict, TypeVar, cast

import click
import numpy as np
import numpy.typing as npt

from charlstm.cli import options, output
from charlstm.display import BITS_PER_NAT, percent, plural, symbol, table, visible
from charlstm.errors import RunError, TextError
from charlstm.generation.dynamic import checked_strength, evaluate_dynamic, score_dynamic
from charlstm.generation.novelty import Match, Novelty, NoveltyIndex, with_known_passages, with_matches
from charlstm.generation.scoring import APART, Place, Scores, score_models, shared_options
from charlstm.generation.scoring import score as score_text
from charlstm.line import TerminalLine, terminal_width, truncate
from charlstm.model.file import Model
from charlstm.runs.start_models import share_read, with_passages
from charlstm.runs.text import open_text
from charlstm.text.batches import part_spans, unknown_in, usual_part
from charlstm.text.corpus import Corpus, line_numbers
from charlstm.text.passages import SURE
from charlstm.text.read_before import is_much
from charlstm.text.reading import USUAL, TextOptions
from charlstm.training.settings import Settings

_PARTS = {
    "validation": "the held-out part",
    "test": "the test part",
    "train": "the training part",
    "all": "all",
}
"""The parts of a run's own text, as messages name them."""

_BLOCKS = "▁▂▃▄▅▆▇█"

_F = TypeVar("_F", bound=Callable[..., Any])


class DynamicFigures(TypedDict):
    """How well a model predicts the same characters while it learns from those before them.

    Attributes:
        strength: as given with --strength.
    """

    strength: float
    loss: float
    bits_per_char: float
    perplexity: float


class EvalDetails(TypedDict):
    """What ``eval`` adds to an :class:`~charlstm.engine.evaluation.Evaluation`.

    Attributes:
        dynamic: Only with --dynamic; the other figures are those of the fixed weights.
    """

    dynamic: NotRequired[DynamicFigures]


class ScoredLine(TypedDict):
    """A line of a text; its newline counts as one of its characters.

    Attributes:
        line: from 1.
        loss, bits_per_char: None for a line without a predicted character.
    """

    line: int
    chars: int
    loss: float | None
    bits_per_char: float | None
    text: str


class SentencePlace(TypedDict):
    """A sentence of a text, ``text[start:stop]``.

    Attributes:
        line: where it begins, from 1.
    """

    line: int
    start: int
    stop: int
    text: str


class ScoredSentence(SentencePlace):
    """A sentence of a text and how surprising it is."""

    loss: float
    bits_per_char: float


class ScoreDetails(TypedDict):
    """What ``score`` adds to :class:`~charlstm.generation.scoring.Scores`. ``losses``, ``ranks`` and ``entropy`` have
    an entry for each character of the text. With --dynamic all figures are those of the model that learns as it reads.

    Attributes:
        losses: in nats; None for the first character.
        ranks: 1 for the most likely character; None for the first character.
        entropy: bits that the model expected; None for the first character.
        strength: Only with --dynamic; as given with --strength.
    """

    losses: list[float | None]
    ranks: list[int | None]
    entropy: list[float | None]
    places: list[Place]
    lines: list[ScoredLine]
    sentences: list[ScoredSentence]
    strength: NotRequired[float]


class ModelBits(TypedDict):
    """The bits of a text under one of several models.

    Attributes:
        model: as given.
        bits: of the whole text.
        log10_odds: the logarithm of the odds of this model against the nearest one: 0 for the nearest, else negative.
        nearest_in: in so many sentences it is the nearest.
    """

    model: str
    bits: float
    bits_per_char: float
    log10_odds: float
    nearest_in: int


class ComparedSentence(SentencePlace):
    """A sentence under several models.

    Attributes:
        bits_per_char: by model.
    """

    bits_per_char: dict[str, float]
    nearest: str


class ScoreAgainstResult(TypedDict):
    """A text under several models, from ``score --against``. Characters that one of the models does not know count in
    no figure of any. The odds are for equal chances before, among these models alone.

    Attributes:
        unknown: the characters that one of the models does not know, with their counts.
        text: as the first model reads it, and so all of them.
        models: the nearest first.
    """

    nearest: str
    chars: int
    unknown: dict[str, int]
    text: str
    models: list[ModelBits]
    sentences: list[ComparedSentence]


class CopiedStretch(TypedDict):
    """A stretch of a text that is in the corpus word for word, or known to be in a text that is not here, such as the
    books that demo has read.

    Attributes:
        corpus_start: the start of the stretch in the other text; None without a copy of that text.
        corpus_line: the line of that start; None without a copy of that text.
    """

    start: int
    length: int
    line: int
    corpus_start: int | None
    corpus_line: int | None
    text: str


class NoveltyDetails(TypedDict):
    """What ``novelty`` adds to a :class:`~charlstm.generation.novelty.NoveltyReport`.

    Attributes:
        units: units of the text. Only with a run that was trained on units.
        known_units: those that are units of the training part of the run's text. Only with ``units``.
        held_out_units: those that stand only in what the run held out. Only with ``units``.
    """

    corpus: str
    stretches: list[CopiedStretch]
    units: NotRequired[int]
    known_units: NotRequired[list[str]]
    held_out_units: NotRequired[list[str]]


def _dynamic_options(command: _F) -> _F:
    """Add --dynamic and --strength. The command receives ``strength``, which is None without --dynamic."""

    @functools.wraps(command)
    def check(*args: Any, dynamic: bool, strength: float | None, **values: Any) -> Any:
        if strength is not None and not dynamic:
            raise click.UsageError("--strength is that of --dynamic: add --dynamic, or remove --strength")
        if dynamic:
            with options.usage_errors():
                strength = checked_strength(1.0 if strength is None else strength)
        return command(*args, strength=strength, **values)

    add_strength = options.number_option(
        "--strength", help="How fast it learns with --dynamic, 0 to 10: a factor of the learning rate.  [default: 1]"
    )
    add_dynamic = click.option(
        "--dynamic", is_flag=True, help="Let a copy of the model learn from the text as it reads."
    )
    return cast(_F, add_dynamic(add_strength(check)))


@click.command(
    "eval",
    epilog=options.examples(
        "charlstm eval RUN",
        "charlstm eval RUN other.txt",
        "charlstm eval RUN - --json < a.txt",
        about=options.MODEL_HELP,
    ),
)
@options.model_argument
@options.optional_text_argument
@click.option(
    "--part",
    type=click.Choice(list(_PARTS)),
    help="Which part: of TEXT, or without TEXT of the run's own text.  [default: validation of the text that MODEL was "
    "trained on, all of another]",
)
@_dynamic_options
@options.model_and_text_options
def eval_(given: options.ModelAndText, part: str | None, strength: float | None) -> None:
    """Measure how well MODEL predicts TEXT: loss (nats per character), bits per character, perplexity.

    Without TEXT, a run is evaluated on its own held-out part, as its last validation did; --part chooses another part.
    With TEXT, --part divides it by the fractions that MODEL was trained with, or holds out the last tenth where the
    model's file has none. Characters that the model does not know are read as others, é as e, and do not count.

    --dynamic also measures a copy of the model that learns from what it has read so far. MODEL does not change.

    With --json: {"loss", "bits_per_char", "perplexity", "chars", "unknown", "read_share", "read_by"}, and with
    --dynamic {"dynamic"}, an object with "strength" and the same figures. `read_share` is the share of the text, 0 to
    1, that the model was trained on, `read_by` the model from which its run started, if that one has read it.
    """
    if not given.text and (given.encoding is not None or given.max_chars is not None):
        raise click.UsageError(
            "--encoding and --max-chars need a TEXT: a run's own text is read as it was for training"
        )
    loaded = given.open_model()
    if given.text:
        corpus, settings = given.open_text(loaded.text_options), Settings.of_model(loaded.info)
        part = part or usual_part(loaded.info, corpus)
        spans = _spans_of(part, corpus, settings, visible(corpus.name, keep=""))
    else:
        part = part or "validation"
        corpus, spans = _own_text(given.model, loaded, part)
    whole_text = bool(given.text) and part == "all"
    part_name = "" if whole_text else f" of {_name_of_part(corpus, part)} of {visible(corpus.name, keep='')}"
    ids, _ = corpus.encoded_for(loaded.vocabulary)
    share, by = _what_was_read(loaded, corpus, spans, part)
    read = spans or [(0, corpus.chars)]
    unknown = unknown_in(corpus, loaded.vocabulary, read)
    if sum(stop - start for start, stop in read) - sum(unknown.values()) < 2:
        raise TextError(
            f"{corpus.name} has fewer than two characters that the model knows, so there is nothing to predict"
        )
    output.report_unknown_characters(unknown, loaded.vocabulary, "They count in no figure")
    from charlstm.engine.evaluation import evaluate
    from charlstm.engine.network import CharLSTM

    with TerminalLine() as bar:
        spans_read = corpus.reading_spans(read)
        figures = evaluate(CharLSTM.from_model(loaded), ids, spans_read, progress=bar.stage("reading the text"))
        learnt = None
        if strength is not None:
            show = bar.stage("learning from the text")
            learnt = evaluate_dynamic(loaded, ids, read, strength=strength, progress=show)
    figures = dataclasses.replace(figures, unknown=unknown, read_share=share, read_by=by)
    details: EvalDetails = {}
    whole = "" if corpus.options.units is None else f" of {plural(len(spans_read), 'whole unit')}"
    shown = f"{_figures(figures.loss)}  over {plural(figures.chars, 'character')}{whole}{part_name}"
    if strength is not None and learnt is not None:
        bits, perplexity = learnt * BITS_PER_NAT, math.exp(min(learnt, 700))
        details["dynamic"] = {"strength": strength, "loss": learnt, "bits_per_char": bits, "perplexity": perplexity}
        shown += f"\n{_figures(learnt)}  learning from what it reads, at strength {strength:g}"
        if figures.loss:
            shown += f": {learnt / figures.loss - 1:+.1%}"
    output.print_result(output.joined(figures, details), shown)


@click.command(
    epilog=options.examples(
        "charlstm score RUN a.txt",
        "charlstm score RUN novel.txt --per-sentence | sort -n",
        "charlstm score austen letter.txt --against dickens --against demo",
        about=options.MODEL_HELP,
    )
)
@options.model_argument
@options.text_argument
@options.integer_option("--top", minimum=0, default=10, help="How many surprising places to show.")
@click.option("--per-sentence", is_flag=True, help="Show the bits per character of each sentence instead.")
@click.option(
    "--against",
    "others",
    metavar="MODEL",
    multiple=True,
    shell_complete=options.complete_model,
    help="Compare with this model: which model is nearest to TEXT? May be repeated.",
)
@_dynamic_options
@options.model_and_text_options
def score(
    given: options.ModelAndText,
    top: int,
    per_sentence: bool,
    others: tuple[str, ...],
    strength: float | None,
) -> None:
    """Measure how surprising each character of TEXT is to MODEL, and show the most surprising ones.

    Of characters within 24 of each other only the most surprising one is listed; where that gives fewer than --top
    places, the most surprising characters are listed wherever they stand. Characters below the mean of the text, or
    below 1 bit, are left out.

    With --dynamic a copy of the model learns from what it has read, and all figures are those of this copy: what the
    text repeats surprises less. MODEL does not change.

    With --against the models are compared: which one needs the fewest bits for the whole text, and in how many of its
    sentences; --per-sentence shows for each sentence the nearest and by how many bits per character. All models read
    TEXT in one way. Characters that a model does not know do not count.

    With --json: the loss as of `eval`, `places`, `lines`, `sentences`, the scored `text`, and for each of its
    characters `losses` (nats), `ranks` (1 is the most likely character) and `entropy` (the bits that the model
    expected). The first character is not predicted: its figures are null. With --dynamic also "strength". With
    --against: {"nearest", "chars", "unknown", "text", "models", "sentences"}.
    """
    if others:
        options.refuse_unused("--against", "top", "dynamic")
        _score_against(given, others, per_sentence)
        return
    loaded = given.open_model()
    corpus = given.open_text(loaded.text_options)
    _what_was_read(loaded, corpus)
    with TerminalLine() as bar:
        if strength is None:
            scores = score_text(loaded, corpus.text(), progress=bar.stage("scoring"))
        else:
            scores = score_dynamic(loaded, corpus.text(), strength=strength, progress=bar.stage("scoring"))
    output.report_unknown_characters(scores.unknown, loaded.vocabulary, "They count in no mean")
    lines = line_numbers(corpus, np.arange(corpus.chars))
    if output.wants_json():
        details = _score_details(scores, lines, top)
        if strength is not None:
            details["strength"] = strength
        output.print_result(output.joined(scores, details))
    elif per_sentence:
        for sentence in _scored_sentences(scores, lines):
            one_line = visible(sentence["text"], keep="")
            click.echo(f"{sentence['bits_per_char']:>8.3f}  line {sentence['line']:>6,}  {one_line}")
    else:
        _print_scores(corpus.name, scores, lines, top)


@click.command(
    epilog=options.examples(
        "charlstm generate RUN --length 5000 | charlstm novelty - --model RUN",
        "charlstm novelty poem.txt --corpus poems/ --min-length 20",
    )
)
@options.text_argument
@click.option("--model", "run", metavar="RUN", help="Compare with the training text of this run, or of demo.")
@click.option("--corpus", "sources", metavar="TEXT", multiple=True, help="Compare with this text; may be repeated.")
@options.integer_option(
    "--min-length", minimum=2, maximum=1_000_000, default=30, help="Ignore stretches of fewer than N characters."
)
@options.integer_option("--top", minimum=0, default=10, help="How many stretches to show.")
@options.encoding_option
@options.common_options
def novelty(
    text: tuple[str, ...],
    run: str | None,
    sources: tuple[str, ...],
    min_length: int,
    top: int,
    encoding: str | None,
) -> None:
    """Find the stretches of TEXT that are copied word for word from another text, and where they come from.

    --model searches the part of its text that a run was trained on, --corpus searches any text. Of texts that are not
    here, such as the books of demo, a model knows every stretch of some 500 characters that it has read, and some
    shorter ones: those are found too.

    For a run that was trained on units, it also says which units of TEXT are units of the training part, and which
    were held out: those are not copied.

    With --json: {"chars", "copied", "share", "corpus", "stretches"}, and with units {"units", "known_units",
    "held_out_units"}.
    """
    if (run is None) == (not sources):
        raise click.UsageError(
            "Give the text to compare with: either --model RUN, for the training text of a run, or --corpus TEXT"
        )
    spans, corpus, known, read_as = None, None, None, TextOptions()
    if run is None:
        corpus = options.load_corpus(sources, USUAL)
    else:
        model = with_passages(options.open_model(run))
        try:
            corpus, spans = _own_text(run, model, "train")
        except TextError:
            if model.passages is None:
                raise
        if corpus is None or model.info.get("lineage"):
            known, read_as = model.passages, model.text_options
    own = read_as if corpus is None else corpus.options
    with options.usage_errors():
        text_options = dataclasses.replace(own.for_another_text(encoding), strip_boilerplate=False)
    searched_text = options.load_corpus(text, text_options)
    searched = searched_text.text()
    report, name = None, f"what {run} has read"
    if corpus is not None:
        index, name = NoveltyIndex(corpus, min_length, spans), visible(corpus.name, keep="")
        report = Novelty(index).update(searched)
        held_out = 0 if spans is None else corpus.text_chars - sum(stop - start for start, stop in spans)
        if held_out:
            output.print_note(f"The {held_out:,} held-out characters of {name} are not searched")
        if index.searched < corpus.chars:
            output.print_note(
                f"Only the first {index.searched:,} of {corpus.chars:,} characters of {name} are searched"
            )
    units, of_text, held_out_units = searched_text.units, list[str](), list[str]()
    report = with_known_passages(report, searched, known, min_length)
    if corpus is None or not corpus.units:
        units = ()  # there are none to compare with
    else:
        there, everywhere = corpus.unit_positions(spans), corpus.unit_positions()
        given = [(span, searched_text.text(*span)) for span in units]
        found = [(span, unit) for span, unit in given if unit in there]
        of_text = [unit for _, unit in found]
        held_out_units = [unit for _, unit in given if unit in everywhere and unit not in there]
        report = with_matches(report, searched, [Match(*span, there[unit]) for span, unit in found])
    if known is not None:
        output.print_note(
            f"What {run} has read {'besides ' if corpus is not None else ''}is not here: stretches below some {SURE} "
            "characters may be missed"
        )
    stretches = _copied_stretches(searched_text, corpus, report.matches)
    if output.wants_json():
        source = name if corpus is None else corpus.name
        details: NoveltyDetails = {"corpus": source, "stretches": stretches}
        if units:
            details |= {"units": len(units), "known_units": of_text, "held_out_units": held_out_units}
        output.print_result(output.joined(report, details))
        return
    if units:
        for found_units, part in ((of_text, "training"), (held_out_units, "held-out")):
            names = ", ".join(visible(unit, keep="") for unit in found_units)
            if names or part == "training":
                of = f"{len(found_units):,} of {plural(len(units), 'unit')} are in the {part} part of {name}"
                click.echo(f"{of}: {truncate(names, 200)}" if names else of)
    if not stretches and corpus is None:
        click.echo(f"Nothing was found in {report.chars:,} characters that {run} is known to have read")
        return
    if not stretches:
        click.echo(f"Nothing is copied: no {min_length} characters in a row of {report.chars:,} are in {name}")
        return
    longest = max(stretch["length"] for stretch in stretches)
    if corpus is not None and known is not None:
        name += f", or known from what {run} had read before"
    click.echo(
        f"{percent(report.share)} copied: {report.copied:,} of {report.chars:,} characters are word for word in "
        f"{name}, in {len(stretches):,} {'stretch' if len(stretches) == 1 else 'stretches'}, the longest of {longest:,}"
    )
    width = max(40, terminal_width() - 40)
    for stretch in sorted(stretches, key=lambda stretch: -stretch["length"])[:top]:
        shown = visible(stretch["text"], keep="")
        line = stretch["corpus_line"]
        origin = f"from line {line:>7,}" if line is not None else "known to be read "
        click.echo(f"  {stretch['length']:>6,} characters  {origin}  {truncate(shown, width)}")


# -- input -------------------------------------------------------------------------------------------------------


def _what_was_read(
    model: Model,
    corpus: Corpus,
    spans: Sequence[tuple[int, int]] | None = None,
    part: str = "validation",
    called: str = "The model",
) -> tuple[float | None, str | None]:
    """How much of a text, or of the ``spans`` of its ``part``, the model has read, and which model did: see
    :func:`~charlstm.runs.start_models.share_read`. Much of what was held out is worth a note, in which the model is
    ``called`` so."""
    share, by = share_read(model, corpus, spans or [(0, corpus.chars)])
    if is_much(share) and (spans is None or part in ("validation", "test")):
        name = visible(corpus.name, keep="") if spans is None else _name_of_part(corpus, part)
        through = f", through {visible(by, keep='')}, from which it started" if by else ""
        output.print_note(
            f"{called} was trained on {percent(share or 0)} of {name}{through}, so the loss on it is lower than on "
            "new text"
        )
    return share, by


def _own_text(name: str, model: Model, part: str) -> tuple[Corpus, tuple[tuple[int, int], ...] | None]:
    """The text that a run was trained on, and the spans of a part (None: all).

    Raises :class:`RunError` for a part that the run does not have, :class:`TextError` for a model that is not a run.
    """
    run = options.run_of(name)
    if run is None:
        text = model.info.get("corpus")
        origin = f" ({visible(text, keep='')})" if isinstance(text, str) and text else ""
        raise TextError(f"The text that {name} was trained on{origin} does not come with the model: give a text")
    corpus = open_text(run)
    return corpus, _spans_of(part, corpus, run.spec().settings, run.name)


def _spans_of(part: str, corpus: Corpus, settings: Settings, name: str) -> tuple[tuple[int, int], ...] | None:
    """The spans of a part of ``corpus``, which ``settings`` divide; None: all. Raises as :func:`_own_text`."""
    if part == "all" and corpus.validation is None:
        return None
    spans = part_spans(corpus, part, settings.val_fraction, settings.split, settings.test_fraction)
    if not spans:
        words, fraction, other = ("test", "test_fraction", "validation")
        if part == "validation":
            words, fraction, other = ("held-out", "val_fraction", "train")
        reason = "the text was too short" if getattr(settings, fraction) else f"{fraction} was 0"
        raise RunError(f"{name} has no {words} part, because {reason}: use --part {other}")
    return spans


def _name_of_part(corpus: Corpus, part: str) -> str:
    if part == "validation" and corpus.validation is not None:
        return f"the validation text {visible(corpus.validation.name, keep='')}"
    return _PARTS[part]


# -- output ------------------------------------------------------------------------------------------------------


def _figures(loss: float) -> str:
    return (
        f"loss {loss:.3f} nats per character  {loss * BITS_PER_NAT:.3f} bits per character  "
        f"perplexity {math.exp(min(loss, 700)):.3f}"
    )


def _score_details(scores: Scores, file_lines: npt.NDArray[np.int64], top: int) -> ScoreDetails:
    return {
        "losses": [None, *(round(loss, 4) for loss in scores.nats[1:].tolist())],
        "ranks": [None, *scores.ranks[1:].tolist()],
        "entropy": [None, *(round(entropy, 4) for entropy in scores.entropy[1:].tolist())],
        "places": scores.places(top),
        "lines": _scored_lines(scores, file_lines),
        "sentences": _scored_sentences(scores, file_lines),
    }


def _scored_lines(scores: Scores, file_lines: npt.NDArray[np.int64]) -> list[ScoredLine]:
    """Each line, or each paragraph that was joined, with the mean loss of its characters, the newline included."""
    lines: list[ScoredLine] = []
    start, counted = 0, scores.counted
    for line in re.findall(r"[^\n]*\n|[^\n]+", scores.text):
        which = slice(start, start + len(line))
        nats = scores.nats[which][counted[which]]
        loss = float(nats.mean(dtype="float64")) if len(nats) else None
        bits, number = None if loss is None else loss * BITS_PER_NAT, int(file_lines[start])
        text = line.removesuffix("\n")
        lines.append(ScoredLine(line=number, chars=len(nats), loss=loss, bits_per_char=bits, text=text))
        start += len(line)
    return lines


def _scored_sentences(scores: Scores, file_lines: npt.NDArray[np.int64]) -> list[ScoredSentence]:
    """Each sentence with the mean loss of its characters."""
    return [
        {
            "line": int(file_lines[each.start]),
            "start": each.start,
            "stop": each.stop,
            "text": scores.text[each.start : each.stop],
            "loss": each.bits_per_char / BITS_PER_NAT,
            "bits_per_char": each.bits_per_char,
        }
        for each in scores.sentences()
    ]


def _score_against(given: options.ModelAndText, others: Sequence[str], per_sentence: bool) -> None:
    """Compare MODEL with ``others`` by the bits of TEXT."""
    names = [given.model, *others]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise click.UsageError(f"The model {twice} is given twice: give each model once")
    models = [given.open_model(), *(options.open_model(name) for name in others)]
    text_options = shared_options(models)
    corpus = given.open_text(text_options)
    differ = [
        name
        for name, model in zip(names, models, strict=True)
        if _reading(model.text_options) != _reading(text_options)
    ]
    if differ:
        output.print_note(f"All read this text {_reading(text_options)}; trained in another way: {', '.join(differ)}")
    for name, model in zip(names, models, strict=True):
        _what_was_read(model, corpus, called=name)
    with TerminalLine() as bar:
        scores = score_models(models, corpus.text(), progress=bar.stage("scoring"))
    if unknown := scores[0].unknown:
        chars = ", ".join(f"{symbol(char)} × {count:,}" for char, count in sorted(unknown.items())[:6])
        count = f"{sum(unknown.values()):,} of {plural(corpus.chars, 'character')}"
        output.print_note(
            f"{count} count for no model, since one does not know them: {chars}{', …' * (len(unknown) > 6)}"
        )
    result = _against_result(names, scores, line_numbers(corpus, np.arange(corpus.chars)))
    if not per_sentence or output.wants_json():
        output.print_result(result, _against_table(visible(corpus.name, keep=""), result))
        return
    width = max(map(len, names))
    for each in result["sentences"]:
        least, second = sorted(each["bits_per_char"].values())[:2]
        sentence = f"line {each['line']:>6,}  {visible(each['text'], keep='')}"
        click.echo(f"{second - least:>8.3f}  {each['nearest']:{width}}  {sentence}")


def _reading(text_options: TextOptions) -> str:
    if text_options.units is not None:
        return "as units"
    return "as one text, with its lines" if text_options.lines == "keep" else "as one text, wrapped prose as paragraphs"


def _against_result(names: Sequence[str], scores: Sequence[Scores], lines: npt.NDArray[np.int64]) -> ScoreAgainstResult:
    sentences: list[ComparedSentence] = []
    for row in zip(*(each.sentences() for each in scores), strict=True):
        bits = {name: each.bits_per_char for name, each in zip(names, row, strict=True)}
        start, stop, nearest = row[0].start, row[0].stop, min(bits, key=bits.__getitem__)
        place: SentencePlace = {
            "line": int(lines[start]),
            "start": start,
            "stop": stop,
            "text": scores[0].text[start:stop],
        }
        sentences.append({**place, "bits_per_char": bits, "nearest": nearest})
    order = sorted(zip(names, scores, strict=True), key=lambda each: each[1].loss)
    chars, least = scores[0].chars, order[0][1].loss
    models: list[ModelBits] = [
        {
            "model": name,
            "bits": each.bits_per_char * chars,
            "bits_per_char": each.bits_per_char,
            "log10_odds": (least - each.loss) * chars / math.log(10),
            "nearest_in": [sentence["nearest"] for sentence in sentences].count(name),
        }
        for name, each in order
    ]
    return {
        "nearest": order[0][0],
        "chars": chars,
        "unknown": scores[0].unknown,
        "text": scores[0].text,
        "models": models,
        "sentences": sentences,
    }


def _against_table(text: str, found: ScoreAgainstResult) -> str:
    best, next_best = found["models"][:2]
    less, of = next_best["bits_per_char"] - best["bits_per_char"], plural(len(found["sentences"]), "sentence")
    titles = ["MODEL", "BITS PER CHARACTER", "BITS MORE", "ODDS", "SENTENCES"]
    rows = []
    for each in found["models"]:
        more, exponent = each["bits"] - best["bits"], -each["log10_odds"]
        odds = f"1 : {10**exponent:,.1f}" if exponent < 6 else f"1 : 10^{exponent:,.0f}"
        rows.append((each["model"], f"{each['bits_per_char']:.3f}", f"{more:,.1f}", odds, f"{each['nearest_in']:,}"))
    lines = [
        f"{text}: {plural(found['chars'], 'character')} in {of}",
        *table(titles, rows, right=titles[1:]),
        f"Nearest: {best['model']}, by {less:.2f} bits a character; nearest in {best['nearest_in']:,} of {of}.",
        "The odds assume that one of these models wrote it, each equally likely before.",
    ]
    return "\n".join(lines)


def _print_scores(name: str, scores: Scores, file_lines: npt.NDArray[np.int64], top: int) -> None:
    click.echo(
        f"{visible(name, keep='')}: {scores.bits_per_char:.3f} bits per character, perplexity {scores.perplexity:.3f}, "
        f"over {plural(scores.chars, 'character')}"
    )
    strip = scores.strip(max(10, min(terminal_width(), 100) - 22))
    highest = float(strip.max()) or 1.0
    cells = "".join(_BLOCKS[min(7, int(8 * value / highest))] for value in strip.tolist())
    each = math.ceil(scores.chars / len(cells))
    averaged = f": means of {'up to ' if scores.chars % len(cells) else ''}{each:,} characters" if each > 1 else ""
    click.echo(f"bits        {cells}  up to {highest:.1f}{averaged}")
    least = scores.surprising
    places = scores.places(top, least=least)
    if top and not places:
        click.echo(f"nothing is surprising: no character needs {least:.1f} bits or more")
    elif top:
        click.echo(f"most surprising; characters below {least:.1f} bits are left out")
    for place in places:
        line = file_lines[place.position]
        before, after = (visible(part, keep="") for part in (place.before, place.after))
        click.echo(f"{place.bits:7.1f} bits  line {line:>6,}  {before:>{APART}}[{symbol(place.char)}]{after}")


def _copied_stretches(searched: Corpus, corpus: Corpus | None, matches: tuple[Match, ...]) -> list[CopiedStretch]:
    """The matches with their positions, and line numbers in the files, in the searched text and in the corpus."""
    if not matches:
        return []
    lines = line_numbers(searched, np.array([match.start for match in matches])).tolist()
    positions = np.array([match.where or 0 for match in matches])
    corpus_lines = [0] * len(matches) if corpus is None else line_numbers(corpus, positions).tolist()
    return [
        {
            "start": match.start,
            "length": match.length,
            "line": line,
            "corpus_start": match.where,
            "corpus_line": None if match.where is None else corpus_line,
            "text": searched.text(match.start, match.stop),
        }
        for match, line, corpus_line in zip(matches, lines, corpus_lines, strict=True)
    ]
