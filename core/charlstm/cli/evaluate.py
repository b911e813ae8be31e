"""Commands that evaluate: ``eval`` and ``score`` a text by a model, ``novelty`` of a text against a corpus."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from charlstm.cli.json_schemas import (
    CopiedStretch,
    DynamicResult,
    EvalResult,
    LossFigures,
    NoveltyResult,
    ScoredLine,
    ScoredPlace,
    ScoredSentence,
    ScoreResult,
)
from charlstm.cli.options import (
    MODEL_HELP,
    ModelAndText,
    encoding_option,
    examples,
    find_run,
    integer_option,
    json_option,
    load_corpus,
    model_and_text_options,
    model_argument,
    number_option,
    open_model,
    optional_text_argument,
    runs_dir_option,
    text_argument,
    usage_errors,
)
from charlstm.cli.output import (
    ProgressBar,
    print_note,
    print_result,
    report_unknown_characters,
    terminal_width,
    truncate,
)
from charlstm.display import BITS_PER_NAT, percent, plural, symbol, visible
from charlstm.errors import CharLSTMError, RunError, TextError
from charlstm.text.builtin import is_builtin
from charlstm.text.reading import USUAL
from charlstm.training.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from charlstm.generation.novelty import Match
    from charlstm.generation.scoring import Scores
    from charlstm.model.file import Model
    from charlstm.text.corpus import Corpus

_PARTS = {
    "validation": "the held-out part",
    "test": "the test part",
    "train": "the training part",
    "all": "all",
}
"""The parts of a run's own text, as messages name them."""

_OLD_PARTS = {"training": "train"}
"""Names of parts in version 0.1."""

_BLOCKS = "▁▂▃▄▅▆▇█"

_F = TypeVar("_F", bound=Callable[..., Any])


def _dynamic_options(command: _F) -> _F:
    """Add --dynamic and --strength. The command receives ``strength``, which is None without --dynamic."""

    @functools.wraps(command)
    def check(*args: Any, dynamic: bool, strength: float | None, **values: Any) -> Any:
        if strength is not None and not dynamic:
            raise click.UsageError("--strength is that of --dynamic: add --dynamic, or remove --strength")
        if dynamic:
            from charlstm.generation.dynamic import checked_strength

            with usage_errors():
                strength = checked_strength(1.0 if strength is None else strength)
        return command(*args, strength=strength, **values)

    add_strength = number_option(
        "--strength", help="How fast it learns with --dynamic, 0 to 10: a factor of the learning rate.  [default: 1]"
    )
    add_dynamic = click.option(
        "--dynamic", is_flag=True, help="Let a copy of the model learn from the text as it reads."
    )
    return cast(_F, add_dynamic(add_strength(check)))


@click.command(
    "eval",
    epilog=examples(
        "charlstm eval RUN", "charlstm eval RUN other.txt", "charlstm eval RUN - --json < a.txt", about=MODEL_HELP
    ),
)
@model_argument
@optional_text_argument
@click.option(
    "--part",
    type=click.Choice([*_PARTS, *_OLD_PARTS]),
    metavar="[" + "|".join(_PARTS) + "]",
    help="Which part of the run's own text, without TEXT.  [default: validation]",
)
@_dynamic_options
@model_and_text_options
def eval_(
    given: ModelAndText,
    part: str | None,
    strength: float | None,
    as_json: bool,
) -> None:
    """Measure how well MODEL predicts TEXT: loss (nats per character), bits per character, perplexity.

    Without TEXT, a run is evaluated on its own held-out part, as its last validation did; --part chooses another part.
    Characters that the model does not know are counted and left out, unless it has a symbol for rare characters.

    --dynamic also measures how well it predicts the text when it learns from what it has read of it so far. What it
    learns is forgotten afterwards: MODEL does not change.

    With --json: {"loss", "bits_per_char", "perplexity", "chars", "unknown"}, and with --dynamic {"dynamic"}, an object
    with "strength" and the same figures. `nats` is the old name of `loss` and will be dropped in the next version.
    """
    loaded = given.open_model()
    part = _OLD_PARTS.get(part or "", part)
    spans, part_name = None, ""
    if given.text:
        if part is not None:
            raise click.UsageError("--part selects a part of the run's own text: remove it, or remove TEXT")
        corpus = given.open_text(loaded)
    else:
        corpus, spans = _own_text(given.model, given.runs_dir, part or "validation")
        part_name = f" of {_name_of_part(corpus, part or 'validation')} of {visible(corpus.name, keep='')}"
        if given.encoding is not None or given.max_chars is not None:
            raise click.UsageError(
                "--encoding and --max-chars need a TEXT: a run's own text is read as it was for training"
            )
    ids, unknown = corpus.encoded_for(loaded.vocabulary)
    if given.text or part in (None, "validation", "test"):
        _warn_if_trained_on(given, loaded, corpus, spans, part or "validation")
    if spans is not None and unknown:
        raise RunError(f"The model of {given.model} was not trained on {corpus.name}, the text of the run: give a TEXT")
    if len(ids) < 2:
        raise TextError(
            f"{corpus.name} has fewer than two characters that the model knows, so there is nothing to predict"
        )
    report_unknown_characters(unknown, "left out", loaded.vocabulary)
    from charlstm.engine.evaluation import evaluate
    from charlstm.engine.network import CharLSTM

    read = spans or [(0, len(ids))]
    with ProgressBar() as bar:
        figures = evaluate(CharLSTM.from_model(loaded), ids, read, progress=bar.stage("reading the text"))
        learnt = None if strength is None else _dynamic_result(loaded, ids, read, strength, bar)
    result: EvalResult = {
        "loss": figures.nats,
        "nats": figures.nats,
        "bits_per_char": figures.bits,
        "perplexity": figures.perplexity,
        "chars": figures.chars,
        "unknown": unknown,
    }
    shown = f"{_figures(result)}  over {plural(figures.chars, 'character')}{part_name}"
    if learnt is not None:
        result["dynamic"] = learnt
        shown += f"\n{_figures(learnt)}  learning from what it reads, at strength {learnt['strength']:g}"
        if result["loss"]:
            shown += f": {learnt['loss'] / result['loss'] - 1:+.1%}"
    print_result(as_json, result, shown)


@click.command(
    epilog=examples(
        "charlstm score RUN a.txt", "charlstm score RUN novel.txt --per-sentence | sort -n", about=MODEL_HELP
    )
)
@model_argument
@text_argument
@integer_option("--top", minimum=0, default=10, help="How many surprising places to show.")
@click.option("--per-line", is_flag=True, help="Show the bits per character of each line instead.")
@click.option("--per-sentence", is_flag=True, help="Show the bits per character of each sentence instead.")
@_dynamic_options
@model_and_text_options
def score(
    given: ModelAndText,
    top: int,
    per_line: bool,
    per_sentence: bool,
    strength: float | None,
    as_json: bool,
) -> None:
    """Measure how surprising each character of TEXT is to MODEL, and show the most surprising ones.

    Of characters within 24 of each other only the most surprising one is listed; where that gives fewer than --top
    places, the most surprising characters are listed wherever they stand. Characters below the mean of the text, or
    below 1 bit, are left out.

    With --dynamic a copy of the model learns from what it has read, and all figures are those of this copy: what the
    text has said before surprises less. MODEL does not change.

    With --json: the figures of `eval`, the scored `text`, and for each of its characters `losses` (nats), `ranks` (1 is
    the most likely character) and `entropy` (the bits that the model expected). The first character is not predicted:
    its figures are null. With --dynamic also "strength". `nats` and `bits` are old names of `loss` and `losses`, and
    will be dropped in the next version.
    """
    from charlstm.generation.dynamic import score_dynamic
    from charlstm.generation.scoring import score as score_text

    if per_line and per_sentence:
        raise click.UsageError("Give --per-line or --per-sentence, not both")
    loaded = given.open_model()
    corpus = given.open_text(loaded)
    _warn_if_trained_on(given, loaded, corpus)
    with ProgressBar() as bar:
        if strength is None:
            scores = score_text(loaded, corpus.text(), progress=bar.stage("scoring"))
        else:
            scores = score_dynamic(loaded, corpus.text(), strength=strength, progress=bar.stage("scoring"))
    report_unknown_characters(scores.unknown, "left out", loaded.vocabulary)
    lines = _file_lines(corpus, scores)
    if as_json:
        result = _score_result(scores, lines, top)
        if strength is not None:
            result["strength"] = strength
        print_result(True, result)
    elif per_line:
        for line in _scored_lines(scores, lines):
            bits = "–" if line["bits_per_char"] is None else f"{line['bits_per_char']:.3f}"
            click.echo(f"{bits:>8}  {visible(line['text'])}")
    elif per_sentence:
        for sentence in _scored_sentences(scores, lines):
            one_line = visible(sentence["text"], keep="")
            click.echo(f"{sentence['bits_per_char']:>8.3f}  line {sentence['line']:>6,}  {one_line}")
    else:
        _print_scores(corpus.name, scores, lines, top)


@click.command(
    epilog=examples(
        "charlstm generate RUN --length 5000 | charlstm novelty - --model RUN",
        "charlstm novelty poem.txt --corpus poems/ --min-length 20",
    )
)
@text_argument
@click.option("--model", "run", metavar="RUN", help="Compare with the training text of this run, or of demo.")
@click.option("--corpus", "sources", metavar="TEXT", multiple=True, help="Compare with this text; may be repeated.")
@integer_option(
    "--min-length", minimum=2, maximum=1_000_000, default=30, help="Ignore stretches of fewer than N characters."
)
@integer_option("--top", minimum=0, default=10, help="How many stretches to show.")
@encoding_option
@json_option
@runs_dir_option
def novelty(
    text: tuple[str, ...],
    run: str | None,
    sources: tuple[str, ...],
    min_length: int,
    top: int,
    encoding: str | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """Find the stretches of TEXT that are copied word for word from another text, and where they come from.

    --model searches the part of its text that a run was trained on, --corpus searches any text.

    With --json: {"chars", "copied", "share", "corpus", "stretches"}.
    """
    from charlstm.generation.novelty import Novelty, NoveltyIndex

    if (run is None) == (not sources):
        raise click.UsageError(
            "Give the text to compare with: either --model RUN, for the training text of a run, or --corpus TEXT"
        )
    spans = None
    if run is None:
        corpus = load_corpus(sources, USUAL)
    else:
        corpus, spans = _own_text(run, runs_dir, "train")
    options = dataclasses.replace(corpus.options.for_another_text(encoding), strip_boilerplate=False)
    searched_text = load_corpus(text, options)
    index = NoveltyIndex(corpus, min_length, spans)
    report = Novelty(index).update(searched_text.text())
    held_out = 0 if spans is None else corpus.text_chars - sum(stop - start for start, stop in spans)
    name = visible(corpus.name, keep="")
    if held_out:
        print_note(f"The {held_out:,} held-out characters of {name} are not searched")
    if index.searched < corpus.chars:
        print_note(f"Only the first {index.searched:,} of {corpus.chars:,} characters of {corpus.name} are searched")
    stretches = _copied_stretches(searched_text, corpus, report.matches)
    if as_json:
        result: NoveltyResult = {
            "chars": report.chars,
            "copied": report.copied,
            "share": report.share,
            "corpus": corpus.name,
            "stretches": stretches,
        }
        print_result(True, result)
        return
    if not stretches:
        click.echo(f"Nothing is copied: no {min_length} characters in a row of {report.chars:,} are in {name}")
        return
    longest = max(stretch["length"] for stretch in stretches)
    click.echo(
        f"{percent(report.share)} copied: {report.copied:,} of {report.chars:,} characters are word for word in "
        f"{name}, in {len(stretches):,} {'stretch' if len(stretches) == 1 else 'stretches'}, the longest of {longest:,}"
    )
    width = max(40, terminal_width() - 40)
    for stretch in sorted(stretches, key=lambda stretch: -stretch["length"])[:top]:
        shown = visible(stretch["text"], keep="")
        click.echo(
            f"  {stretch['length']:>6,} characters  from line {stretch['corpus_line']:>7,}  {truncate(shown, width)}"
        )


# -- input -------------------------------------------------------------------------------------------------------


def _warn_if_trained_on(
    given: ModelAndText,
    model: Model,
    corpus: Corpus,
    spans: Sequence[tuple[int, int]] | None = None,
    part: str = "validation",
) -> None:
    """Print a note when the model was trained on much of ``corpus``, or of the ``spans`` of its ``part``.

    The model file says what it was trained on; if it does not, its training text is searched for.
    """
    from charlstm.runs.start_models import passages_read
    from charlstm.text.batches import trained_share, trained_texts
    from charlstm.text.passages import share_read
    from charlstm.text.statistics import MIN_OVERLAP, overlap_share

    text_name = visible(corpus.name, keep="") if spans is None else _name_of_part(corpus, part)
    spans_or_all = spans or [(0, corpus.chars)]
    share, _ = trained_share(trained_texts(model.info), corpus, spans_or_all)
    share = share or share_read(passages_read(model), corpus, spans_or_all)
    if share < MIN_OVERLAP:
        try:
            own, train = _own_text(given.model, given.runs_dir, "train")
            ids = corpus.encoded_for(own.vocabulary)[0]
        except CharLSTMError:  # the model does not know its text, or the text is gone: the share is unknown
            return
        share = overlap_share(ids, spans or [(0, len(ids))], own.ids, train or [(0, own.chars)])
    if share >= MIN_OVERLAP:
        print_note(
            f"The model was trained on {percent(share)} of {text_name}, so the loss on it is lower than on new text"
        )


def _own_text(name: str, runs_dir: Path | None, part: str) -> tuple[Corpus, tuple[tuple[int, int], ...] | None]:
    """The text that a run, or a model trained on a built-in text, was trained on, and the spans of a part (None: all).

    Raises :class:`RunError` for a part that the run does not have, :class:`TextError` for a model without a text.
    """
    from charlstm.text.batches import TrainingText
    from charlstm.text.corpus import reopen_corpus

    if name == "demo" or name.endswith(".safetensors"):
        corpus, settings = _built_in_text(name, open_model(name, runs_dir))
    else:
        run = find_run(name, runs_dir)
        spec = run.spec()
        name, corpus, settings = run.name, reopen_corpus(spec.corpus), spec.settings
    if part == "all":
        both = (0, corpus.text_chars), (corpus.text_chars, corpus.chars)
        return corpus, None if corpus.validation is None else both
    parts = TrainingText.of(corpus, corpus.vocabulary, settings.val_fraction, settings.split, settings.test_fraction)
    if part == "train":
        return corpus, parts.train
    if part == "test":
        if not parts.test:
            reason = "the text was too short" if settings.test_fraction else "test_fraction was 0"
            raise RunError(f"{name} has no test part, because {reason}: use --part validation")
        return corpus, parts.test
    if not parts.held_out:
        reason = "the text was too short" if settings.val_fraction else "val_fraction was 0"
        raise RunError(f"{name} has no held-out part, because {reason}: use --part train")
    return corpus, parts.held_out


def _built_in_text(name: str, model: Model) -> tuple[Corpus, Settings]:
    """The built-in text that a model outside a run was trained on, and its settings."""
    from charlstm.text.corpus import open_corpus

    info = model.info
    text_name, settings = info.get("corpus"), info.get("settings")
    if not isinstance(text_name, str) or not is_builtin(text_name) or not isinstance(settings, dict):
        origin = f" ({visible(text_name, keep='')})" if isinstance(text_name, str) and text_name else ""
        raise TextError(f"The text that {name} was trained on{origin} does not come with the model: give a text")
    corpus = open_corpus(text_name, model.text_options)
    if corpus.fingerprint != info.get("fingerprint"):
        raise TextError(f"{name} was trained on {text_name} of another Python version: give a TEXT")
    return corpus, Settings.from_dict(settings)


def _name_of_part(corpus: Corpus, part: str) -> str:
    if part == "validation" and corpus.validation is not None:
        return f"the validation text {visible(corpus.validation.name, keep='')}"
    return _PARTS[part]


# -- output ------------------------------------------------------------------------------------------------------


def _figures(found: LossFigures | DynamicResult) -> str:
    return (
        f"loss {found['loss']:.4f} nats per character  {found['bits_per_char']:.4f} bits per character  "
        f"perplexity {found['perplexity']:.3f}"
    )


def _dynamic_result(
    model: Model, ids: npt.NDArray[Any], spans: Sequence[tuple[int, int]], strength: float, bar: ProgressBar
) -> DynamicResult:
    from charlstm.generation.dynamic import evaluate_dynamic

    loss = evaluate_dynamic(model, ids, spans, strength=strength, progress=bar.stage("learning from the text"))
    return {
        "strength": strength,
        "loss": loss,
        "bits_per_char": loss * BITS_PER_NAT,
        "perplexity": math.exp(min(loss, 700)),
    }


def _file_lines(corpus: Corpus, scores: Scores) -> npt.NDArray[np.int64]:
    """For each character of the text that was scored, which may lack unknown ones, its line in the file."""
    import numpy as np

    from charlstm.text.corpus import line_numbers

    known = np.array([symbol not in scores.unknown for symbol in corpus.vocabulary.symbols])
    left_out = len(scores.text) < corpus.chars
    return line_numbers(corpus, np.flatnonzero(known[corpus.ids]) if left_out else np.arange(corpus.chars))


def _score_result(scores: Scores, file_lines: npt.NDArray[np.int64], top: int) -> ScoreResult:
    losses = scores.nats[1:].tolist()
    return {
        "loss": scores.mean_nats,
        "nats": scores.mean_nats,
        "bits_per_char": scores.bits_per_char,
        "perplexity": scores.perplexity,
        "chars": scores.chars,
        "unknown": scores.unknown,
        "text": scores.text,
        "losses": [None, *(round(loss, 4) for loss in losses)],
        "bits": [None, *(round(loss * BITS_PER_NAT, 4) for loss in losses)],
        "ranks": [None, *scores.ranks[1:].tolist()],
        "entropy": [None, *(round(entropy, 4) for entropy in scores.entropy[1:].tolist())],
        "places": _scored_places(scores, top),
        "lines": _scored_lines(scores, file_lines),
        "sentences": _scored_sentences(scores, file_lines),
    }


def _scored_places(scores: Scores, top: int) -> list[ScoredPlace]:
    """The ``top`` most surprising characters."""
    return [
        {
            "position": place.position,
            "char": place.char,
            "loss": place.bits / BITS_PER_NAT,
            "bits": place.bits,
            "rank": place.rank,
            "before": place.before,
            "after": place.after,
        }
        for place in scores.places(top)
    ]


def _scored_lines(scores: Scores, file_lines: npt.NDArray[np.int64]) -> list[ScoredLine]:
    """Each line, or each paragraph that was joined, with the mean loss of its characters, the newline included."""
    lines: list[ScoredLine] = []
    start = 0
    for line in re.findall(r"[^\n]*\n|[^\n]+", scores.text):
        nats = scores.nats[max(start, 1) : start + len(line)]
        loss = float(nats.mean(dtype="float64")) if len(nats) else None
        lines.append(
            {
                "line": int(file_lines[start]),
                "chars": len(nats),
                "loss": loss,
                "bits_per_char": None if loss is None else loss * BITS_PER_NAT,
                "text": line.removesuffix("\n"),
            }
        )
        start += len(line)
    return lines


def _scored_sentences(scores: Scores, file_lines: npt.NDArray[np.int64]) -> list[ScoredSentence]:
    """Each sentence with the mean loss of its characters."""
    return [
        {
            "line": int(file_lines[sentence.start]),
            "start": sentence.start,
            "stop": sentence.stop,
            "loss": sentence.bits_per_char / BITS_PER_NAT,
            "bits_per_char": sentence.bits_per_char,
            "text": scores.text[sentence.start : sentence.stop],
        }
        for sentence in scores.sentences()
    ]


def _print_scores(name: str, scores: Scores, file_lines: npt.NDArray[np.int64], top: int) -> None:
    from charlstm.generation.scoring import APART

    click.echo(
        f"{visible(name, keep='')}: {scores.bits_per_char:.4f} bits per character, perplexity {scores.perplexity:.3f}, "
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
        unlisted = scores.unlisted(places)
        heading = f"most surprising; all others are below {least:.1f} bits"
        if unlisted >= least:
            heading = f"most surprising; of the others none needs more than {unlisted:.1f} bits"
        if unlisted > places[-1].bits:
            heading = f"most surprising; neighbours within {APART} characters, up to {unlisted:.1f} bits, are left out"
        click.echo(heading)
    for place in places:
        line = file_lines[place.position]
        before, after = (visible(part, keep="") for part in (place.before, place.after))
        click.echo(f"{place.bits:7.1f} bits  line {line:>6,}  {before:>{APART}}[{symbol(place.char)}]{after}")


def _copied_stretches(searched: Corpus, corpus: Corpus, matches: tuple[Match, ...]) -> list[CopiedStretch]:
    """The matches with their positions, and line numbers in the files, in the searched text and in the corpus."""
    import numpy as np

    from charlstm.text.corpus import line_numbers

    if not matches:
        return []
    starts = np.array([(match.start, match.where) for match in matches]).T
    lines = zip(line_numbers(searched, starts[0]).tolist(), line_numbers(corpus, starts[1]).tolist(), strict=True)
    return [
        {
            "start": match.start,
            "length": match.length,
            "line": line,
            "corpus_start": match.where,
            "corpus_line": corpus_line,
            "text": searched.text(match.start, match.stop),
        }
        for match, (line, corpus_line) in zip(matches, lines, strict=True)
    ]
