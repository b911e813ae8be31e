"""The command ``generate``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import click

from charlstm.cli import options, output
from charlstm.display import symbol, visible
from charlstm.errors import GenerationError
from charlstm.generation.clamp import parse_clamp
from charlstm.generation.generate import generate_many, generate_units, stop_strings
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import Alternative, Step
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session import Session
from charlstm.generation.threads import blas_threads
from charlstm.line import TerminalLine
from charlstm.model.file import Model, load_model
from charlstm.setting_fields import setting_fields

UNTIL = {"line": "\n", "paragraph": "\n\n"}
"""Values of --until and the strings that they stop at."""
UNIT = "unit"
"""Another one, for models that were trained on units."""

SEPARATOR = "-" * 8
"""The line between two samples."""

ALTERNATIVES_SHOWN = 6


class CheckpointResult(TypedDict):
    """What one model of a run generated, from ``generate --checkpoints``.

    Attributes:
        loss: its validation loss in nats; None where it was not measured.
        text: without the prime.
    """

    step: int
    loss: float | None
    text: str


class GenerateResult(TypedDict):
    """From ``generate``. The prime is included only with --until unit.

    Attributes:
        text: Only with one prime, without --samples and --checkpoints.
        texts: Only with --samples or several primes: first those of the first prime.
        steps: Only with --show-probs.
        checkpoints: Only with --checkpoints.
    """

    text: NotRequired[str]
    texts: NotRequired[list[str]]
    steps: NotRequired[list[Step]]
    checkpoints: NotRequired[list[CheckpointResult]]


def sampler_options(command: options.F) -> options.F:
    """Add the sampler options to a command, which receives them by name."""
    for each in reversed(setting_fields(SamplerSettings).values()):
        if each.option:
            command = options.setting_option(each)(command)
    return command


def sampler_settings(values: dict[str, Any]) -> SamplerSettings:
    """The settings for the sampler options. Raises :class:`click.UsageError` for a value that is not accepted."""
    with options.usage_errors():
        settings = SamplerSettings(**values)
    if settings.kind == "reference":  # which has only --top-k
        options.refuse_unused("--sampler reference", *(values.keys() - {"kind", "top_k"}))
    return settings


@click.command(
    epilog=options.examples(
        "charlstm generate RUN --prime 'The sea' --until paragraph",
        "charlstm generate RUN --prime 'The sea' --prime 'A man' --samples 5",
        r"charlstm generate RUN --samples 20 --stop '\n'",
        "charlstm generate RUN --samples 20 --until unit --new --unique",
        "charlstm generate RUN --temperature 0 --show-probs",
        "charlstm generate RUN --clamp 2:317=1.0",
        "charlstm generate RUN --length 400 --checkpoints",
        about=options.MODEL_HELP,
    )
)
@options.model_argument
@click.option(
    "--prime",
    "primes",
    metavar="STRING",
    multiple=True,
    help="The beginning of the text, which the model continues. May be repeated: all are continued at once.",
)
@click.option(
    "--prime-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read the prime from a file; - is standard input.",
)
@options.integer_option(
    "--length", minimum=0, maximum=options.MOST_CHARS, default=1000, help="Maximum number of characters to generate."
)
@options.integer_option("--samples", minimum=1, maximum=4096, help="Generate N texts of each prime at once.")
@click.option(
    "--stop", metavar="STRING", multiple=True, help=r"End after this string; \n is a newline. May be repeated."
)
@click.option(
    "--until",
    type=click.Choice([*UNTIL, UNIT]),
    help="End after the line or the paragraph, or with a unit of a text that was read with --split-units.",
)
@click.option("--new", is_flag=True, help="With --until unit: leave out units of the text that MODEL was trained on.")
@click.option("--unique", is_flag=True, help="With --until unit: leave out repeated ones.")
@options.seed_option
@sampler_options
@options.clamp_option
@options.snapshot_option
@click.option("--checkpoints", is_flag=True, help="Generate with the models of the run: its snapshots and the best.")
@click.option(
    "--show-probs",
    is_flag=True,
    help="Print one line per character: probability, rank and alternatives, as the model gives them at temperature 1; "
    "in brackets those after the sampler, where they differ.",
)
@options.common_options
def generate(
    model: str,
    primes: tuple[str, ...],
    prime_file: Path | None,
    length: int,
    samples: int | None,
    stop: tuple[str, ...],
    until: str | None,
    new: bool,
    unique: bool,
    seed: int,
    clamps: tuple[str, ...],
    snapshot: int | None,
    checkpoints: bool,
    show_probs: bool,
    **sampler: Any,
) -> None:
    """Generate text with MODEL. It is written to stdout as it is generated, after the prime.

    With --json: {"text"}, without the prime except with --until unit; with --samples or several primes {"texts"}; with
    --show-probs also {"steps"}, one for each character; with --checkpoints {"checkpoints"}, a list of step, loss (of
    the validation, in nats) and text.
    """
    if primes and prime_file is not None:
        raise click.UsageError("Give --prime or --prime-file, not both")
    if len(primes) > 1 and (show_probs or checkpoints or until == UNIT):
        raise click.UsageError("--show-probs, --checkpoints and --until unit take one prime")
    if show_probs and samples is not None:
        raise click.UsageError("--show-probs works for one text only: remove it, or remove --samples")
    if checkpoints and (samples is not None or show_probs or snapshot is not None):
        raise click.UsageError("--checkpoints cannot be combined with --samples, --show-probs or --snapshot")
    if until == UNIT and (show_probs or checkpoints or stop):
        raise click.UsageError("--until unit cannot be combined with --stop, --show-probs or --checkpoints")
    if (new or unique) and until != UNIT:
        raise click.UsageError(f"{'--new' if new else '--unique'} needs --until unit")
    settings = sampler_settings(sampler)
    with options.usage_errors():
        recipe = Recipe(seed, settings=settings, clamps=[parse_clamp(clamp) for clamp in clamps])
        stops = stop_strings([unescaped(each) for each in stop] + ([UNTIL[until]] if until in UNTIL else []))
    texts = [_read_prime(prime_file)] if prime_file is not None else list(primes) or [""]
    if checkpoints:
        _generate_at_checkpoints(options.models_of_run(model), texts[0], length, recipe, stops)
        return
    loaded = options.open_model(model, snapshot)
    texts = [output.as_read(loaded, text) for text in texts]
    text = texts[0]
    if until == UNIT:
        known = _units_of_text(model) if new else frozenset()
        _print_units(loaded, samples, length, recipe, text, known, unique)
        return
    if samples is not None or len(texts) > 1:
        found = _generate_samples(loaded, texts, length, samples or 1, recipe, stops)
        result: GenerateResult = {"texts": found}
        starts = [text for text in texts for _ in range(samples or 1)]
        whole = [safe_for_stdout(start + each) for start, each in zip(starts, found, strict=True)]
        output.print_result(result, f"\n{SEPARATOR}\n".join(whole))
        return
    click.get_current_context().with_resource(blas_threads(1))
    with TerminalLine() as bar:
        reading = bar.stage("reading the prime")
        session = Session.of(loaded, text, recipe, progress=reading)
    steps = session.stream(length, stop=stops)
    if output.wants_json():
        generated = []
        with TerminalLine() as bar:
            progress = bar.stage("generating")
            for step in steps:
                generated.append(step)
                progress(len(generated), length)
        result = {"text": "".join(step.char for step in generated)}
        if show_probs:
            result["steps"] = generated
        output.print_result(result)
    elif show_probs:
        for step in steps:
            click.echo(
                f"{symbol(step.char)}  {step.probability:7.2%}  rank {step.rank:<4}  "
                f"{_format_alternatives(step.alternatives)}"
            )
    else:
        write_steps(text, steps)


def unescaped(text: str) -> str:
    r"""``text`` with \n, \t, \r, \xHH, \uHHHH and \\ replaced by their characters; other backslashes are kept."""

    def char(escape: str) -> str:
        return {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}.get(escape[1:]) or chr(int(escape[2:], 16))

    return re.sub(r"\\(?:[ntr\\]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})", lambda found: char(found[0]), text)


def write_steps(start: str, steps: Iterator[Step]) -> None:
    """Write ``start`` and then each character to stdout as it is generated, and end the line."""
    on_terminal = sys.stdout.isatty()
    sys.stdout.write(safe_for_stdout(start))
    for step in steps:
        sys.stdout.write(safe_for_stdout(step.char))
        if on_terminal or step.char == "\n":
            sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()


def safe_for_stdout(text: str) -> str:
    """``text`` with its control characters made visible where stdout is a terminal."""
    return visible(text) if sys.stdout.isatty() else text


def _read_prime(path: Path) -> str:
    """Read the prime from a file, or from standard input."""
    if str(path) == "-":
        return sys.stdin.read().removeprefix("\ufeff")  # as utf-8-sig does
    return path.read_text(encoding="utf-8-sig", errors="replace")


def _generate_samples(
    model: Model, primes: Sequence[str], length: int, samples: int, recipe: Recipe, stop: Sequence[str]
) -> list[str]:
    """Generate several texts of each prime at once, with a progress bar."""
    with TerminalLine() as bar:
        show_progress, total = bar.stage("generating"), len(primes) * samples * length
        return generate_many(
            model,
            primes,
            length,
            recipe,
            samples=samples,
            stop=stop,
            progress=lambda done: show_progress(done, total),
            prime_progress=bar.stage("reading the prime"),
        )


def _print_units(
    model: Model,
    samples: int | None,
    length: int,
    recipe: Recipe,
    prime: str,
    known: frozenset[str],
    unique: bool,
) -> None:
    """Generate whole units, with a progress bar, and print them as they stand in a text."""
    from charlstm.text.unit_kinds import BLANK_LINES

    count = samples or 1
    with TerminalLine() as bar:
        show = bar.stage("generating")
        found = generate_units(
            model, count, length, recipe, prime=prime, known=known, unique=unique, progress=lambda n: show(n, count)
        )
    if not found and samples is None:
        raise GenerationError("No unit was found: what the model wrote is known or repeated")
    if len(found) < count:
        output.print_note(
            f"Only {len(found):,} of {count:,} were found: what else the model wrote is known or repeated"
        )
    result: GenerateResult = {"texts": found} if samples is not None else {"text": found[0]}
    between = "\n\n" if model.text_options.units == BLANK_LINES else "\n"
    output.print_result(result, between.join(map(safe_for_stdout, found)))


def _units_of_text(name: str) -> frozenset[str]:
    from charlstm.runs.text import units_of_text

    run = options.run_of(name)
    if run is None:
        raise GenerationError(f"{name} is a file without its training text: --new needs the name of a run")
    return units_of_text(run)


def _generate_at_checkpoints(
    models: list[tuple[int, Path]], prime: str, length: int, recipe: Recipe, stop: Sequence[str]
) -> None:
    """Continue the prime with the models of a run, which are steps and files, and print the texts."""
    prime = output.as_read(load_model(models[0][1]), prime)
    found: list[CheckpointResult] = []
    with TerminalLine() as bar:
        progress = bar.stage("generating")
        for step, path in models:
            loaded = load_model(path)
            with blas_threads(1):
                text = "".join(each.char for each in Session.of(loaded, prime, recipe).stream(length, stop=stop))
            found.append({"step": step, "loss": loaded.loss, "text": text})
            progress(len(found), len(models))
    heads = [
        f"step {each['step']:,}" + ("" if each["loss"] is None else f", loss {each['loss']:.3f}") for each in found
    ]
    shown = [f"{head}\n{safe_for_stdout(prime + each['text'])}" for head, each in zip(heads, found, strict=True)]
    result: GenerateResult = {"checkpoints": found}
    output.print_result(result, f"\n{SEPARATOR}\n".join(shown))


def _format_alternatives(alternatives: tuple[Alternative, ...]) -> str:
    return "  ".join(
        f"{symbol(each.char)} {each.probability:.0%}{_sampled_words(each)}"
        for each in alternatives[:ALTERNATIVES_SHOWN]
    )


def _sampled_words(each: Alternative) -> str:
    """What the sampler made of the probability, where that is to be seen: `` (71%)``, or `` cut``."""
    if not each.kept:
        return " cut"
    sampled = f"{each.sampled:.0%}"
    return "" if sampled == f"{each.probability:.0%}" else f" ({sampled})"
