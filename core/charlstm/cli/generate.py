"""The command that lets a model write, generate, and what it shares with play: sampler options and streaming."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charlstm.cli.options import (
    MODEL_HELP,
    examples,
    json_option,
    model_argument,
    number,
    open_model,
    runs_dir_option,
    whole,
)
from charlstm.cli.output import ReadingProgress, print_result, report_unknown_characters
from charlstm.display import symbol, visible
from charlstm.errors import GenerationError

if TYPE_CHECKING:
    from charlstm.generation.sampling import SamplerSettings
    from charlstm.generation.tree import Alternative, Step
    from charlstm.model.file import Model


F = TypeVar("F", bound=Callable[..., Any])

UNTIL = {"line": "\n", "paragraph": "\n\n"}


BETWEEN = "-" * 8
"""The line between two of several samples."""

ALTERNATIVES_SHOWN = 6

MAX_PRIME = 10_000_000
"""Characters of a prime; what is longer is refused, since a device or a pipe may never end."""

_SAMPLER = (
    number("--temperature", default=0.8, help="0 greedy, 1 as learnt, above wilder."),
    whole("--top-k", help="Keep the K most likely characters."),
    number("--top-p", help="Keep the fewest that together are this likely."),
    number("--min-p", default=0.05, help="Drop what is below this part of the best."),
    number("--typical", help="Keep this much probability, of what is about as surprising as expected."),
    number("--mirostat", metavar="BITS", help="Steer the mean surprise to so many bits per character."),
    number("--repetition", default=0.0, help="Punish going on with a repeat of 16 or more, in nats."),
    click.option(
        "--sampler",
        "kind",
        type=click.Choice(["default", "reference"]),
        default="default",
        help="reference: exactly the script's, which knows --top-k alone.",
    ),
)
"""Options that are named as the fields of :class:`charlstm.generation.sampling.SamplerSettings`."""


def sampler_options(command: F) -> F:
    """How characters are chosen; the command receives the options by name."""
    for option in reversed(_SAMPLER):
        command = option(command)
    return command


def sampler_settings(values: dict[str, Any]) -> SamplerSettings:
    """The settings that options ask for. Raises :class:`GenerationError` for what makes no sense."""
    from charlstm.generation.sampling import SamplerSettings

    settings = SamplerSettings(**values)
    if settings.kind == "reference":
        context = click.get_current_context()
        given = [
            name
            for name in values
            if name not in ("kind", "top_k")
            and context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        ]
        if given:
            raise GenerationError(
                f"The reference sampler knows --top-k alone: leave --{given[0].replace('_', '-')} away, or the sampler"
            )
    return settings


@click.command(
    epilog=examples(
        "charlstm generate RUN --prime 'The sea' --until paragraph",
        r"charlstm generate RUN --samples 20 --stop '\n'",
        "charlstm generate RUN --temperature 0 --show-probs",
        about=MODEL_HELP,
    )
)
@model_argument
@click.option("--prime", help="What the text starts from; the model continues it.")
@click.option("--prime-file", type=click.Path(dir_okay=False, path_type=Path), help="Read the prime from a file, or -.")
@whole("--length", least=0, default=1000, help="Characters to write at most.")
@click.option("--samples", type=click.IntRange(1, 4096), metavar="N", help="Write N texts at once.")
@click.option("--stop", multiple=True, help=r"End after this string; \n is a newline. May be given more than once.")
@click.option("--until", type=click.Choice(list(UNTIL)), help="End with the line or the paragraph.")
@whole("--seed", default=0, help="The same seed gives the same text.")
@sampler_options
@whole("--snapshot", help="Play the run as it was after this many steps.")
@click.option("--show-probs", is_flag=True, help="One line a character: probability, rank and the alternatives.")
@json_option
@runs_dir_option
def generate(
    model: str,
    prime: str | None,
    prime_file: Path | None,
    length: int,
    samples: int | None,
    stop: tuple[str, ...],
    until: str | None,
    seed: int,
    snapshot: int | None,
    show_probs: bool,
    as_json: bool,
    runs_dir: Path | None,
    **sampler: Any,
) -> None:
    """Let MODEL write: the text streams to stdout as it is made, after the prime.

    With --json, without the prime: {"text"}; with --samples {"texts"}; with --show-probs also {"steps"}, one for each
    character.
    """
    from charlstm.generation.session import Session
    from charlstm.generation.threads import blas_threads

    if prime is not None and prime_file is not None:
        raise GenerationError("Give --prime or --prime-file, not both")
    if show_probs and samples is not None:
        raise GenerationError("--show-probs looks at one text: leave --samples away")
    settings = sampler_settings(sampler)
    stops = [unescaped(each) for each in stop] + ([UNTIL[until]] if until else [])
    text = _read_prime(prime_file) if prime_file is not None else prime or ""
    loaded = open_model(model, runs_dir, snapshot)
    if samples is not None:
        texts = _many(loaded, text, length, samples=samples, seed=seed, settings=settings, stop=stops)
        whole = f"\n{BETWEEN}\n".join(literal(text + each) for each in texts)
        print_result(as_json, {"texts": texts}, whole)
        return
    click.get_current_context().with_resource(blas_threads(1))  # once for all characters
    with ReadingProgress() as bar:
        session = Session(loaded, text, seed=seed, settings=settings, progress=bar.named("reading the prime"))
    report_unknown_characters(session.unknown, "the rest of the prime is used", loaded.vocabulary)
    steps = session.stream(length, stop=stops)
    if as_json:
        made = list(steps)
        values: dict[str, Any] = {"text": "".join(step.char for step in made)}
        print_result(True, values | ({"steps": [_step_json(step) for step in made]} if show_probs else {}))
    elif show_probs:
        for step in steps:
            click.echo(
                f"{symbol(step.char)}  {step.probability:7.2%}  rank {step.rank:<4}  {_others(step.alternatives)}"
            )
    else:
        write_steps(text, steps)


def unescaped(text: str) -> str:
    r"""``text`` with \n, \t, \r, \xHH, \uHHHH and \\ turned into what they stand for; other backslashes stay."""
    return re.sub(r"\\(?:[ntr\\]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})", lambda found: _unescaped(found[0]), text)


def _unescaped(escape: str) -> str:
    return {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}.get(escape[1:]) or chr(int(escape[2:], 16))


def write_steps(start: str, steps: Iterator[Step]) -> None:
    """Put ``start`` and then each character on stdout as it is made, and end the line."""
    live = sys.stdout.isatty()
    sys.stdout.write(literal(start))
    for step in steps:
        sys.stdout.write(literal(step.char))
        if live or step.char == "\n":
            sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()


def literal(text: str) -> str:
    """Literally on a terminal, whose controls are not a model's to use; as it is elsewhere."""
    return visible(text) if sys.stdout.isatty() else text


def _read_prime(path: Path) -> str:
    """The prime in a file that may have no end, such as a device or a pipe."""
    if str(path) == "-":
        text, name = sys.stdin.read(MAX_PRIME + 1), "Standard input"
    else:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            text, name = file.read(MAX_PRIME + 1), str(path)
    if len(text) > MAX_PRIME:
        raise GenerationError(f"{name} is longer than {MAX_PRIME:,} characters, too long for a prime: give less of it")
    return text


def _many(model: Model, prime: str, length: int, *, samples: int, **how: Any) -> list[str]:
    """Many texts at once, with a bar on a terminal."""
    from charlstm.generation.generate import generate_many
    from charlstm.generation.prime import prepare_prime

    report_unknown_characters(prepare_prime(model, prime).unknown, "the rest of the prime is used", model.vocabulary)
    with ReadingProgress() as bar:
        show, total = bar.named("writing"), samples * length
        return generate_many(
            model,
            prime,
            length,
            samples=samples,
            progress=lambda done: show(done, total),
            prime_progress=bar.named("reading the prime"),
            **how,
        )


def _others(alternatives: tuple[Alternative, ...]) -> str:
    return "  ".join(
        f"{symbol(each.char)} {each.probability:.0%}{'' if each.kept else ' cut'}"
        for each in alternatives[:ALTERNATIVES_SHOWN]
    )


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "char": step.char,
        "probability": step.probability,
        "rank": step.rank,
        "entropy": step.entropy,
        "alternatives": [
            {"char": each.char, "probability": each.probability, "sampled": each.sampled, "kept": each.kept}
            for each in step.alternatives
        ],
    }
