"""Checkpoints of the reference script: read without running anything that is in them, and written for it to load.

The script saves ``{'n_hidden', 'n_layers', 'state_dict', 'tokens'}`` with ``torch.save``. A pickle can name any Python
object and have it called, so a file is looked through before it is opened: only what a dictionary of tensors needs may
be named in it, and ``torch.load(weights_only=True)`` then does the reading. Not for models of other kinds, and not for
ONNX (:mod:`charlstm.engine.onnx_format`).
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import torch
from torch import Tensor

from charlstm import user_files
from charlstm.errors import Advice, CharLSTMError, ModelError
from charlstm.model.file import Model, ModelConfig, read_info
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary

MAX_BYTES = 2**32
"""A larger file (a billion float32 weights) is refused before it is read."""

MAX_PICKLE = 2**20
"""Bytes of pickle that are looked through and built: room for 70,000 characters. Each byte can become 200 in memory."""

_PIECE = 2**20


_ZIP_START = b"PK\x03\x04"


_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


_STORAGES = ("FloatStorage", "DoubleStorage", "HalfStorage", "BFloat16Storage")


_NAMED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",  # before torch 0.4
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {name}" for name in _STORAGES),
}
"""What the pickle of a dictionary of tensors names, as ``module name``."""

_LSTM_NAME = re.compile(r"(.*?)((?:weight|bias)_(?:ih|hh)_l\d+)")


_KINDS = {1: "a plain RNN", 3: "a GRU"}
"""By how many rows of recurrent weights there are for each unit; an LSTM has four."""


def import_checkpoint(path: str | Path) -> Model:
    """The model in a checkpoint of the reference script, its characters in the order in which they were found.

    Zip and legacy containers, storages of any device, any size and number of layers (the shapes decide, whatever
    ``n_hidden`` and ``n_layers`` say), the output layer under any name. The script reads texts as they are, so the
    model's text options leave accents as they are too.

    torch does not compare the CRC-32 of a zip member, so every member is checked here before torch reads it. A legacy
    container has no checksums: of it only the sizes are checked.

    Raises:
        ModelError: in a sentence that says why the file is no such checkpoint. Nothing in it was executed.
    """
    path = Path(path)
    with _opened(path) as file:  # torch reads the very file that was checked, even if another now has its name
        size = _inspect(file, path)
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch on old pickle protocols
                content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # it has passed for a checkpoint: whatever torch now stumbles over is damage
            raise _damaged(path) from None
        end = file.tell()
        file.seek(0)
        if not file.read(16).startswith(_ZIP_START) and end != size:  # a legacy container is read from start to end
            raise _damaged(path)
    return _model(content, path, size)


def export_checkpoint(path: str | Path, model: Model) -> None:
    """Create or replace the file ``path``: the dictionary that the reference script saves, for its ``torch.load`` and
    ``load_state_dict``.

    Raises :class:`CharLSTMError` for what is not a regular file, :class:`OSError` when the disk does not take it.
    """
    user_files.save(path, checkpoint_writer(model))


def checkpoint_writer(model: Model) -> Callable[[BinaryIO], None]:
    """What writes the reference script's dictionary into a file."""
    state = OrderedDict((name, torch.from_numpy(model.weights[name])) for name in model.config.shapes)
    content = {
        "n_hidden": model.config.hidden_size,
        "n_layers": model.config.num_layers,
        "state_dict": state,
        "tokens": model.vocabulary.symbols,
    }
    return lambda file: torch.save(content, file)


# -- looking through a file before it is opened ------------------------------------------------------------------


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise ModelError(f"{path} is not a file" if path.exists() else f"There is no file {path}")
    try:
        return path.open("rb")
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is damaged or was cut short: use another copy of it")


def _inspect(file: BinaryIO, path: Path) -> int:
    """Refuse what is no checkpoint, is damaged, or would do more than fill tensors; returns the size in bytes."""
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise ModelError(f"{path} is larger than any character model ({size:,} bytes)")
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    if start.startswith(_ZIP_START):
        _inspect_zip(file, path)
    elif start.startswith(b"\x80"):
        _inspect_legacy(file, path)
    else:
        _refuse_other(path, start)
    return size


def _inspect_zip(file: BinaryIO, path: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ModelError(f"{path} is a zip archive but not a PyTorch checkpoint")
            if any(entry.compress_type or entry.file_size != entry.compress_size for entry in entries):
                raise ModelError(f"{path} is compressed inside, which PyTorch never does: it is no checkpoint")
            if pickles[0].file_size > MAX_PICKLE:
                raise ModelError(f"{path} describes far more than a character model has: it is no such checkpoint")
            _look_through(io.BytesIO(archive.read(pickles[0])), path)
            for entry in entries:
                with archive.open(entry) as member:
                    while member.read(_PIECE):  # at its end zipfile compares the CRC-32
                        pass
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError, OSError):  # all that it raises
        raise _damaged(path) from None


def _inspect_legacy(file: BinaryIO, path: Path) -> None:
    """The container before torch 1.6: five pickles (magic number, version, system, content, storages' names), then
    the storages' bytes."""
    start = io.BytesIO(file.read(MAX_PICKLE))
    if _LEGACY_MAGIC not in _look_through(start, path):
        raise ModelError(f"{path} is a pickle but not a PyTorch checkpoint, and pickles are not opened")
    for _ in range(4):
        _look_through(start, path)


def _look_through(pickle: BinaryIO, path: Path) -> list[Any]:
    """Walk over one pickle without building anything; returns its numbers.

    Raises :class:`ModelError` when it names anything but what tensors in a dictionary need.
    """
    numbers = []
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name == "GLOBAL" and argument not in _NAMED:
                _refuse_object(path, str(argument).replace(" ", "."))
            if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
                raise ModelError(
                    f"{path} uses a pickle protocol that cannot be opened safely: save it again with torch.save and "
                    "nothing but the dictionary and the file"
                )
            if opcode.name.startswith(("LONG", "BININT")):
                numbers.append(argument)
    except (ValueError, IndexError, EOFError, OverflowError):
        raise _damaged(path) from None
    return numbers


def _refuse_object(path: Path, name: str) -> NoReturn:
    raise ModelError(
        f"{path} is a pickled whole object ({name[:80]}), which only running code from it could open, so nothing of it "
        "was: save its state_dict and tokens as the reference script does"
    )


def _refuse_other(path: Path, start: bytes) -> NoReturn:
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < MAX_BYTES:  # as safetensors begins
        try:
            read_info(path)
        except ModelError:
            raise ModelError(f"{path} is a safetensors file and no checkpoint of the reference script") from None
        raise ModelError(f"{path} is a charlstm model already: use it as it is", Advice("generate", str(path)))
    what = "is empty" if not start else "is not a PyTorch checkpoint"
    raise ModelError(f"{path} {what}: import reads what the reference script writes with torch.save")


# -- from the dictionary to a model ------------------------------------------------------------------------------


def _model(content: Any, path: Path, size: int) -> Model:
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds one {type(content).__name__}, not the reference script's dictionary")
    state, tokens = content.get("state_dict"), content.get("tokens")
    if state is None and any(isinstance(name, str) and _LSTM_NAME.fullmatch(name) for name in content):
        raise ModelError(
            f"{path} holds weights alone: without the list `tokens` nobody knows which number means which character"
        )
    if not isinstance(state, dict) or not isinstance(tokens, tuple | list):
        lacking = "state_dict" if not isinstance(state, dict) else "tokens"
        raise ModelError(
            f"{path} is no checkpoint of the reference script: its {lacking} is missing or of another kind"
        )
    try:
        vocabulary = Vocabulary(tokens)
    except (CharLSTMError, TypeError) as error:
        raise ModelError(f"{path} is no character model: {str(error)[:200]}") from None
    lstm, head = _sorted_out(state, path)
    config = _config(lstm, len(vocabulary), path)
    if config.parameters * 2 > size:  # half precision takes two bytes; a few bytes can pose as any number of weights
        raise ModelError(f"{path} is damaged: it claims {config.parameters:,} weights and is {size:,} bytes long")
    found = lstm | head
    if extra := next((name for name in found if name not in config.shapes), None):
        raise ModelError(f"{path} is no plain LSTM: it also holds {extra[:80]!r}")
    for name, shape in config.shapes.items():
        if name not in found:
            raise ModelError(f"{path} is damaged: it has no {name}")
        if tuple(found[name].shape) != shape:
            raise ModelError(f"{path} is damaged: {name} has shape {tuple(found[name].shape)} instead of {shape}")
    weights = {name: found[name].detach().to(torch.float32).contiguous().numpy().copy() for name in config.shapes}
    return Model(config, vocabulary, weights, TextOptions(normalize=False), {"imported_from": path.name})


def _sorted_out(state: dict[Any, Any], path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The LSTM's tensors and the output layer's, under our names."""
    lstm: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    prefixes = set()
    for name, tensor in state.items():
        plain = isinstance(tensor, Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not isinstance(name, str) or not plain or not tensor.is_floating_point():
            raise ModelError(f"{path} is no checkpoint of the reference script: {str(name)[:80]!r} is not a weight")
        if match := _LSTM_NAME.fullmatch(name):
            prefixes.add(match[1])
            lstm[f"lstm.{match[2]}"] = tensor
        else:
            others[name] = tensor
    if len(prefixes) > 1:
        raise ModelError(f"{path} holds several networks ({', '.join(sorted(prefixes))[:80]}): it is no plain LSTM")
    if "lstm.weight_ih_l0" not in lstm or "lstm.weight_hh_l0" not in lstm:
        raise ModelError(f"{path} holds no LSTM")
    weights = [name for name in others if name.endswith(".weight") and others[name].ndim == 2]
    if len(weights) != 1:
        said = f"besides the LSTM it holds {', '.join(others)[:120]}" if others else "it has no output layer"
        raise ModelError(f"{path} is no model of the reference script: {said}")
    stem = weights[0].removesuffix("weight")
    head = {f"fc.{name.removeprefix(stem)}" if name.startswith(stem) else name: t for name, t in others.items()}
    return lstm, head


def _config(lstm: dict[str, Tensor], characters: int, path: Path) -> ModelConfig:
    """The network's size, as its shapes tell it."""
    inputs, recurrent = lstm["lstm.weight_ih_l0"], lstm["lstm.weight_hh_l0"]
    if inputs.ndim != 2 or recurrent.ndim != 2 or not recurrent.shape[1]:
        raise ModelError(f"{path} holds no LSTM: its weights are no matrices")
    rows, hidden = recurrent.shape
    if rows != 4 * hidden:
        kind = _KINDS.get(rows // hidden, "no LSTM") if rows % hidden == 0 else "no LSTM"
        raise ModelError(
            f"{path} is {kind}: an LSTM of {hidden} units has {4 * hidden} rows of weights, this has {rows}"
        )
    if inputs.shape[1] != characters:
        raise ModelError(
            f"{path} has tokens for {characters:,} characters, but its network takes {inputs.shape[1]:,}: it is no "
            "one-hot model of the reference script"
        )
    layers = sum(name.startswith("lstm.weight_ih_l") for name in lstm)
    return ModelConfig(characters, hidden, layers)
