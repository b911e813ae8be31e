"""Commands that judge: eval and score a text by a model, novelty of a text against a corpus."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.options import (
    MODEL_HELP,
    examples,
    find_run,
    json_option,
    load_corpus,
    model_argument,
    open_model,
    optional_text_argument,
    runs_dir_option,
    text_argument,
    whole,
)
from charlstm.cli.output import (
    ReadingProgress,
    print_note,
    print_result,
    report_unknown_characters,
    terminal_width,
    truncate,
)
from charlstm.display import symbol, visible
from charlstm.errors import CharLSTMError, RunError, TextError
from charlstm.text.builtin import is_builtin
from charlstm.text.reading import TextOptions
from charlstm.training.settings import Settings

if TYPE_CHECKING:
    from charlstm.generation.novelty import Match
    from charlstm.generation.scoring import Scores
    from charlstm.model.file import Model
    from charlstm.text.corpus import Corpus


CONTEXT = 24
"""Characters that are shown on both sides of a surprising one."""

_PARTS = {
    "validation": "the held-out part of",
    "test": "the test part of",
    "train": "the training part of",
    "all": "all of",
}
"""A run's own text can be judged in parts; each in words."""

_OLD_PARTS = {"training": "train"}
"""What version 0.1 called a part."""

_LEVELS = "▁▂▃▄▅▆▇█"

encoding_option = click.option("--encoding", help="Read the text in this encoding instead of detecting it.")


max_chars_option = whole("--max-chars", least=1, help="Read so many characters at most.")


snapshot_option = whole("--snapshot", help="Judge by the run as it was after this many steps.")


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
    help="Of a run's own text, when no TEXT is named: which part.  [default: validation]",
)
@snapshot_option
@encoding_option
@max_chars_option
@json_option
@runs_dir_option
def eval_(
    model: str,
    text: tuple[str, ...],
    part: str | None,
    snapshot: int | None,
    encoding: str | None,
    max_chars: int | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """How well MODEL predicts TEXT: nats and bits per character, perplexity.

    Without TEXT a run is judged on its own held-out part, with the very function that validation uses; --part chooses
    another part. Characters that the model does not know are counted, and left out unless it has a symbol for rare
    ones.
    """
    loaded = open_model(model, runs_dir, snapshot)
    part = _OLD_PARTS.get(part or "", part)
    spans, which = None, ""
    if text:
        if part is not None:
            raise TextError("--part goes with a run's own text: leave TEXT away")
        corpus = _read_for(loaded, text, encoding, max_chars)
    else:
        corpus, spans = _own_text(model, runs_dir, part or "validation")
        which = f" of {_PARTS[part or 'validation']} {visible(corpus.name, keep='')}"
        if encoding is not None or max_chars is not None:
            raise TextError("--encoding and --max-chars go with a TEXT: a run's own text is read as it was trained on")
    ids, unknown = corpus.encoded_for(loaded.vocabulary)
    if text or (spans is not None and part != "train"):
        _warn_of_learnt(model, runs_dir, loaded, corpus, spans, part or "validation")
    if spans is not None and unknown:
        raise RunError(f"The model of {model} was not trained on its text {corpus.name}, so it has no part of it")
    if len(ids) < 2:
        raise TextError(f"{corpus.name} has fewer than two characters that the model knows: there is nothing to judge")
    report_unknown_characters(unknown, "left out", loaded.vocabulary)
    from charlstm.engine.evaluation import evaluate
    from charlstm.engine.network import CharLSTM

    with ReadingProgress() as bar:
        figures = evaluate(
            CharLSTM.from_model(loaded), ids, spans or [(0, len(ids))], progress=bar.named("reading the text")
        )
    print_result(
        as_json,
        {
            "nats": figures.nats,
            "bits_per_char": figures.bits,
            "perplexity": figures.perplexity,
            "chars": figures.chars,
            "unknown": unknown,
        },
        f"{figures.nats:.4f} nats  {figures.bits:.4f} bits per character  perplexity {figures.perplexity:.3f}  "
        f"over {figures.chars:,} characters{which}",
    )


@click.command(
    epilog=examples("charlstm score RUN a.txt", "charlstm score RUN names.txt --per-line | sort -n", about=MODEL_HELP)
)
@model_argument
@text_argument
@whole("--top", least=0, default=10, help="How many surprising places.")
@click.option("--per-line", is_flag=True, help="Bits per character of each line instead.")
@snapshot_option
@encoding_option
@max_chars_option
@json_option
@runs_dir_option
def score(
    model: str,
    text: tuple[str, ...],
    top: int,
    per_line: bool,
    snapshot: int | None,
    encoding: str | None,
    max_chars: int | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """How surprised MODEL is by each character of TEXT, read from its beginning, and where most.

    With --json: eval's figures, the scored `text`, and for each of its characters `bits`, `ranks` (1 = the most likely)
    and `entropy` (the bits expected); the first character is not predicted and has null.
    """
    from charlstm.generation.scoring import score as score_text

    loaded = open_model(model, runs_dir, snapshot)
    corpus = _read_for(loaded, text, encoding, max_chars)
    _warn_of_learnt(model, runs_dir, loaded, corpus)
    with ReadingProgress() as bar:
        scores = score_text(loaded, corpus.text(), progress=bar.named("scoring"))
    report_unknown_characters(scores.unknown, "left out", loaded.vocabulary)
    if as_json:
        print_result(True, _scores_json(scores, top))
    elif per_line:
        for line in _lines(scores):
            bits = "–" if line["bits_per_char"] is None else f"{line['bits_per_char']:.3f}"
            click.echo(f"{bits:>8}  {visible(line['text'])}")
    else:
        _show_scores(corpus.name, scores, top)


@click.command(
    epilog=examples(
        "charlstm generate RUN --length 5000 | charlstm novelty - --model RUN",
        "charlstm novelty poem.txt --corpus poems/ --min-length 20",
    )
)
@text_argument
@click.option("--model", "run", metavar="RUN", help="Compare with what this run, or demo, was trained on.")
@click.option("--corpus", "sources", metavar="TEXT", multiple=True, help="Compare with this text; may be repeated.")
@whole("--min-length", least=2, default=30, help="Shorter stretches do not count.")
@whole("--top", least=0, default=10, help="How many stretches to show.")
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
    """Is TEXT copied? Its stretches that stand word for word in another text, and where they come from.

    Name that text by --model, a run of which the part that it was trained on is searched, or by --corpus.
    """
    from charlstm.generation.novelty import Novelty, NoveltyIndex

    if (run is None) == (not sources):
        raise TextError("Say what to compare with: --model RUN, the text that a run was trained on, or --corpus TEXT")
    spans = None
    if run is None:
        corpus = load_corpus(sources, TextOptions())
    else:
        corpus, spans = _own_text(run, runs_dir, "train")
    options = dataclasses.replace(
        corpus.options, encoding=encoding, max_chars=None, fold_rare=0, strip_boilerplate=False
    )
    read = load_corpus(text, options)
    index = NoveltyIndex(corpus, min_length, spans)
    report = Novelty(index).update(read.text())
    held_out = 0 if spans is None else corpus.chars - sum(stop - start for start, stop in spans)
    if held_out:
        print_note(
            f"The {held_out:,} characters of {visible(corpus.name, keep='')} that were held out are not searched"
        )
    if index.searched < corpus.chars:
        print_note(f"Only the first {index.searched:,} of {corpus.chars:,} characters of {corpus.name} were searched")
    stretches = _stretches(read.text(), corpus, report.matches)
    if as_json:
        values = {"chars": report.chars, "copied": report.copied, "share": report.share, "corpus": corpus.name}
        print_result(True, values | {"stretches": stretches})
        return
    name = visible(corpus.name, keep="")
    if not stretches:
        click.echo(f"Nothing is copied: no {min_length} characters in a row of {report.chars:,} stand in {name}")
        return
    longest = max(stretch["length"] for stretch in stretches)
    click.echo(
        f"{report.share:.1%} copied: {report.copied:,} of {report.chars:,} characters stand word for word in {name}, "
        f"in {len(stretches):,} {'stretch' if len(stretches) == 1 else 'stretches'}, the longest of {longest:,}"
    )
    width = max(40, terminal_width() - 40)
    for stretch in sorted(stretches, key=lambda stretch: -stretch["length"])[:top]:
        shown = visible(stretch["text"].replace("\n", "↵"), keep="")
        click.echo(
            f"  {stretch['length']:>6,} characters  from line {stretch['corpus_line']:>7,}  {truncate(shown, width)}"
        )


# -- reading -----------------------------------------------------------------------------------------------------


def _read_for(model: Model, text: tuple[str, ...], encoding: str | None, max_chars: int | None) -> Corpus:
    """A text under the options that the model was trained with, but for what concerns its own text alone."""
    options = dataclasses.replace(
        model.text_options, encoding=encoding, max_chars=max_chars, fold_rare=0, pattern=TextOptions().pattern
    )
    return load_corpus(text, options)


def _warn_of_learnt(
    word: str,
    runs_dir: Path | None,
    model: Model,
    corpus: Corpus,
    spans: Sequence[tuple[int, int]] | None = None,
    part: str = "validation",
) -> None:
    """A remark when much of ``corpus``, or of the ``spans`` of its ``part``, is what the model that ``word`` names was
    trained on: by what it knows of its texts, else by looking for the one in the other."""
    from charlstm.text.batches import learnt, most_learnt
    from charlstm.text.statistics import LEAST_SEEN, seen_share

    what = visible(corpus.name, keep="") if spans is None else _PARTS[part].removesuffix(" of")
    share, _ = most_learnt(learnt(model.info), corpus, spans or [(0, corpus.chars)])
    if not share:
        try:
            own, train = _own_text(word, runs_dir, "train")
            ids = corpus.encoded_for(own.vocabulary)[0]
        except CharLSTMError:  # a model without a text of its own, or whose text is gone: then nobody can say
            return
        share = seen_share(ids, spans or [(0, len(ids))], own.ids, train or [(0, own.chars)])
    if share >= LEAST_SEEN:
        print_note(
            f"{share:.0%} of {what} is text that the model was trained on: it predicts that better than what is new"
        )


def _own_text(word: str, runs_dir: Path | None, part: str) -> tuple[Corpus, tuple[tuple[int, int], ...] | None]:
    """The text that a run was trained on, or a model's that is built in, and the spans of a part of it (None: all)."""
    from charlstm.text.batches import TrainingText
    from charlstm.text.corpus import reopen_corpus

    if word == "demo" or word.endswith(".safetensors"):
        name, corpus, settings = word, *_built_in(word, open_model(word, runs_dir))
    else:
        run = find_run(word, runs_dir)
        spec = run.spec()
        name, corpus, settings = run.name, reopen_corpus(spec.corpus), spec.settings
    if part == "all":
        return corpus, None
    parts = TrainingText.of(corpus, corpus.vocabulary, settings.val_fraction, settings.split, settings.test_fraction)
    if part == "train":
        return corpus, parts.train
    if part == "test":
        if not parts.test:
            why = "its text was too short for that" if settings.test_fraction else "test_fraction was 0"
            raise RunError(f"{name} kept nothing for a test, {why}; try --part validation")
        return corpus, parts.test
    if not parts.held_out:
        why = "its text was too short for that" if settings.val_fraction else "val_fraction was 0"
        raise RunError(f"{name} held nothing out, {why}; try --part train")
    return corpus, parts.held_out


def _built_in(word: str, model: Model) -> tuple[Corpus, Settings]:
    """The built-in text that a model outside a run was trained on, and its settings."""
    from charlstm.text.corpus import open_corpus

    info = model.info
    name, settings = info.get("corpus"), info.get("settings")
    if not isinstance(name, str) or not is_builtin(name) or not isinstance(settings, dict):
        raise TextError(f"{word} is a model without a text of its own: name a run instead, or a text")
    corpus = open_corpus(name, model.text_options)
    if corpus.fingerprint != info.get("fingerprint"):
        raise TextError(f"{word} was trained on the {name} of another Python than this: name a text")
    return corpus, Settings.from_dict(settings)


# -- showing -----------------------------------------------------------------------------------------------------


def _scores_json(scores: Scores, top: int) -> dict[str, Any]:
    bits = [None, *(round(nats / math.log(2), 4) for nats in scores.nats[1:].tolist())]
    return {
        "nats": scores.mean_nats,
        "bits_per_char": scores.bits_per_char,
        "perplexity": scores.perplexity,
        "chars": scores.chars,
        "unknown": scores.unknown,
        "text": scores.text,
        "bits": bits,
        "ranks": [None, *scores.ranks[1:].tolist()],
        "entropy": [None, *(round(entropy, 4) for entropy in scores.entropy[1:].tolist())],
        "places": [dataclasses.asdict(place) for place in scores.places(top, CONTEXT)],
        "lines": _lines(scores),
    }


def _lines(scores: Scores) -> list[dict[str, Any]]:
    """Each line with the mean bits of its characters, the newline included."""
    lines, start = [], 0
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", scores.text), 1):
        nats = scores.nats[max(start, 1) : start + len(line)]
        mean = float(nats.mean(dtype="float64")) / math.log(2) if len(nats) else None
        lines.append({"line": number, "chars": len(nats), "bits_per_char": mean, "text": line.removesuffix("\n")})
        start += len(line)
    return lines


def _show_scores(name: str, scores: Scores, top: int) -> None:
    click.echo(
        f"{visible(name, keep='')}: {scores.bits_per_char:.4f} bits per character, perplexity {scores.perplexity:.3f}, "
        f"over {scores.chars:,} characters"
    )
    strip = scores.strip(max(10, min(terminal_width(), 100) - 22))
    highest = float(strip.max()) or 1.0
    cells = "".join(_LEVELS[min(7, int(8 * value / highest))] for value in strip.tolist())
    each = max(1, round(scores.chars / len(cells)))
    click.echo(f"along it    {cells}  up to {highest:.1f}" + (f" over {each:,} characters" if each > 1 else ""))
    places = scores.places(top, CONTEXT)
    if places:
        click.echo("most surprising")
    for place in places:
        line = scores.text.count("\n", 0, place.position) + 1
        before, after = (visible(part.replace("\n", "↵"), keep="") for part in (place.before, place.after))
        click.echo(f"{place.bits:7.1f} bits  line {line:>6,}  {before:>{CONTEXT}}[{symbol(place.char)}]{after}")


def _stretches(text: str, corpus: Corpus, matches: tuple[Match, ...]) -> list[dict[str, Any]]:
    """Where each match stands in the text and in the corpus, both also as line numbers from 1."""
    import numpy as np

    newline = corpus.vocabulary.index("\n")
    breaks = np.flatnonzero(corpus.ids == newline) if newline is not None and matches else np.empty(0, np.intp)
    line, at = 1, 0
    rows = []
    for match in matches:
        line, at = line + text.count("\n", at, match.start), match.start
        rows.append(
            {
                "start": match.start,
                "length": match.length,
                "line": line,
                "corpus_start": match.where,
                "corpus_line": int(np.searchsorted(breaks, match.where)) + 1,
                "text": text[match.start : match.stop],
            }
        )
    return rows
