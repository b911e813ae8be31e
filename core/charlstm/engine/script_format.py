"""Read and write checkpoints of the reference script, without running any code that they contain.

The script saves ``{'n_hidden', 'n_layers', 'state_dict', 'tokens'}`` with ``torch.save``, which writes a pickle. What
this program adds, under :data:`ABOUT` and :data:`READ`, the script ignores.

A pickle can name any Python object and have it called, so ``torch.load(weights_only=True)`` reads it, which
calls little more than what makes tensors. That it names nothing else is checked before: torch alone would also make a
``bytearray`` of any size, and collections of all that is in one.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import torch
from torch import Tensor

from charlstm.errors import Advice, CharLSTMError, ModelError
from charlstm.model.file import Model, ModelConfig, read_info
from charlstm.model.tensors import open_model_file, read_header
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary

MAX_BYTES = 2**32
"""A larger file (a billion float32 weights) is refused before it is read."""

MAX_PICKLE = 2**20
"""Maximum size of a pickle in bytes: enough for a vocabulary of 70,000. Each byte can become 200 in memory."""

_ZIP_START = b"PK\x03\x04"

_LEGACY_START = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
"""What files of torch before 1.6 begin with: a pickle of this number, then those of the content."""

_FOLDER = 0x10
"""Marks a member of a zip archive as a folder. torch then reads nothing and takes what happens to be in memory."""

_ALLOWED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",  # before torch 0.4
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {name}Storage" for name in ("Float", "Double", "Half", "BFloat16", "Int")),
}
"""The objects that the pickle of a dictionary of tensors names, as ``module name``."""

ABOUT = "charlstm"
"""The key with what else is known of a model, as JSON: how it reads texts, and its ``info``."""
READ = "charlstm.passages"
"""The key with :attr:`Model.passages`, as int32, since torch before 2.3 has no uint32."""
_ABOUT_SCRIPT = json.dumps({"replacement": None, "text_options": {"normalize": False}, "info": {}})
"""What is known of a model of the script, which does not normalise texts."""

_LSTM_NAME = re.compile(r"(.*?)((?:weight|bias)_(?:ih|hh)_l\d+)")

_KINDS = {1: "a plain RNN", 3: "a GRU"}
"""Other networks by the number of rows of recurrent weights per unit; an LSTM has four."""


def import_checkpoint(path: str | Path) -> Model:
    """Read the model in a checkpoint of the reference script, with its characters in the order of ``tokens``.

    Zip and legacy files are read, storages of any device, any size and number of layers (taken from the shapes of the
    tensors, not from ``n_hidden`` and ``n_layers``), and an output layer of any name.

    torch does not check the CRC-32 of a zip member, and before 2.10 not whether a storage is as long as the pickle
    says, so this function does. A legacy file has no checksums; only its size is checked.

    Raises:
        ModelError: the file is not such a checkpoint, or is damaged. No code in it was executed.
    """
    path = Path(path)
    # torch reads the very file that was checked, even if another has its name by now
    with open_model_file(path, "checkpoint") as file:
        size = file.seek(0, io.SEEK_END)
        if size > MAX_BYTES:
            raise ModelError(f"{path} is larger than any character model, so it is not read")
        file.seek(0)
        start = file.read(64)
        members = None
        if start.startswith(_ZIP_START):
            members = _check_zip(file, path, size)
        elif start.startswith(_LEGACY_START):
            file.seek(0)  # magic number, version, system, content, storage names; the bytes of the storages follow
            _check_names(io.BytesIO(file.read(MAX_PICKLE)), 5, path)
        else:
            _refuse_other(path)
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns about old pickle protocols
                content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # it names tensors alone, so whatever torch cannot read is damaged
            raise _damaged(path) from None
        if members is None and file.tell() != size:  # a legacy file is read from start to end
            raise _damaged(path)
    return _model(content, path, size, members)


def checkpoint_writer(model: Model) -> Callable[[BinaryIO], None]:
    """A function that writes ``model`` to an open file as the reference script saves it."""
    state = OrderedDict((name, torch.from_numpy(model.weights[name])) for name in model.config.shapes)
    content = {
        "n_hidden": model.config.hidden_size,
        "n_layers": model.config.num_layers,
        "state_dict": state,
        "tokens": model.vocabulary.symbols,
        ABOUT: json.dumps(
            {
                "replacement": model.vocabulary.replacement,
                "text_options": model.text_options.to_dict(),
                "info": model.info,
            }
        ),
    }
    if model.passages is not None:
        content[READ] = torch.from_numpy(model.passages.view(np.int32))
    return lambda file: torch.save(content, file)


# -- checks of a file before torch reads it ---------------------------------------------------------------------


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is damaged or was cut short: use another copy of it")


def _check_zip(file: BinaryIO, path: Path, size: int) -> set[int]:
    """Refuse an archive that is damaged, or that torch could not read within the memory that the file takes; returns
    the sizes of its members."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ModelError(f"{path} is a zip archive but not a PyTorch checkpoint")
            names = {entry.filename.lower() for entry in entries}  # torch ignores the case
            if len(names) != len(entries) or any(entry.external_attr & _FOLDER for entry in entries):
                raise _damaged(path)
            if sum(entry.file_size for entry in entries) > size:  # compressed, or several names for the same bytes
                raise _damaged(path)
            if pickles[0].file_size > MAX_PICKLE:
                raise ModelError(f"{path} describes far more than a character model has: it is not such a checkpoint")
            _check_names(io.BytesIO(archive.read(pickles[0])), 1, path)
            if archive.testzip() is not None:  # which checks each CRC-32
                raise _damaged(path)
            return {entry.file_size for entry in entries}
    # all that zipfile raises
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError, OSError):
        raise _damaged(path) from None


def _check_names(pickles: BinaryIO, count: int, path: Path) -> None:
    """Refuse a file of whose ``count`` pickles one names another object than tensors, or is cut."""
    try:
        for _ in range(count):
            for opcode, argument, _ in pickletools.genops(pickles):
                if opcode.name == "GLOBAL" and argument not in _ALLOWED:
                    raise ModelError(
                        f"{path} is a pickled whole object ({str(argument)[:80].replace(' ', '.')}), which cannot be "
                        "opened without running code from it: save its state_dict and tokens instead, as the "
                        "reference script does"
                    )
    except (ValueError, IndexError, EOFError, OverflowError):
        raise _damaged(path) from None


def _refuse_other(path: Path) -> NoReturn:
    try:
        read_header(path)
    except ModelError:
        raise ModelError(
            f"{path} is not a PyTorch checkpoint: import reads files that the reference script wrote with torch.save"
        ) from None
    read_info(path)
    raise ModelError(f"{path} is a charlstm model already: use it as it is", Advice("generate", str(path)))


# -- from the dictionary to a model ------------------------------------------------------------------------------


def _model(content: Any, path: Path, size: int, members: set[int] | None) -> Model:
    """The model in what torch read from a file of ``size`` bytes. ``members`` are the sizes of those of a zip archive,
    of which each storage has one."""
    if not isinstance(content, dict):
        raise ModelError(f"{path} contains one {type(content).__name__}, not the reference script's dictionary")
    state, tokens = content.get("state_dict"), content.get("tokens")
    if state is None and any(isinstance(name, str) and _LSTM_NAME.fullmatch(name) for name in content):
        raise ModelError(
            f"{path} contains only weights: without the list `tokens` it is unknown which number means which character"
        )
    if not isinstance(state, dict) or not isinstance(tokens, tuple | list):
        missing = "state_dict" if not isinstance(state, dict) else "tokens"
        raise ModelError(
            f"{path} is not a checkpoint of the reference script: its {missing} is missing or of another type"
        )
    try:
        about = json.loads(content.get(ABOUT, _ABOUT_SCRIPT))
        vocabulary = Vocabulary(tokens, about["replacement"])
        options, info = TextOptions.from_dict(about["text_options"]), {**about["info"], "imported_from": path.name}
    except (CharLSTMError, TypeError, ValueError, KeyError, RecursionError) as error:
        raise ModelError(f"{path} is not a character model: {str(error)[:200]}") from None
    lstm, head = _split_state(state, path)
    read = content.get(READ, torch.empty(0, dtype=torch.int32))
    if not isinstance(read, Tensor) or read.dtype != torch.int32 or not read.is_contiguous():
        raise _damaged(path)
    stored = [each for each in (*lstm.values(), *head.values(), read) if each.numel()]
    if members and any(each.untyped_storage().nbytes() not in members for each in stored):
        raise _damaged(path)
    config = _config(lstm, len(vocabulary), path)
    # half precision has two bytes per weight; strides can make many weights of a few bytes
    if config.parameters * 2 > size:
        raise ModelError(f"{path} is damaged: it claims {config.parameters:,} weights and is {size:,} bytes long")
    found = lstm | head
    if extra := next((name for name in found if name not in config.shapes), None):
        raise ModelError(f"{path} is not a plain LSTM: it also contains {extra[:80]!r}")
    for name, shape in config.shapes.items():
        if name not in found:
            raise ModelError(f"{path} is damaged: it has no {name}")
        if tuple(found[name].shape) != shape:
            raise ModelError(f"{path} is damaged: {name} has shape {tuple(found[name].shape)} instead of {shape}")
    weights = {name: found[name].detach().to(torch.float32).contiguous().numpy().copy() for name in config.shapes}
    passages = read.flatten().numpy().view(np.uint32).copy() if READ in content else None
    return Model(config, vocabulary, weights, options, info, passages)


def _split_state(state: dict[Any, Any], path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of the LSTM and those of the output layer, by the names that this program uses."""
    lstm: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    prefixes = set()
    for name, tensor in state.items():
        plain = isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not isinstance(name, str) or not plain or not tensor.is_floating_point():
            raise ModelError(f"{path} is not a checkpoint of the reference script: {str(name)[:80]!r} is not a weight")
        if match := _LSTM_NAME.fullmatch(name):
            prefixes.add(match[1])
            lstm[f"lstm.{match[2]}"] = tensor
        else:
            others[name] = tensor
    if len(prefixes) > 1:
        raise ModelError(f"{path} contains several networks ({', '.join(sorted(prefixes))[:80]}), not one plain LSTM")
    if "lstm.weight_ih_l0" not in lstm or "lstm.weight_hh_l0" not in lstm:
        raise ModelError(f"{path} contains no LSTM")
    weights = [name for name in others if name.endswith(".weight") and others[name].ndim == 2]
    if len(weights) != 1:
        problem = f"besides the LSTM it contains {', '.join(others)[:120]}" if others else "it has no output layer"
        raise ModelError(f"{path} is not a model of the reference script: {problem}")
    stem = weights[0].removesuffix("weight")
    head = {f"fc.{name.removeprefix(stem)}" if name.startswith(stem) else name: t for name, t in others.items()}
    return lstm, head


def _config(lstm: dict[str, Tensor], characters: int, path: Path) -> ModelConfig:
    """The size of the network, from the shapes of its tensors."""
    inputs, recurrent = lstm["lstm.weight_ih_l0"], lstm["lstm.weight_hh_l0"]
    if inputs.ndim != 2 or recurrent.ndim != 2 or not recurrent.shape[1]:
        raise ModelError(f"{path} contains no LSTM: its weights are not matrices")
    rows, hidden = recurrent.shape
    if rows != 4 * hidden:
        kind = _KINDS.get(rows // hidden, "not an LSTM") if rows % hidden == 0 else "not an LSTM"
        raise ModelError(
            f"{path} is {kind}: an LSTM of {hidden} units has {4 * hidden} rows of weights, this has {rows}"
        )
    if inputs.shape[1] != characters:
        raise ModelError(
            f"{path} has tokens for {characters:,} characters, but its network takes {inputs.shape[1]:,}: it is not a "
            "one-hot model of the reference script"
        )
    layers = sum(name.startswith("lstm.weight_ih_l") for name in lstm)
    return ModelConfig(characters, hidden, layers)
