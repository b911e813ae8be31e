"""Commands that look inside a model: ``cells``, ``influence``, ``context``, ``multiverse`` and ``report``."""

from __future__ import annotations

import math
import re
import sys
import textwrap
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.generate import unescaped
from charlstm.cli.json_schemas import (
    CellScoreRow,
    CellStateRow,
    ContextRow,
    InfluenceRow,
    MultiverseBranch,
    NamedCellRow,
    NextWordRow,
    ProbeCellRow,
    RankedPlaceRow,
)
from charlstm.cli.options import (
    MODEL_HELP,
    clamp_option,
    examples,
    integer_option,
    json_option,
    load_text_for,
    model_and_text_options,
    model_argument,
    models_of_run,
    number_option,
    open_model,
    optional_text_argument,
    run_of,
    runs_dir_option,
    snapshot_option,
    text_argument,
)
from charlstm.cli.output import (
    ProgressBar,
    plural,
    print_note,
    print_result,
    table,
    terminal_width,
    truncate,
    write_page,
)
from charlstm.display import shell_command, symbol, visible
from charlstm.errors import GenerationError, TextError
from charlstm.runs.models import evenly_chosen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from charlstm.generation.stepper import Stepper
    from charlstm.insight.cells import NamedCell, Probe
    from charlstm.insight.features import Feature
    from charlstm.insight.influence import Influence
    from charlstm.insight.multiverse import Branch
    from charlstm.insight.report import Sample
    from charlstm.model.file import Model
    from charlstm.runs.folder import Run
    from charlstm.svg import ChartCurve

CELLS_CHARS = 200_000
"""Characters of a text from which cells are named, unless --max-chars says otherwise."""

SNAPSHOT_CHARS = 50_000
"""The same where every snapshot of a run reads the text."""

CONTEXT_CHARS = 100_000
"""The same for the context."""

SCORED_MODELS = 8
"""Models of a run in which the cell of a feature is scored for its page."""

SAMPLES = 6
"""Samples of a run that its report shows."""

COLOURED_CHARS = 1_500
"""Characters that --show colours, unless --max-chars says otherwise."""

PROBE_CELLS = 8
"""Cells of a probe that are shown."""

LEVEL_STYLES: tuple[dict[str, Any], ...] = (
    {"fg": "blue", "bold": True, "italic": True},
    {"fg": "blue", "italic": True},
    {},
    {"fg": "yellow", "underline": True},
    {"fg": "yellow", "bold": True, "underline": True},
)
"""How a character looks whose cell is far below, below, about, above or far above its mean: blue and italic is low,
yellow and underlined is high, as in the app."""

LEVEL_MARKS = ("=", "-", " ", "+", "#")
"""The same as a mark under the character, where there are neither colours nor italics."""

FAR = 10
"""Characters beyond which an earlier one counts as far away."""

RANKED = 40
"""Places of a string that are explained for their ranking, at most: each takes some 0.3 s at 2 × 512."""

SHOWN_PLACES = 10
"""Of these, so many are shown."""

SHOWN = 0.02
"""Influences below this part of the strongest are not shown."""


find_option = click.option(
    "--find",
    metavar="STRING",
    help="Explain the last character of STRING, where it stands last in TEXT; \\n is a newline.",
)


@click.command(
    epilog=examples(
        "charlstm cells RUN novel.txt",
        r"charlstm cells RUN novel.txt --feature 'question=[^.?!]*\?'",
        "charlstm cells RUN novel.txt --probe 'inside quotes'",
        "charlstm cells RUN novel.txt --snapshots",
        "charlstm cells RUN novel.txt --show 2:187",
        about=MODEL_HELP,
    )
)
@model_argument
@text_argument
@click.option(
    "--feature", "patterns", multiple=True, metavar="NAME=REGEX", help="Another feature: true where REGEX matches."
)
@integer_option("--per-feature", minimum=1, default=1, help="How many cells to name for each feature.")
@click.option("--probe", "probed", metavar="FEATURE", help="Show which cells together follow a yes/no feature.")
@click.option(
    "--snapshots", "through_snapshots", is_flag=True, help="Show how well these cells did at each snapshot of the run."
)
@click.option("--show", "shown", metavar="L:C", help="Show the beginning of TEXT, coloured by cell C of layer L.")
@model_and_text_options
def cells(
    model: str,
    text: tuple[str, ...],
    patterns: tuple[str, ...],
    per_feature: int,
    probed: str | None,
    through_snapshots: bool,
    shown: str | None,
    snapshot: int | None,
    encoding: str | None,
    max_chars: int | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """Find the cells of MODEL that follow features of TEXT, such as being inside quotes.

    Cells are chosen on the first half of TEXT and scored on the second. auc: 0.5 is chance and 1 perfect, 0 perfect
    the other way round, which is printed as 1.00, low; r: a correlation. chance is what the best cell reaches for
    features that no cell follows.

    With --json: a list with feature, cell [layer, index] (counted from 1), kind (auc or r), score, chance, low and high
    (the cell's range), where_true and where_false (its mean); with --snapshots of feature, cell, kind, step and score;
    with --show of char and state.
    """
    from charlstm.insight.cells import name_cells, probe, sample_cells, score_cells
    from charlstm.insight.features import pattern_feature, text_features
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model

    if through_snapshots and (probed is not None or snapshot is not None):
        raise click.UsageError("--snapshots cannot be combined with --probe or --snapshot")
    if shown is not None and (through_snapshots or probed is not None):
        raise click.UsageError("--show cannot be combined with --probe or --snapshots")
    models = models_of_run(model, runs_dir) if through_snapshots else []
    named_patterns = [_named_pattern(pattern) for pattern in patterns]
    loaded = open_model(model, runs_dir, snapshot)
    usual = COLOURED_CHARS if shown is not None else SNAPSHOT_CHARS if models else CELLS_CHARS
    content, source = _start_of_text(loaded, text, encoding, max_chars, usual)
    if shown is not None:
        _print_coloured(loaded, content, _cell(shown, loaded), as_json)
        return

    def features(read: str) -> Sequence[Feature]:
        return [*(pattern_feature(name, regex, read) for name, regex in named_patterns), *text_features(read)]

    with ProgressBar() as bar:
        sample = sample_cells(loaded, content, features, progress=bar.stage("reading the text"))
    if probed is not None:
        one = name_cells(sample.only(probed))[0]
        _print_probe(probe(sample, probed), one, source, as_json)
        return
    found = name_cells(sample, per_feature=per_feature)
    if models:
        scores, last = {}, find_model(model, runs_dir)
        with ProgressBar() as bar:
            for step, path in models:
                if path != last:
                    stage = bar.stage(f"step {step:,}")
                    sample = sample_cells(load_model(path), content, features, progress=stage)
                scores[step] = [each.score for each in found] if path == last else score_cells(sample, found)
        _print_scores(found, scores, source, as_json)
        return
    rows: list[NamedCellRow] = [
        {
            "feature": each.feature,
            "cell": list(each.cell),
            "kind": each.kind,
            "score": each.score,
            "chance": each.chance,
            "low": each.low,
            "high": each.high,
            "where_true": each.where_true,
            "where_false": each.where_false,
        }
        for each in found
    ]
    print_result(as_json, rows, "\n".join(_cell_lines(found, source, model)))


@click.command(
    epilog=examples(
        "charlstm influence RUN letter.txt --at 120",
        "charlstm influence RUN novel.txt --find ',\"'",
        "charlstm influence RUN novel.txt --find ',\"' --rank",
        "echo 'She said, “no”' | charlstm influence RUN -",
        about=MODEL_HELP,
    )
)
@model_argument
@text_argument
@integer_option("--at", minimum=1, help="Position of the character to explain, counted from 0.  [default: the last]")
@find_option
@click.option(
    "--rank",
    is_flag=True,
    help=f"List the places of --find where a character more than {FAR} before it counts most.",
)
@integer_option("--back", minimum=1, default=100, help="How many characters before it to hide in turn.")
@model_and_text_options
def influence(
    model: str,
    text: tuple[str, ...],
    at: int | None,
    find: str | None,
    rank: bool,
    back: int,
    snapshot: int | None,
    encoding: str | None,
    max_chars: int | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """Show which earlier characters of TEXT make MODEL expect, or not expect, one character.

    Each earlier character is hidden in turn. A positive change means that hiding it makes the character less likely:
    the model used it.

    With --json: a list with position, char and change (nats of the explained character); with --rank a list of places
    with position, nats, back, char and change.
    """
    from charlstm.generation.prime import prepare_prime
    from charlstm.generation.stepper import Stepper

    if at is not None and find is not None:
        raise click.UsageError("Give --at or --find, not both")
    if rank and find is None:
        raise click.UsageError("--rank needs --find: it ranks the places of a string")
    loaded = open_model(model, runs_dir, snapshot)
    content, source = _start_of_text(loaded, text, encoding, max_chars)
    read = prepare_prime(loaded, content.rstrip("\n"), empty_is_fine=True).text
    places = [] if find is None else _places(read, find, loaded, source)
    stepper = Stepper(loaded)
    if rank:
        chosen = evenly_chosen(places, RANKED)
        with ProgressBar() as bar:
            progress = bar.stage("explaining")
            found = []
            for done, place in enumerate(chosen):
                progress(done, len(chosen))
                found.append(_influence_at(loaded, stepper, read, place, back))
        _print_ranked(found, read, len(places), as_json)
        return
    position = places[-1] if places else len(read) - 1 if at is None else at
    shown = _influence_at(loaded, stepper, read, position, back)
    rows: list[InfluenceRow] = [
        {"position": shown.start + n, "char": read[shown.start + n], "change": float(change)}
        for n, change in enumerate(shown.changes)
    ]
    print_result(as_json, rows, "\n".join(_influence_lines(shown, read, places)))


@click.command(
    epilog=examples("charlstm context RUN novel.txt", "charlstm context RUN novel.txt --at 5000", about=MODEL_HELP)
)
@model_argument
@text_argument
@integer_option("--at", minimum=1, help="Measure for the character at this position alone, counted from 0.")
@integer_option("--places", minimum=1, default=200, help="How many characters of TEXT to predict for each figure.")
@model_and_text_options
def context(
    model: str,
    text: tuple[str, ...],
    at: int | None,
    places: int,
    snapshot: int | None,
    encoding: str | None,
    max_chars: int | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """Measure how many characters of context MODEL uses on TEXT.

    The loss is measured with only the last characters, and with those of the longest context in random order before
    them.

    With --json: a list with context (characters kept), loss and shuffled (the loss with others in random
    order before them).
    """
    from charlstm.insight.context import context as measure

    loaded = open_model(model, runs_dir, snapshot)
    content, _ = _start_of_text(loaded, text, encoding, max_chars, CONTEXT_CHARS)
    with ProgressBar() as bar:
        found = measure(loaded, content, at=at, places=places, progress=bar.stage("measuring"))
    rows: list[ContextRow] = [
        {"context": length, "loss": loss, "shuffled": shuffled}
        for length, loss, shuffled in zip(found.lengths, found.losses, found.shuffled, strict=True)
    ]
    lines = table(
        ["characters kept", "loss", "others shuffled"],
        [[f"{row['context']}", f"{row['loss']:.4f}", f"{row['shuffled']:.4f}"] for row in rows],
        right=("characters kept", "loss", "others shuffled"),
    )
    of = "characters" if found.places > 1 else "character"
    lines.append(f"It uses about {found.used} characters (loss in nats per character, over {found.places:,} {of})")
    print_result(as_json, rows, "\n".join(lines))


@click.command(
    epilog=examples(
        "charlstm multiverse RUN --prime 'The ' --depth 8 --cutoff 0.02",
        "charlstm multiverse RUN --prime '\"I go,' --prime 'I go,'",
        "charlstm multiverse RUN --prime 'The ' --words 8",
        about=MODEL_HELP,
    )
)
@model_argument
@click.option("--prime", "primes", multiple=True, help="The text that is continued; several stand side by side.")
@integer_option("--depth", minimum=1, default=20, help="Most characters of a continuation.")
@number_option("--cutoff", default=0.005, help="Least probability of a continuation.")
@integer_option("--words", minimum=1, help="Show the N most likely next words instead.")
@clamp_option
@snapshot_option
@json_option
@runs_dir_option
def multiverse(
    model: str,
    primes: tuple[str, ...],
    depth: int,
    cutoff: float,
    words: int | None,
    clamps: tuple[str, ...],
    snapshot: int | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """Show everything that MODEL could write next: all continuations above a probability, exactly.

    Probabilities are the model's own, without a sampler. A line begins with the probability of its first character;
    where no other one could follow, it goes on, and ends with the probability of the whole.

    With --json: a tree of char, probability (of the whole continuation) and children; with --words a list of word and
    probability. With several --prime a list of these.
    """
    from charlstm.generation.clamp import parse_clamp
    from charlstm.generation.stepper import Stepper
    from charlstm.insight.multiverse import multiverse as compute
    from charlstm.insight.multiverse import next_words

    loaded = open_model(model, runs_dir, snapshot)
    stepper = Stepper(loaded)
    stepper.clamps = tuple(parse_clamp(clamp) for clamp in clamps)
    results: list[MultiverseBranch | list[NextWordRow]] = []
    columns: list[list[str]] = []
    for prime in primes or ("",):
        if words is not None:
            found = next_words(loaded, prime, count=words, stepper=stepper)
            results.append([{"word": each.word, "probability": each.probability} for each in found])
            columns.append(
                [f"{each.probability:7.2%}  {visible(each.word, keep='') or '(the word ends)'}" for each in found]
            )
        else:
            root = compute(loaded, prime, depth=depth, cutoff=cutoff, stepper=stepper)
            results.append(_branch_result(root))
            columns.append(list(_tree_lines(root)) or ["No continuation is that likely."])
    if len(primes) < 2:
        print_result(as_json, results[0], "\n".join(columns[0]))
    else:
        print_result(as_json, results, "\n".join(_side_by_side(primes, columns)))


@click.command(
    epilog=examples(
        "charlstm report RUN --out report.html",
        "charlstm report RUN other.txt --out report.html",
        "charlstm report RUN novel.txt --feature 'inside quotes' --find 'for him,\"' --out quotes.html",
        about=MODEL_HELP,
    )
)
@model_argument
@optional_text_argument
@click.option("--out", required=True, metavar="FILE", help="The page to write (.html); - is standard output.")
@click.option("--prime", "primes", multiple=True, help="What a picture of continuations begins with.")
@click.option(
    "--feature", metavar="NAME", help="A page about one yes/no feature, such as 'inside quotes', or NAME=REGEX."
)
@find_option
@model_and_text_options
def report(
    model: str,
    text: tuple[str, ...],
    out: str,
    primes: tuple[str, ...],
    feature: str | None,
    find: str | None,
    snapshot: int | None,
    encoding: str | None,
    max_chars: int | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """Write a web page about MODEL: curves, samples, cells on a text, context, surprises and continuations.

    Without TEXT it explains the model on the held-out part of the run's own text. The page needs no network.

    With --feature the page is about one feature: the cell that follows it, its score through the training, what holding
    it does, and which earlier characters matter where it ends, or at the place of --find.
    """
    from charlstm import user_files
    from charlstm.generation.prime import prepare_prime
    from charlstm.insight.feature_report import feature_report
    from charlstm.insight.features import pattern_feature, text_features
    from charlstm.insight.report import report as write

    if find is not None and feature is None:
        raise click.UsageError("--find needs --feature: the page about a feature explains one place")
    if out != user_files.STDOUT:
        user_files.destination(Path(out))  # raises now what writing would raise after the work
    pattern = _named_pattern(feature) if feature is not None and "=" in feature else None
    loaded = open_model(model, runs_dir, snapshot)
    run = run_of(model, runs_dir)
    if text:
        content, source = _start_of_text(loaded, text, encoding, max_chars, CELLS_CHARS)
    elif run is not None:
        content, source = _held_out_text(run, max_chars)
    else:
        raise TextError("Give a TEXT to explain the model on: it is not a run, so it has no text of its own")
    facts = [("explained on", source), *_model_facts(loaded)]
    name = Path(model).name

    def features(read: str) -> Sequence[Feature]:
        return text_features(read) if pattern is None else [pattern_feature(*pattern, read)]

    with ProgressBar() as bar:

        def progress(stage: str, done: int, total: int) -> None:
            bar.stage(stage)(done, total)

        if feature is not None:
            asked = feature if pattern is None else pattern[0]
            explained = None
            if find is not None:
                whole, where = _start_of_text(loaded, text, encoding, max_chars) if text else (content, source)
                read = prepare_prime(loaded, whole, empty_is_fine=True).text
                explained = read[: _places(read, find, loaded, where)[-1] + 1]
            models = [] if run is None else evenly_chosen(models_of_run(model, runs_dir), SCORED_MODELS)
            page = feature_report(
                loaded, content, asked, title=f"“{asked}” in {name}", facts=facts,
                features=features, models=models, explained=explained, primes=primes, progress=progress,
            )  # fmt: skip
        else:
            curves, samples = ((), ()) if run is None else _history(run)
            page = write(
                loaded, content, title=f"Inside {name}", facts=facts, curves=curves, samples=samples, primes=primes,
                progress=progress,
            )  # fmt: skip
    write_page(out, page, as_json)


# -- input -------------------------------------------------------------------------------------------------------


def _start_of_text(
    model: Model, text: tuple[str, ...], encoding: str | None, max_chars: int | None, usual: int | None = None
) -> tuple[str, str]:
    """The first characters of a text, and what they are in words: the user's ``max_chars``, or ``usual`` ones."""
    corpus = load_text_for(model, text, encoding, None)
    count = usual if max_chars is None else max_chars
    name = visible(corpus.name, keep="")
    if count is None or corpus.chars <= count:
        return corpus.text(), f"{corpus.chars:,} characters of {name}"
    if max_chars is None:
        print_note(f"Only the first {count:,} of {corpus.chars:,} characters are read: --max-chars changes that")
    return corpus.text(0, count), f"the first {count:,} of {corpus.chars:,} characters of {name}"


def _model_facts(model: Model) -> list[tuple[str, str]]:
    """Names and values of what is known of a model."""
    info, config = model.info, model.config
    loss = info.get("val_loss")
    return [
        ("network", f"{config.num_layers} × {config.hidden_size}, {plural(config.vocab_size, 'symbol')}"),
        ("parameters", f"{config.parameters:,}"),
        *([("trained on", str(info["corpus"]))] if info.get("corpus") else []),
        *([("training steps", f"{info['step']:,}")] if isinstance(info.get("step"), int) else []),
        *([("validation loss", f"{loss:.4f} nats per character")] if isinstance(loss, float) else []),
    ]


def _held_out_text(run: Run, max_chars: int | None) -> tuple[str, str]:
    """Up to ``max_chars``, or :data:`CELLS_CHARS`, characters that the run was not trained on, and what they are in
    words."""
    from charlstm.text.batches import TrainingText
    from charlstm.text.corpus import reopen_corpus

    spec = run.spec()
    corpus, settings = reopen_corpus(spec.corpus), spec.settings
    parts = TrainingText.of(corpus, corpus.vocabulary, settings.val_fraction, settings.split, settings.test_fraction)
    text = "".join(corpus.text(start, stop) for start, stop in parts.held_out)
    part = f"the held-out part of {visible(corpus.name, keep='')}" if text else visible(corpus.name, keep="")
    text = text or corpus.text()
    count = max_chars or CELLS_CHARS
    if len(text) <= count:
        return text, f"{len(text):,} characters, {part}"
    return text[:count], f"the first {count:,} of {len(text):,} characters of {part}"


def _history(run: Run) -> tuple[list[ChartCurve], list[Sample]]:
    """The curves of a run, and some of its samples from the first to the last."""
    import numpy as np

    from charlstm.insight.report import Sample
    from charlstm.svg import ChartCurve
    from charlstm.training.events import Sampled

    history = run.history()
    curves = [
        ChartCurve("training", history["step"].astype(np.float64), history["train_loss"]),
        ChartCurve("validation", history["val_step"].astype(np.float64), history["val_loss"]),
    ]
    samples = [Sample(event.step, event.prime + event.text) for event in run.events() if isinstance(event, Sampled)]
    return curves, evenly_chosen(samples, SAMPLES)


def _places(text: str, find: str, model: Model, source: str) -> list[int]:
    """The positions of the last character of what --find names, wherever it stands in ``text``."""
    string = model.text_options.apply(unescaped(find))
    last = len(string) - 1
    found = [match.start() + last for match in re.finditer(f"(?={re.escape(string)})", text)] if string else []
    found = [place for place in found if place > 0]  # the first character of a text is not predicted
    if not found:
        raise GenerationError(f"“{visible(string, keep='')}” does not stand in {source}")
    return found


def _influence_at(model: Model, stepper: Stepper, text: str, position: int, back: int) -> Influence:
    """The influence at a position of a long text, of which only the characters that count are read."""
    from charlstm.insight.activations import WARM_UP
    from charlstm.insight.influence import influence

    start = max(0, position - back - WARM_UP) if position < len(text) else 0
    found = influence(model, text[start : position + 1], position - start, back=back, stepper=stepper)
    return replace(found, position=position, start=start + found.start)


def _cell(text: str, model: Model) -> tuple[int, int]:
    """Layer and cell of ``2:187``."""
    numbers = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    config = model.config
    if numbers is None:
        raise GenerationError(f"{text!r} is not a cell: write LAYER:CELL, such as 1:7")
    layer, cell = int(numbers[1]), int(numbers[2])
    if not (1 <= layer <= config.num_layers and 1 <= cell <= config.hidden_size):
        size = f"{config.num_layers} × {config.hidden_size}"
        raise GenerationError(f"The model has no cell {layer}:{cell}: it has {size}, from 1:1")
    return layer, cell


def cell_name(cell: tuple[int, int]) -> str:
    """``2:187``."""
    return f"{cell[0]}:{cell[1]}"


def _named_pattern(text: str) -> tuple[str, str]:
    name, sign, regex = text.partition("=")
    if not (name and sign and regex):
        raise GenerationError(f"{text!r} is not a feature: write NAME=REGEX, such as question=[^.?!]*[?]")
    return name, regex


# -- readable results --------------------------------------------------------------------------------------------


def _cell_lines(found: list[NamedCell], source: str, model: str) -> list[str]:
    if not found:
        return ["The text has no feature that changes in both of its halves: give a longer one."]
    rows = [
        [
            each.feature,
            cell_name(each.cell),
            each.score_words if each.above_chance else f"{each.score_words.split(',')[0]} (chance)",
            f"{each.chance:.2f}",
            "" if each.where_true is None else f"{each.where_true:.1f}",
            "" if each.where_false is None else f"{each.where_false:.1f}",
            f"{each.low:.1f} to {each.high:.1f}".replace("-0.0", "0.0"),
        ]
        for each in found
    ]
    titles = ["feature", "cell", "score, where true", "chance", "true", "false", "range"]
    best = found[0]
    clamp = f"{cell_name(best.cell)}={best.end_of_range:g}"
    return [
        *table(titles, rows, right=titles[1:]),
        "",
        *_filled(
            f"Chosen on the first half of {source}, and scored on the second. Score: the AUC (0.50 chance, 1.00 "
            "perfect) and whether the cell is high or low where the feature is true; r: the correlation. True, false: "
            "the mean state where the feature is; range: from the 1st to the 99th percentile. To hold the first cell "
            "at the end of its range:"
        ),
        f"  {shell_command('generate', model, '--clamp', clamp)}",
    ]


def _print_scores(found: list[NamedCell], scores: dict[int, list[float]], source: str, as_json: bool) -> None:
    rows: list[CellScoreRow] = [
        {"feature": each.feature, "cell": list(each.cell), "kind": each.kind, "step": step, "score": at_step[n]}
        for n, each in enumerate(found)
        for step, at_step in scores.items()
    ]
    width = 2 + max((len(f"{step:,}") for step in scores), default=0)
    steps = evenly_chosen(list(scores), max(2, (terminal_width() - 40) // width))
    names = [f"{step:,}" for step in steps]
    lines = table(
        ["feature", "cell", "kind", *names],
        [
            [each.feature, cell_name(each.cell), each.kind, *(f"{each.turned(scores[step][n]):.2f}" for step in steps)]
            for n, each in enumerate(found)
        ],
        right=("cell", *names),
    )
    about = f"Score after so many steps, on {source}; auc counted so that above 0.5 is better also for a low cell:"
    print_result(as_json, rows, "\n".join([*_filled(about), *lines]))


def _print_probe(found: Probe, one: NamedCell, source: str, as_json: bool) -> None:
    weights = found.weights.tolist()
    rows: list[ProbeCellRow] = [
        {"cell": list(cell), "weight": weight} for cell, weight in zip(found.cells, weights, strict=True)
    ]
    shown = [[cell_name(cell), f"{weight:+.3f}"] for cell, weight in zip(found.cells, weights, strict=True)]
    lines = table(["cell", "weight"], shown[:PROBE_CELLS], right=("cell", "weight"))
    count = len(found.cells)
    first = f"these {PROBE_CELLS} {found.scores[PROBE_CELLS - 1]:.3f}; " if count > PROBE_CELLS else ""
    lines += [
        f"“{found.feature}”, auc: cell {cell_name(one.cell)} alone {one.turned():.3f}; "
        f"{first}all {count} together {found.score:.3f}",
        *_filled(f"Chosen on the first half of {source}, and scored on the second."),
    ]
    print_result(as_json, rows, "\n".join(lines))


def _print_coloured(model: Model, text: str, cell: tuple[int, int], as_json: bool) -> None:
    """The text coloured by the states of one cell; where the output is no terminal, with a row of marks under it."""
    from charlstm.insight.activations import activations
    from charlstm.insight.cells import LEVEL_LIMITS, levels

    with ProgressBar() as bar:
        found = activations(model, text, progress=bar.stage("reading the text"))
    states = found.cells[:, cell[0] - 1, cell[1] - 1]
    rows: list[CellStateRow] = [
        {"char": char, "state": state} for char, state in zip(found.text, states.tolist(), strict=True)
    ]
    if as_json or not rows:
        print_result(as_json, rows, "")
        return
    coloured = sys.stdout.isatty()
    lines = []
    for line, at_line in _wrapped(found.text, levels(states).tolist(), min(80, terminal_width())):
        if coloured:
            lines.append(
                "".join(
                    click.style(visible(char), **LEVEL_STYLES[level]) for char, level in zip(line, at_line, strict=True)
                )
            )
        else:
            lines += [line, "".join(LEVEL_MARKS[level] for level in at_line).rstrip()] if line else [line]
    mean, deviation = float(states.mean()), float(states.std())
    low, lower, higher, high = (mean + deviation * limit for limit in LEVEL_LIMITS)
    names = (f"below {low:.1f}", f"below {lower:.1f}", "between", f"above {higher:.1f}", f"above {high:.1f}")
    legend = "  ".join(
        click.style(name, **LEVEL_STYLES[level]) if coloured else f"{LEVEL_MARKS[level]} {name}"
        for level, name in enumerate(names)
    )
    lines += ["", f"The state of cell {cell_name(cell)} after each character:", legend]
    click.echo("\n".join(lines))


def _filled(paragraph: str) -> list[str]:
    """The lines of a paragraph, at most 80 columns wide."""
    return textwrap.wrap(paragraph, min(80, terminal_width()), break_on_hyphens=False)


def _wrapped(text: str, levels: list[int], width: int) -> Iterator[tuple[str, list[int]]]:
    """The lines of a text, cut to a width, with the levels of their characters."""
    start = 0
    while start < len(text):
        end = text.find("\n", start, start + width)
        stop = end if end >= 0 else min(len(text), start + width)
        if end < 0 and stop < len(text) and (blank := text.rfind(" ", start + 1, stop)) > 0:
            stop = blank + 1
        yield text[start:stop], levels[start:stop]
        start = stop + (end >= 0)


def _influence_lines(found: Influence, text: str, places: Sequence[int]) -> list[str]:
    lines = [
        f"{_quoted(found.char)} at position {found.position:,}, after “{_before(text, found.position)}”",
        f"has a probability of {_percent(found.nats)}: a loss of {found.nats:.3f} nats.",
    ]
    if len(places) > 1:
        others = ", ".join(str(place) for place in places[:-1][-5:])
        more = "" if len(places) <= 6 else f"{len(places) - 6:,} earlier ones and "
        lines += _filled(f"The string stands at {len(places):,} places; this is the last. For --at: {more}{others}")
    strongest = found.strongest
    if strongest is None:
        return lines
    lines += ["", "Without a character:", f"{'position':>9}  char  {'loss':>7}  probability"]
    largest = float(abs(found.changes).max())
    width = max(10, min(40, terminal_width() - 42))
    shown = 0
    for n, change in enumerate(found.changes.tolist()):
        if abs(change) >= SHOWN * largest:
            shown += 1
            bar = "█" * max(1, round(width * abs(change) / largest))
            char, without = _quoted(text[found.start + n]), _percent(found.nats + change)
            lines.append(f"{found.start + n:>9,}  {char:<4}  {change:+7.3f}  {without:>11}  {bar}")
    change = found.changes[strongest - found.start]
    lines += _filled(
        f"The most important is {_quoted(text[strongest])}, {plural(found.position - strongest, 'character')} before: "
        f"without it the probability would {'fall' if change > 0 else 'rise'} from {_percent(found.nats)} to "
        f"{_percent(found.nats + float(change))} (loss {change:+.3f} nats)."
    )
    if left := len(found.changes) - shown:
        lines.append(f"{plural(left, 'row')} below {SHOWN * largest:.3f} nats left out.")
    if found.start:
        lines.append(f"Hidden back to position {found.start:,}; --back N goes further.")
    return lines


def _print_ranked(found: list[Influence], text: str, count: int, as_json: bool) -> None:
    """The places, first the one where a character more than :data:`FAR` before counts most."""
    import numpy as np

    far = [(each, int(np.argmax(each.changes[:-FAR]))) for each in found if len(each.changes) > FAR]
    far.sort(key=lambda pair: -float(pair[0].changes[pair[1]]))
    rows: list[RankedPlaceRow] = [
        {
            "position": each.position,
            "nats": each.nats,
            "back": each.position - each.start - n,
            "char": text[each.start + n],
            "change": float(each.changes[n]),
        }
        for each, n in far
    ]
    width = max(10, terminal_width() - 49)
    shown = [
        [
            f"{row['position']}",
            f"{math.exp(-row['nats']):.0%}".replace("%", " %"),
            _quoted(row["char"]),
            f"{row['back']}",
            f"{row['change']:+.3f}",
            _before(text, row["position"] + 1, width),
        ]
        for row in rows[:SHOWN_PLACES]
    ]
    titles = ["position", "probability", "char", "back", "change", "text"]
    lines = table(titles, shown, right=titles[:2] + titles[3:5])
    of = f"{len(found):,} of {count:,} places, evenly chosen" if len(found) < count else plural(count, "place")
    lines += _filled(
        f"Of {of}, those where a single character more than {FAR} before raises the probability most. back: how far "
        "before; change: how much the loss rises without it, in nats. --at explains one."
    )
    print_result(as_json, rows, "\n".join(lines))


def _quoted(char: str) -> str:
    return f"“{symbol(char)}”"


def _before(text: str, position: int, count: int = 40) -> str:
    """The characters before a position, on one line."""
    return visible(text[max(0, position - count) : position].replace("\n", "↵"), keep="")


def _percent(nats: float) -> str:
    """The probability of a loss."""
    return f"{math.exp(-nats):.1%}".replace("%", " %")


def _branch_result(branch: Branch) -> MultiverseBranch:
    return {
        "char": branch.char,
        "probability": branch.probability,
        "children": [_branch_result(child) for child in branch.children],
    }


def _tree_lines(branch: Branch, depth: int = 0) -> Iterator[str]:
    """The tree with a line for each place where it branches; characters without an alternative follow one another."""
    for child in branch.children:
        text, end = child.char, child
        while len(end.children) == 1:
            end = end.children[0]
            text += end.char
        shown = "".join(symbol(char) for char in text)
        whole = "" if end is child else f"  {end.probability:.2%}"
        yield f"{'  ' * depth}{child.probability:.2%}  {shown}{whole}"
        yield from _tree_lines(end, depth + 1)


def _side_by_side(primes: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """Each column under the end of its prime."""
    from rich.cells import set_cell_size

    width = max(12, (terminal_width() - 2 * (len(primes) - 1)) // len(primes))
    heads = [f"after “{_before(prime, len(prime), width - 8)}”" for prime in primes]
    rows = [heads, *zip_longest(*columns, fillvalue="")]
    return ["  ".join(set_cell_size(truncate(cell, width), width) for cell in row).rstrip() for row in rows]
