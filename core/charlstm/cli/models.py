"""Commands on model files: ``info``, ``import``, ``export``."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict

import click

from charlstm.cli import options, output
from charlstm.display import percent, shell_command, shell_word, symbol, visible
from charlstm.errors import ModelError
from charlstm.model.file import load_model, model_writer
from charlstm.runs.folder import RunFolder
from charlstm.runs.models import find_model
from charlstm.user_files import STDOUT, check_destination, refuse_sources, save

_SUFFIXES = {"script": ".net", "onnx": ".onnx", "folder": "/"}


class InfoDetails(TypedDict):
    """What ``info`` adds to the size of a model.

    Attributes:
        loss: validation loss of the model, in nats per character; None where the file does not say.
        loss_kind: as ``best_kind`` of ``runs``; None where the file does not say.
        read_share: as in ``runs``; None where the file does not say.
        read_by: as in ``runs``; None where the file does not say.
        info: everything that the file says about the model, as it is stored there.
    """

    path: str
    loss: float | None
    loss_kind: Literal["whole", "estimate"] | None
    read_share: float | None
    read_by: str | None
    vocabulary: list[str]
    text_options: dict[str, Any]
    info: dict[str, Any]


def _out_option(default: str) -> Callable[[options.F], options.F]:
    return click.option("--out", metavar="FILE", help=f"File to write; - is standard output.  [default: {default}]")


_force_option = click.option("--force", is_flag=True, help="Replace the file if it exists.")


@click.command(epilog=options.MODEL_HELP)
@options.model_argument
@options.snapshot_option
@options.common_options
def info(model: str, snapshot: int | None) -> None:
    """Show the size of MODEL, its characters, its origin and its validation loss.

    With --json: these, and in `info` everything that the file says about the model.
    """
    path = find_model(model, options.given_runs_dir(), snapshot=snapshot)
    loaded = load_model(path)
    config = loaded.config
    loss = loaded.info.get("val_loss")
    if not isinstance(loss, float) or not math.isfinite(loss):
        loss = None
    details: InfoDetails = {
        "path": str(path),
        "loss": loss,
        "loss_kind": None if loss is None else "estimate" if loaded.info.get("val_whole") is False else "whole",
        "read_share": loaded.info.get("read_share"),
        "read_by": loaded.info.get("read_by"),
        "vocabulary": list(loaded.vocabulary.symbols),
        "text_options": loaded.text_options.to_dict(),
        "info": loaded.info,
    }
    if output.wants_json():
        output.print_result(output.joined(config, details))
        return
    symbols = "".join(symbol(char) for char in loaded.vocabulary.symbols[:200])
    click.echo(
        f"{visible(str(path), keep='')}\n"
        f"{config.num_layers} × {config.hidden_size} LSTM, {config.parameters:,} parameters\n"
        f"{config.vocab_size:,} characters: {symbols}{'…' if config.vocab_size > 200 else ''}"
    )
    share, by = loaded.info.get("read_share"), loaded.info.get("read_by")
    if isinstance(share, float) and isinstance(by, str):
        who = "its own training part" if not by else visible(by, keep="")
        click.echo(f"{'read before':<13} {percent(share)} of the held-out part{f', by {who}' if share else ''}")
    for key, value in loaded.info.items():
        if value not in (None, "", {}) and key not in ("val_whole", "read_share", "read_by"):
            estimate = key == "val_loss" and details["loss_kind"] == "estimate"
            about = " (estimated from slices of the held-out part)" if estimate else ""
            click.echo(f"{visible(key, keep=''):<13} {_format_info(key, value)}{about}")


def _format_info(key: str, value: Any) -> str:
    """An entry of a model's ``info`` as one line of text."""
    if key == "val_loss" and isinstance(value, float):
        return f"{value:.3f} nats, {value / math.log(2):.3f} bits per character"
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if name != "learnt"}
        value = " ".join(f"{name}={each}" for name, each in value.items() if each is not None)
    if key in ("frequent", "start") and isinstance(value, str):
        return "".join(map(symbol, value[:100]))
    return visible(str(value)[:1000], keep="")


@click.command(
    "import",
    epilog=options.examples(
        "charlstm import rnn_20_epoch.net", "charlstm generate rnn_20_epoch.safetensors --prime Anna"
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@_out_option("./FILE.safetensors")
@_force_option
@options.json_option
def import_(file: Path, out: str | None, force: bool) -> None:
    """Convert a checkpoint of the reference script to a model that every command and the app can use.

    FILE is what the script saved with torch.save: a dictionary with n_hidden, n_layers, state_dict and tokens, in the
    old or the new file format of torch, from a CPU or a GPU. No code in it is executed. Prints the path of the model.

    With --json: {"out", "hidden_size", "num_layers", "vocab_size", "parameters"}.
    """
    from charlstm.engine.script_format import import_checkpoint

    out = out or f"{file.stem}.safetensors"
    _check_target(out, file, force=force)
    model = import_checkpoint(file)
    if out != STDOUT and Path(out).suffix != ".safetensors":
        corrected = shell_word(str(Path(out).with_suffix(".safetensors")))
        raise click.UsageError(f"The name of a model file must end in .safetensors: use --out {corrected}")
    _write(out, model_writer(model, out), force=force)
    if out == STDOUT:
        return
    config = model.config
    output.print_result(output.joined(config, {"out": str(Path(out).absolute())}), out)
    output.print_remark(
        f"{config.num_layers} × {config.hidden_size} LSTM over {config.vocab_size:,} characters, "
        f"{config.parameters:,} parameters. Next: {shell_command('generate', out)}"
    )


@click.command(epilog=options.MODEL_HELP)
@options.model_argument
@click.argument("file", required=False)
@click.option(
    "--to",
    "kind",
    type=click.Choice(list(_SUFFIXES)),
    help="script: a checkpoint of the reference script; onnx: an ONNX model; folder: with a model card.  [default: by "
    "the name of FILE]",
)
@_out_option("FILE, else with --to ./MODEL.net, ./MODEL.onnx or ./MODEL/")
@_force_option
@options.snapshot_option
@options.common_options
def export(model: str, file: str | None, kind: str | None, out: str | None, force: bool, snapshot: int | None) -> None:
    """Write MODEL to FILE, which other programs can read: name.net, name.onnx or folder/. Prints its path.

    FILE may be left out if --to names the format.

    script (.net): the dictionary that the reference script reads with torch.load and load_state_dict.

    onnx (.onnx): a graph of one step, with the inputs `id`, `h` and `c` and the outputs `probabilities`, `h_next` and
    `c_next`. The vocabulary is in its metadata. Needs the package onnx.

    folder (/): weights, configuration and a model card, to be given away. Fill in the licence of the text.

    With --json: {"out", "to"}.
    """
    if file is not None and out is not None:
        raise click.UsageError("Name the file once: as FILE, or with --out")
    out = file if file is not None else out
    kind = kind or next((kind for kind, suffix in _SUFFIXES.items() if out is not None and out.endswith(suffix)), None)
    if kind is None:
        raise click.UsageError("Name a FILE that ends in .net, .onnx or /, or its format: --to script, onnx or folder")
    path = find_model(model, options.given_runs_dir(), snapshot=snapshot)
    name = _export_name(model, path, snapshot)
    out = out or name + _SUFFIXES[kind]
    if kind == "folder":
        from charlstm.generation.model_card import write_folder

        if out == STDOUT:
            raise click.UsageError("A folder cannot be written to standard output: name one that ends in /")
        if RunFolder(Path(out)).is_run():
            raise ModelError(f"{out} is the folder of a run, whose model would be replaced: choose another one")
        with output.output_errors(out, ModelError):
            write_folder(load_model(path), out, name, overwrite=force)
    else:
        _check_target(out, path, force=force)
        if Path(out).suffix == ".safetensors":
            raise click.UsageError(
                f"{out} is the name of a model of this program: use {_SUFFIXES[kind]} for the export"
            )
        if kind == "script":
            from charlstm.engine.script_format import checkpoint_writer as writer
        else:
            from charlstm.engine.onnx_format import onnx_writer as writer
        _write(out, writer(load_model(path)), force=force)
    if out != STDOUT:
        output.print_result({"out": str(Path(out).absolute()), "to": kind}, out)


def _export_name(model: str, path: Path, snapshot: int | None) -> str:
    """The default name of an export, without suffix: that of the model file, or of the run and the snapshot."""
    run = options.run_of(model)
    return path.stem if run is None else run.name + ("" if snapshot is None else f"-{snapshot}")


def _check_target(out: str, source: Path, *, force: bool) -> None:
    """Raise before the work is done what :func:`_write` would raise after it, and if ``out`` is the ``source``."""
    output.check_stdout(out=out)
    if out == STDOUT:
        return
    with output.output_errors(out, ModelError):
        check_destination(out, overwrite=force)
    refuse_sources(out, [source])


def _write(out: str, write: Callable[[BinaryIO], None], *, force: bool) -> None:
    if out == STDOUT:
        output.write_stdout(write)
        return
    with output.output_errors(out, ModelError):
        save(out, write, overwrite=force)
