"""Commands that use a trained model: generate, eval, info."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from charlstm.cli.common import find_run, json_option, load_corpus, remark, result, runs_dir_option
from charlstm.errors import GenerationError, RunError, TextError
from charlstm.text.reading import TextOptions
from charlstm.text.visible import described, symbol, visible

MODEL_HELP = "MODEL is a run's name or folder, a .safetensors file, or `demo`, the model in the box."


@click.command(epilog=MODEL_HELP)
@click.argument("model")
@click.option("--prime", help="What the text starts from; the model continues it.")
@click.option("--prime-file", type=click.Path(dir_okay=False, path_type=Path), help="Read the prime from a file.")
@click.option("--length", type=click.IntRange(0), default=1000, show_default=True, help="Characters to write.")
@click.option("--stop", multiple=True, help="End after this string; may be given more than once.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same text.")
@click.option("--temperature", type=float, default=0.8, show_default=True, help="0 greedy, 1 as learnt, above wilder.")
@click.option("--top-k", type=int, help="Keep the K most likely characters.")
@click.option("--top-p", type=float, help="Keep the fewest that together are this likely.")
@click.option("--min-p", type=float, default=0.05, show_default=True, help="Drop what is below this part of the best.")
@click.option(
    "--sampler", type=click.Choice(["default", "reference"]), default="default", help="reference: the script's."
)
@click.option("--snapshot", type=int, help="Play the run as it was after this many steps.")
@click.option("--show-probs", is_flag=True, help="One line a character: probability, rank and the alternatives.")
@json_option
@runs_dir_option
def generate(
    model: str,
    prime: str | None,
    prime_file: Path | None,
    length: int,
    stop: tuple[str, ...],
    seed: int,
    snapshot: int | None,
    show_probs: bool,
    as_json: bool,
    runs_dir: Path | None,
    **sampler: Any,
) -> None:
    """Let MODEL write: the text streams to stdout as it is made, after the prime.

    With --json: {"text"}, without the prime.
    """
    from charlstm.generation.samplers import SamplerSettings
    from charlstm.generation.session import Session
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model

    if prime is not None and prime_file is not None:
        raise GenerationError("Give --prime or --prime-file, not both")
    settings = SamplerSettings(kind=sampler.pop("sampler"), **sampler)
    text = prime_file.read_text(encoding="utf-8", errors="replace") if prime_file is not None else (prime or "")
    session = Session(load_model(find_model(model, runs_dir, snapshot=snapshot)), text, seed=seed, settings=settings)
    if session.unknown:
        chars = ", ".join(f"{symbol(char)} ({described(char)})" for char in session.unknown)
        remark(f"The model has never seen {chars}; the rest of the prime is used")
    steps = session.stream(length, stop=stop)
    if as_json:
        result(True, {"text": "".join(step.char for step in steps)})
        return
    shown = visible if sys.stdout.isatty() else str
    if show_probs:
        for step in steps:
            others = "  ".join(
                f"{symbol(each.char)} {each.probability:.0%}{'' if each.kept else '✗'}"
                for each in step.alternatives[:6]
            )
            click.echo(f"{symbol(step.char)}  {step.probability:7.2%}  rank {step.rank:<4}  {others}")
        return
    sys.stdout.write(shown(text))
    for step in steps:
        sys.stdout.write(shown(step.char))
        sys.stdout.flush()
    sys.stdout.write("\n")


@click.command("eval", epilog=MODEL_HELP)
@click.argument("model")
@click.argument("text", nargs=-1)
@click.option(
    "--part",
    type=click.Choice(["all", "validation", "training"]),
    default="all",
    help="Of a run's own text, when no TEXT is named: which part.",
)
@click.option("--snapshot", type=int, help="Judge the run as it was after this many steps.")
@click.option("--encoding", help="Read the text in this encoding instead of detecting it.")
@json_option
@runs_dir_option
def eval_(
    model: str,
    text: tuple[str, ...],
    part: str,
    snapshot: int | None,
    encoding: str | None,
    as_json: bool,
    runs_dir: Path | None,
) -> None:
    """How well MODEL predicts TEXT: nats and bits per character, perplexity.

    `charlstm eval RUN --part validation` judges a run on its own held-out part, with the very function that
    validation uses. Characters that the model has never seen are left out and counted.
    """
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model
    from charlstm.text.corpus import reopen_corpus

    loaded = load_model(find_model(model, runs_dir, snapshot=snapshot))
    if text:
        if part != "all":
            raise TextError("--part goes with a run's own text: leave TEXT away")
        options = TextOptions.from_dict(loaded.text_options.to_dict() | {"encoding": encoding, "fold_rare": 0})
        corpus = load_corpus(text, options)
        spans = None
    else:
        run = find_run(model, runs_dir)
        spec = run.spec()
        corpus = reopen_corpus(spec.corpus)
        split = corpus.split(spec.settings.val_fraction, spec.settings.split)
        spans = {"validation": split.held_out, "training": split.train, "all": None}[part]
        if spans is not None and not spans:
            raise RunError(f"{run.name} held nothing out: its text was too short for a validation part")
    ids, unknown = corpus.encoded_for(loaded.vocabulary)
    if unknown:
        seen = ", ".join(f"{symbol(char)} ×{count}" for char, count in list(unknown.items())[:12])
        remark(f"Left out, because the model has never seen them: {seen}")
    if len(ids) < 2:
        raise TextError(f"{corpus.name} has fewer than two characters that the model knows: there is nothing to judge")
    from charlstm.model.network import CharLSTM
    from charlstm.training.evaluation import evaluate

    figures = evaluate(CharLSTM.from_model(loaded), ids, spans or [(0, len(ids))])
    result(
        as_json,
        {
            "nats": figures.nats,
            "bits_per_char": figures.bits,
            "perplexity": figures.perplexity,
            "chars": figures.chars,
            "unknown": unknown,
        },
        f"{figures.nats:.4f} nats  {figures.bits:.4f} bits per character  perplexity {figures.perplexity:.3f}  "
        f"over {figures.chars:,} characters",
    )


@click.command(epilog=MODEL_HELP)
@click.argument("model")
@click.option("--snapshot", type=int, help="Of the run as it was after this many steps.")
@json_option
@runs_dir_option
def info(model: str, snapshot: int | None, as_json: bool, runs_dir: Path | None) -> None:
    """What MODEL is: its size, its characters, where it comes from and how good it is."""
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model

    path = find_model(model, runs_dir, snapshot=snapshot)
    loaded = load_model(path)
    config = loaded.config
    values = {
        "path": str(path),
        "hidden_size": config.hidden_size,
        "num_layers": config.num_layers,
        "vocab_size": config.vocab_size,
        "parameters": config.parameters,
        "vocabulary": list(loaded.vocabulary.symbols),
        "text_options": loaded.text_options.to_dict(),
        "info": loaded.info,
    }
    if as_json:
        result(True, values)
        return
    symbols = "".join(symbol(char) for char in loaded.vocabulary.symbols[:200])
    click.echo(
        f"{visible(str(path), keep='')}\n"
        f"{config.num_layers} × {config.hidden_size} LSTM, {config.parameters:,} parameters\n"
        f"{config.vocab_size:,} characters: {symbols}{'…' if config.vocab_size > 200 else ''}"
    )
    for key, value in loaded.info.items():
        click.echo(f"{key}: {visible(str(value), keep='')[:300]}")
