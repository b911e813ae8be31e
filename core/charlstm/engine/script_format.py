"""Read and write checkpoints of the reference script, without running any code that they contain.

The script saves ``{'n_hidden', 'n_layers', 'state_dict', 'tokens'}`` with ``torch.save``, which writes a pickle. A
pickle can name any Python object and have it called. So a file is inspected first: it may name only what a dictionary
of tensors needs. Then ``torch.load(weights_only=True)`` reads it.
"""

from __future__ import annotations

import io
import pickle
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
from charlstm.storage import NotAFileError, open_file
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary

MAX_BYTES = 2**32
"""A larger file (a billion float32 weights) is refused before it is read."""

MAX_PICKLE = 2**20
"""Maximum size of a pickle in bytes: enough for a vocabulary of 70,000. Each byte can become 200 in memory."""

_PIECE = 2**20

_ZIP_START = b"PK\x03\x04"

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_STORAGES = {"FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2}
"""The kinds of storages, with the bytes of one number."""

_FOLDER = 0x10
"""Marks a member of a zip archive as a folder. torch then reads nothing and takes what happens to be in memory."""

_ALLOWED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor",  # before torch 0.4
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {name}" for name in _STORAGES),
}
"""The objects that the pickle of a dictionary of tensors names, as ``module name``."""

_LSTM_NAME = re.compile(r"(.*?)((?:weight|bias)_(?:ih|hh)_l\d+)")

_KINDS = {1: "a plain RNN", 3: "a GRU"}
"""Other networks by the number of rows of recurrent weights per unit; an LSTM has four."""


def import_checkpoint(path: str | Path) -> Model:
    """Read the model in a checkpoint of the reference script, with its characters in the order of ``tokens``.

    Zip and legacy files are read, storages of any device, any size and number of layers (taken from the shapes of the
    tensors, not from ``n_hidden`` and ``n_layers``), and an output layer of any name. The script does not normalise
    texts, so neither do the model's text options.

    torch does not check the CRC-32 of a zip member, and before 2.10 not whether a storage is as long as the pickle
    says, so this function does. A legacy file has no checksums; only its size is checked.

    Raises:
        ModelError: the file is not such a checkpoint, or is damaged. No code in it was executed.
    """
    path = Path(path)
    with _open(path) as file:  # torch reads the very file that was checked, even if another has its name by now
        size = _inspect(file, path)
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns about old pickle protocols
                content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception:  # the file has passed the inspection, so whatever torch cannot read is damaged
            raise _damaged(path) from None
        end = file.tell()
        file.seek(0)
        if not file.read(16).startswith(_ZIP_START) and end != size:  # a legacy file is read from start to end
            raise _damaged(path)
    return _model(content, path, size)


def export_checkpoint(path: str | Path, model: Model) -> None:
    """Write ``model`` to the file ``path`` as the reference script saves it, so that the script can load it.

    An existing file is replaced. Raises :class:`CharLSTMError` if ``path`` is not a regular file, :class:`OSError` if
    it cannot be written.
    """
    user_files.save(path, checkpoint_writer(model))


def checkpoint_writer(model: Model) -> Callable[[BinaryIO], None]:
    """A function that writes ``model`` to an open file as the reference script saves it."""
    state = OrderedDict((name, torch.from_numpy(model.weights[name])) for name in model.config.shapes)
    content = {
        "n_hidden": model.config.hidden_size,
        "n_layers": model.config.num_layers,
        "state_dict": state,
        "tokens": model.vocabulary.symbols,
    }
    return lambda file: torch.save(content, file)


# -- inspection of a file before it is opened --------------------------------------------------------------------


def _open(path: Path) -> BinaryIO:
    try:
        return open_file(path)
    except NotAFileError as error:
        raise ModelError(f"{path} is a {error.kind}, not a file: name a checkpoint") from None
    except FileNotFoundError:
        raise ModelError(f"There is no file {path}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is damaged or was cut short: use another copy of it")


def _inspect(file: BinaryIO, path: Path) -> int:
    """Refuse a file that is not a checkpoint, is damaged, or names other objects than tensors; returns its size."""
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise ModelError(f"{path} is larger than any character model ({size:,} bytes), so it is not read")
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    if start.startswith(_ZIP_START):
        _inspect_zip(file, path)
    elif start.startswith(b"\x80") and not _may_be_safetensors(start):
        _inspect_legacy(file, path)
    else:
        _refuse_other(path, start)
    return size


def _may_be_safetensors(start: bytes) -> bool:
    """Whether a file begins like one of safetensors: the size of its header in eight bytes, then JSON. The first byte
    of that size may be the one that a pickle begins with."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < MAX_BYTES


def _inspect_zip(file: BinaryIO, path: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise ModelError(f"{path} is a zip archive but not a PyTorch checkpoint")
            if any(entry.compress_type or entry.file_size != entry.compress_size for entry in entries):
                raise ModelError(
                    f"{path} is compressed inside, which PyTorch never does: it is not a PyTorch checkpoint"
                )
            sizes = {entry.filename.lower(): entry.file_size for entry in entries}  # torch ignores the case
            if len(sizes) != len(entries) or any(entry.external_attr & _FOLDER for entry in entries):
                raise _damaged(path)
            if pickles[0].file_size > MAX_PICKLE:
                raise ModelError(f"{path} describes far more than a character model has: it is not such a checkpoint")
            content = archive.read(pickles[0])
            _scan_pickle(io.BytesIO(content), path)
            folder = pickles[0].filename.removesuffix("data.pkl").lower()
            if any(sizes.get(f"{folder}data/{key}") != size for key, size in _claimed_sizes(content, path)):
                raise _damaged(path)
            for entry in entries:
                with archive.open(entry) as member:
                    while member.read(_PIECE):  # at the end of a member zipfile checks its CRC-32
                        pass
    except (
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        OSError,
    ):  # all that zipfile raises
        raise _damaged(path) from None


def _inspect_legacy(file: BinaryIO, path: Path) -> None:
    """Inspect a file of torch before 1.6: five pickles (magic number, version, system, content, storage names), then
    the bytes of the storages."""
    start = io.BytesIO(file.read(MAX_PICKLE))
    if _LEGACY_MAGIC not in _scan_pickle(start, path):
        raise ModelError(f"{path} is a pickle but not a PyTorch checkpoint, and other pickles are not opened")
    for _ in range(4):
        _scan_pickle(start, path)


def _scan_pickle(pickle: BinaryIO, path: Path) -> list[Any]:
    """Read the opcodes of one pickle without executing them; returns its numbers.

    Raises :class:`ModelError` if it names any object that is not in :data:`_ALLOWED`.
    """
    numbers = []
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name == "GLOBAL" and argument not in _ALLOWED:
                _refuse_object(path, str(argument).replace(" ", "."))
            if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
                raise ModelError(
                    f"{path} uses a pickle protocol that cannot be opened safely: save it again with torch.save and "
                    "its default protocol"
                )
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > MAX_PICKLE:
                raise _damaged(path)  # Python would make a table of that size
            if opcode.name.startswith(("LONG", "BININT")):
                numbers.append(argument)
    except (ValueError, IndexError, EOFError, OverflowError):
        raise _damaged(path) from None
    return numbers


class _Claims(pickle.Unpickler):
    """Reads which storages a pickle names that :func:`_scan_pickle` allowed. It makes no tensors and calls nothing."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.sizes: list[tuple[str, int]] = []

    def find_class(self, module: str, name: str) -> Any:
        if name == "OrderedDict":
            return OrderedDict
        return name if name in _STORAGES else lambda *some: None

    def persistent_load(self, pid: Any) -> None:
        _, kind, key, _, count = pid
        self.sizes.append((key.lower(), count * _STORAGES[kind]))


def _claimed_sizes(content: bytes, path: Path) -> list[tuple[str, int]]:
    """The key of each storage that the pickle ``content`` names, and how many bytes it should have."""
    claims = _Claims(content)
    try:
        claims.load()
    except Exception:  # whatever is wrong with a pickle
        raise _damaged(path) from None
    return claims.sizes


def _refuse_object(path: Path, name: str) -> NoReturn:
    raise ModelError(
        f"{path} is a pickled whole object ({name[:80]}), which cannot be opened without running code from it: save "
        "its state_dict and tokens instead, as the reference script does"
    )


def _refuse_other(path: Path, start: bytes) -> NoReturn:
    if _may_be_safetensors(start):
        try:
            read_info(path)
        except ModelError:
            raise ModelError(f"{path} is a safetensors file and not a checkpoint of the reference script") from None
        raise ModelError(f"{path} is a charlstm model already: use it as it is", Advice("generate", str(path)))
    what = "is empty" if not start else "is not a PyTorch checkpoint"
    raise ModelError(f"{path} {what}: import reads files that the reference script wrote with torch.save")


# -- from the dictionary to a model ------------------------------------------------------------------------------


def _model(content: Any, path: Path, size: int) -> Model:
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
        vocabulary = Vocabulary(tokens)
    except (CharLSTMError, TypeError) as error:
        raise ModelError(f"{path} is not a character model: {str(error)[:200]}") from None
    lstm, head = _split_state(state, path)
    config = _config(lstm, len(vocabulary), path)
    if (
        config.parameters * 2 > size
    ):  # half precision has two bytes per weight; strides can make many weights of a few bytes
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
    return Model(config, vocabulary, weights, TextOptions(normalize=False), {"imported_from": path.name})


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
