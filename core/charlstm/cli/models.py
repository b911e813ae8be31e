"""Commands on a model as a file: info, import, export."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from charlstm.cli.options import MODEL_HELP, F, examples, find_run, json_option, model_argument, runs_dir_option, whole
from charlstm.cli.output import print_note, print_result, write_stdout
from charlstm.display import shell_command, shell_word, symbol, visible
from charlstm.errors import ModelError
from charlstm.user_files import STDOUT, destination, save

_ENDINGS = {"script": ".net", "onnx": ".onnx"}


def _out_option(default: str) -> Callable[[F], F]:
    return click.option("--out", metavar="FILE", help=f"The file to write; - is standard output.  [default: {default}]")


_force_option = click.option("--force", is_flag=True, help="Replace the file if there is one.")


@click.command(epilog=MODEL_HELP)
@model_argument
@whole("--snapshot", help="Of the run as it was after this many steps.")
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
        print_result(True, values)
        return
    symbols = "".join(symbol(char) for char in loaded.vocabulary.symbols[:200])
    click.echo(
        f"{visible(str(path), keep='')}\n"
        f"{config.num_layers} × {config.hidden_size} LSTM, {config.parameters:,} parameters\n"
        f"{config.vocab_size:,} characters: {symbols}{'…' if config.vocab_size > 200 else ''}"
    )
    for key, value in loaded.info.items():
        if value not in (None, "", {}) and key != "val_whole":
            estimate = key == "val_loss" and loaded.info.get("val_whole") is False
            about = " (estimated from slices of the held-out part)" if estimate else ""
            click.echo(f"{visible(key, keep=''):<13} {_said(key, value)}{about}")


def _said(key: str, value: Any) -> str:
    """One thing that a model knows of itself, on a line."""
    if key == "val_loss" and isinstance(value, float):
        return f"{value:.4f} nats, {value / math.log(2):.3f} bits per character"
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if name != "learnt"}
        value = " ".join(f"{name}={each}" for name, each in value.items() if each is not None)
    if key in ("frequent", "start") and isinstance(value, str):
        return "".join(map(symbol, value[:100]))
    return visible(str(value)[:1000], keep="")


@click.command(
    "import",
    epilog=examples("charlstm import rnn_20_epoch.net", "charlstm generate rnn_20_epoch.safetensors --prime Anna"),
)
@click.argument("file", type=click.Path(path_type=Path))
@_out_option("./FILE.safetensors")
@_force_option
@json_option
def import_(file: Path, out: str | None, force: bool, as_json: bool) -> None:
    """Turn a checkpoint of the reference script into a model that every command and the app can use.

    FILE is what the script saved with torch.save: a dictionary of n_hidden, n_layers, state_dict and tokens, old or new
    container, from a CPU or a GPU. Nothing in it is executed. Prints the path of the model.
    """
    from charlstm.engine.script_format import import_checkpoint
    from charlstm.model.file import model_writer

    out = out or str(_free(Path(f"{file.stem}.safetensors")))
    _check(out, force=force, as_json=as_json)
    model = import_checkpoint(file)
    if out != STDOUT and Path(out).suffix != ".safetensors":
        better = shell_word(str(Path(out).with_suffix(".safetensors")))
        raise ModelError(f"The name of a model ends in .safetensors: --out {better}")
    _write(out, model_writer(model, out), force=force)
    if out == STDOUT:
        return
    config = model.config
    values = {
        "out": str(Path(out).absolute()),
        "hidden_size": config.hidden_size,
        "num_layers": config.num_layers,
        "vocab_size": config.vocab_size,
        "parameters": config.parameters,
    }
    print_result(as_json, values, out)
    if not as_json:
        print_note(
            f"{config.num_layers} × {config.hidden_size} LSTM over {config.vocab_size:,} characters, "
            f"{config.parameters:,} parameters. Next: {shell_command('generate', out)}"
        )


@click.command(epilog=MODEL_HELP)
@model_argument
@click.option("--to", "kind", type=click.Choice(list(_ENDINGS)), required=True, help="The reference script, or ONNX.")
@_out_option("./MODEL.net or ./MODEL.onnx")
@_force_option
@whole("--snapshot", help="The run as it was after this many steps.")
@json_option
@runs_dir_option
def export(
    model: str, kind: str, out: str | None, force: bool, snapshot: int | None, as_json: bool, runs_dir: Path | None
) -> None:
    """Write MODEL in a form that other programs read. Prints the path of the file.

    script: the dictionary that the reference script loads with torch.load and load_state_dict.

    onnx: a graph of one step, from `id`, `h` and `c` to `probabilities`, `h_next` and `c_next`; its metadata holds the
    vocabulary. Needs the package onnx.
    """
    from charlstm.model.file import load_model
    from charlstm.runs.models import find_model

    path = find_model(model, runs_dir, snapshot=snapshot)
    out = out or str(_free(Path(_name(model, path, snapshot, runs_dir) + _ENDINGS[kind])))
    _check(out, force=force, as_json=as_json)
    if Path(out).suffix == ".safetensors":
        raise ModelError(f"{out} is what a model of this program would be called: name the export {_ENDINGS[kind][1:]}")
    loaded = load_model(path)
    if kind == "script":
        from charlstm.engine.script_format import checkpoint_writer

        _write(out, checkpoint_writer(loaded), force=force)
    else:
        from charlstm.engine.onnx_format import onnx_writer

        _write(out, onnx_writer(loaded), force=force)
    if out != STDOUT:
        print_result(as_json, {"out": str(Path(out).absolute()), "to": kind}, out)


def _name(model: str, path: Path, snapshot: int | None, runs_dir: Path | None) -> str:
    """What a file made from a model is called: as the model's own file, or as the run and how old it was."""
    if model == "demo" or model.endswith(".safetensors"):
        return path.stem
    return find_run(model, runs_dir).name + ("" if snapshot is None else f"-{snapshot}")


def _check(out: str, *, force: bool, as_json: bool) -> None:
    """Refuse what :func:`_write` would refuse, before the work is done."""
    if out == STDOUT:
        if as_json:
            raise ModelError("--json and --out - would both write to standard output: leave one of them out")
        return
    if not os.path.basename(out):
        raise ModelError(f"{out} is a folder: give the file a name in it with --out")
    with _refusals(out):
        destination(out, overwrite=force)


def _free(path: Path) -> Path:
    """``path``, or with a number if something is there: a name that was not asked for replaces nothing."""
    numbers = itertools.count(2)
    free = path
    while os.path.lexists(free):
        free = path.with_stem(f"{path.stem}-{next(numbers)}")
    return free


def _write(out: str, write: Callable[[BinaryIO], None], *, force: bool) -> None:
    if out == STDOUT:
        write_stdout(write)
        return
    with _refusals(out):
        save(out, write, overwrite=force)


@contextlib.contextmanager
def _refusals(out: str) -> Iterator[None]:
    """Says in a sentence why a file cannot be written, and what to do."""
    try:
        yield
    except FileExistsError:
        raise ModelError(
            f"There is a file {out} already: replace it with --force, or choose another place with --out"
        ) from None
    except OSError as error:
        raise ModelError(f"{out} cannot be written: {error.strerror}; choose another place with --out") from None
