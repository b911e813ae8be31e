"""The command ``report``: a web page that explains a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from charlstm.cli import options, output
from charlstm.display import plural
from charlstm.insight.report import Sample
from charlstm.insight.report import report as report_page
from charlstm.insight.sample import TEXT_CHARS
from charlstm.line import TerminalLine
from charlstm.model.file import Model
from charlstm.runs.folder import RunFolder
from charlstm.runs.models import evenly_chosen
from charlstm.runs.own_text import held_out_text
from charlstm.runs.series import RunSeries
from charlstm.runs.text import baseline_losses
from charlstm.svg import ChartCurve
from charlstm.text.baselines import baseline_words

SAMPLES = 6
"""Samples of a run that its report shows."""


@click.command(
    epilog=options.examples(
        "charlstm report RUN --out report.html",
        "charlstm report RUN other.txt --out report.html",
        about=options.MODEL_HELP,
    )
)
@options.model_argument
@options.optional_text_argument
@click.option("--out", required=True, metavar="FILE", help="The page to write (.html); - is standard output.")
@click.option(
    "--prime", "primes", metavar="STRING", multiple=True, help="A text for a picture of continuations; may be repeated."
)
@options.model_and_text_options
def report(given: options.ModelAndText, out: str, primes: tuple[str, ...]) -> None:
    """Write a web page about MODEL: curves, samples, cells on a text, context, surprises and continuations.

    Cells are named on 50,000 characters from all over TEXT, as by `cells`, and the context is measured at places all
    over it. Without TEXT that is the run's held-out part. The page needs no network.

    Prints the path of the page. With --json: {"out", "bytes"}.
    """
    output.check_stdout(out=out)
    options.check_page_file(out, given.model, given.text)
    loaded = given.open_model()
    run = options.run_of(given.model)
    read = given.own_or_start_of_text(loaded)
    facts = [("explained on", read.words), *_model_facts(loaded)]
    curves, samples = ((), ()) if run is None else _history(run)
    facts += _steps_fact(loaded, curves)
    unseen = read
    if run is not None and not given.text:
        unseen = held_out_text(run, given.max_chars or TEXT_CHARS)
        if unseen.words != read.words:
            facts[:1] = [("cells on", read.words), ("surprises and context on", unseen.words)]
    with TerminalLine() as bar:

        def progress(stage: str, done: int, total: int) -> None:
            bar.stage(stage)(done, total)

        page = report_page(
            loaded, unseen.text, title=f"Inside {Path(given.model).name}", sample=read.text, facts=facts, curves=curves,
            samples=samples, primes=primes, progress=progress,
        )  # fmt: skip
    output.write_page(out, page)


def _model_facts(model: Model) -> list[tuple[str, str]]:
    """Names and values of what is known of a model."""
    info, config = model.info, model.config
    facts = [
        ("network", f"{config.num_layers} × {config.hidden_size}, {plural(config.vocab_size, 'symbol')}"),
        ("parameters", f"{config.parameters:,}"),
    ]
    if info.get("corpus"):
        facts.append(("trained on", str(info["corpus"])))
    if isinstance(info.get("step"), int):
        facts.append(("training steps", f"{info['step']:,}"))
    if isinstance(loss := info.get("val_loss"), float):
        measured = "estimated on slices" if info.get("val_whole") is False else "on all held-out text"
        bits, perplexity = loss / math.log(2), math.exp(min(loss, 700))
        words = f"{loss:.3f} nats or {bits:.3f} bits per character, a perplexity of {perplexity:.2f}"
        facts.append((f"validation loss, {measured}", words))
    return facts


def _steps_fact(model: Model, curves: Sequence[ChartCurve]) -> list[tuple[str, str]]:
    """Why two steps stand on the page, where the curves and samples of the run go on after the model was saved."""
    saved, last = model.info.get("step"), max((int(curve.x[-1]) for curve in curves if len(curve.x)), default=0)
    if not isinstance(saved, int) or last <= saved:
        return []
    words = f"the model is that of step {saved:,}; its run went on to step {last:,}, where curves and samples end"
    return [("two steps", words)]


def _history(run: RunFolder) -> tuple[list[ChartCurve], list[Sample]]:
    """The curves of a run, and some of its samples from the first to the last."""
    series = RunSeries.of(run.events())
    train, validation = series.points("train"), series.points("validation")
    curves = [
        ChartCurve("training", train.x, train.y),
        ChartCurve("validation (slices)", validation.x, validation.y),
    ]
    if series.whole is not None:
        step, loss = series.whole
        words = f"all held-out text: {loss:.3f}"
        curves.append(ChartCurve(words, np.array([step], np.float64), np.array([loss]), dots=True))
    last = max((float(curve.x.max()) for curve in curves if len(curve.x)), default=0)
    if last:
        ends = np.array([0, last])
        curves += [
            ChartCurve(baseline_words(name), ends, np.full(2, loss)) for name, loss in baseline_losses(run).items()
        ]
    samples = [Sample(event.step, event.prime + event.text) for event in series.samples]
    return curves, evenly_chosen(samples, SAMPLES)
