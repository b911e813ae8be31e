"""Write and read safetensors files with a checksum.

The format (https://huggingface.co/docs/safetensors) is a header length (8 bytes, little-endian), a JSON header and the
bytes of the arrays. Besides, the metadata in the header has a SHA-256 of header and arrays, which is verified on
reading. Files may be damaged or hostile, so that sizes are checked before memory is allocated. Nothing is
memory-mapped: a map of a file that is truncated meanwhile would kill the process. Equal content gives equal bytes.

The safetensors library is not used here because it copies: to save a training state of 650 MB it needs another 1,240 MB
and 2.3 times as long (here: none), to load it 1,240 MB (here: 620). The tests check that the library reads these files.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from charlstm.display import size
from charlstm.errors import ModelError, UnreadableFileError
from charlstm.memory import machine_memory
from charlstm.storage import NotAFileError, open_file, replace_file

MAX_HEADER = 32 * 2**20
"""The largest accepted header in bytes: enough for a vocabulary of a million characters."""

DTYPES: dict[str, npt.DTypeLike] = {
    "F32": "<f4",
    "F64": "<f8",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "U32": "<u4",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""The supported element types, by their safetensors names."""

_CHECKSUM = "sha256"
_NAMES = {np.dtype(kind): name for name, kind in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Type, shape and position of one array: its bytes are ``start`` to ``stop`` (exclusive) of the data."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a file, checked against the file's size but not against the checksum."""

    metadata: dict[str, str]
    tensors: dict[str, TensorSpec]
    size: int
    """Bytes of all arrays."""


def write_tensors(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str], *, keep: Path | None = None
) -> None:
    """Replace the file ``path`` atomically; arguments are those of :func:`tensors_writer`.

    With ``keep``, the old file is kept under that name. Raises :class:`OSError` when the file cannot be written; then
    the old file is unchanged.
    """
    replace_file(path, tensors_writer(tensors, metadata), keep=keep)


def tensors_writer(tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> Callable[[BinaryIO], None]:
    """Return a function that writes ``tensors`` (types of :data:`DTYPES`) and ``metadata`` to an open file."""
    specs: dict[str, TensorSpec] = {}
    contents: list[memoryview] = []
    offset = 0
    # Largest element size first, so that each array starts at a multiple of its element size, as safetensors wants it.
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        array = tensors[name]
        specs[name] = TensorSpec(_NAMES[array.dtype], array.shape, offset, offset + array.nbytes)
        contents.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        offset += array.nbytes
    checksum = _start_checksum(metadata, specs)
    for content in contents:
        checksum.update(content)
    header = _encode_header({**metadata, _CHECKSUM: checksum.hexdigest()}, specs)

    def write(file: BinaryIO) -> None:
        file.write(struct.pack("<Q", len(header)))
        file.write(header)
        for content in contents:
            file.write(content)

    return write


def read_header(path: Path, what: str = "model") -> Header:
    """Read and check the header of ``path`` without reading the arrays; ``what`` names the kind of file in messages.

    Raises :class:`ModelError` when the file is missing, damaged or not of this format.
    """
    with open_model_file(path, what) as file:
        return _parse_header(file, path, what)


def read_tensors(path: Path, what: str = "model") -> tuple[dict[str, npt.NDArray[Any]], Header]:
    """Read all arrays and the header of ``path`` and verify the checksum.

    Needs memory of the file's size. Raises :class:`ModelError` as :func:`read_header` does, when the checksum does not
    match, and when there is not enough memory.
    """
    with open_model_file(path, what) as file:
        header = _parse_header(file, path, what)
        memory = machine_memory()
        if memory is not None and header.size > memory.total:  # the kernel would end the process, or another one
            raise UnreadableFileError(
                f"The {what} file {path} needs {size(header.size)} of memory, and this machine has "
                f"{size(memory.total)}: use a larger machine",
                "memory",
            )
        metadata = dict(header.metadata)
        expected = metadata.pop(_CHECKSUM, None)
        if expected is None:
            raise of_another_program(path)
        checksum = _start_checksum(metadata, header.tensors)
        tensors: dict[str, npt.NDArray[Any]] = {}
        try:
            for name, spec in header.tensors.items():
                raw = np.empty(spec.stop - spec.start, np.uint8)
                if file.readinto(raw.data) != raw.nbytes:
                    raise _damaged(path, what, "the file is too short")
                checksum.update(raw.data)
                tensors[name] = raw.view(DTYPES[spec.dtype]).reshape(spec.shape)
        except MemoryError as error:
            raise UnreadableFileError(
                f"There is not enough memory to load {path}: it needs {size(header.size)}", "memory"
            ) from error
        except OSError as error:
            raise _unreadable(path, what, error) from error
    if checksum.hexdigest() != expected:
        raise _damaged(path, what, "its checksum does not match")
    return tensors, header


def of_another_program(path: Path) -> ModelError:
    """The error for weights without the metadata of this program."""
    return ModelError(
        f"{path} is a safetensors file of another program, which does not say what character each number means: make a "
        "model of its weights and their characters in Python, with charlstm.Model"
    )


def open_model_file(path: Path, what: str) -> BufferedReader:
    """Open the regular file ``path``; ``what`` names the kind of file in messages. Raises :class:`ModelError`."""
    try:
        return open_file(path)
    except NotAFileError as error:
        raise ModelError(f"{path} is a {error.kind}, not a file: name a {what} file") from None
    except FileNotFoundError:
        raise ModelError(f"There is no {what} file {path}") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, what, error) from error


def _parse_header(file: BufferedReader, path: Path, what: str) -> Header:
    try:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ModelError(f"{path} is not a {what} file, or it is incomplete")
        raw = file.read(length)
    except OSError as error:
        raise _unreadable(path, what, error) from error
    try:
        fields = json.loads(raw)
        metadata = fields.pop("__metadata__", {})
        tensors = {name: _spec(entry) for name, entry in fields.items()}
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ModelError(f"{path} is not a {what} file, or its header is damaged") from None
    offset = 0
    for spec in tensors.values():
        if spec.start != offset:
            raise _damaged(path, what, "its arrays overlap or have gaps")
        offset = spec.stop
    if 8 + length + offset != size:
        raise _damaged(path, what, f"it has {size:,} bytes instead of {8 + length + offset:,}")
    return Header(metadata, tensors, offset)


def _spec(entry: Any) -> TensorSpec:
    start, stop = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(number) is int and 0 <= number < 2**48 for number in (start, stop, *shape)) or len(shape) > 8:
        raise ValueError
    if stop - start != math.prod(shape) * np.dtype(DTYPES[entry["dtype"]]).itemsize:
        raise ValueError
    return TensorSpec(entry["dtype"], shape, start, stop)


def _encode_header(metadata: Mapping[str, str], specs: Mapping[str, TensorSpec]) -> bytes:
    fields: dict[str, Any] = {"__metadata__": {name: metadata[name] for name in sorted(metadata)}}
    for name, spec in specs.items():
        fields[name] = {"dtype": spec.dtype, "shape": list(spec.shape), "data_offsets": [spec.start, spec.stop]}
    encoded = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return encoded + b" " * (-len(encoded) % 8)


def _start_checksum(metadata: Mapping[str, str], specs: Mapping[str, TensorSpec]) -> Any:
    """A SHA-256 of the header without the checksum, to be updated with the bytes of the arrays."""
    return hashlib.sha256(_encode_header(metadata, specs))


def _damaged(path: Path, what: str, why: str) -> ModelError:
    return ModelError(f"The {what} file {path} is damaged ({why}): use another copy of it")


def _unreadable(path: Path, what: str, error: Exception) -> UnreadableFileError:
    reason = getattr(error, "strerror", None) or error
    return UnreadableFileError(f"The {what} file {path} cannot be read: {reason}", "disk")
