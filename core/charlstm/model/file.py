"""Save and load the model file: weights, vocabulary, configuration and text options of a trained network.

It needs numpy but not torch, so generation and the app can use it. The network that is trained is in
``engine.network``, checkpoints of other programs in ``engine.script_format``, the state of a run in ``training.state``.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

from charlstm import arguments, user_files
from charlstm.errors import CharLSTMError, ModelError, UnreadableFileError
from charlstm.model.tensors import (
    Header,
    TensorSpec,
    of_another_program,
    read_header,
    read_tensors,
    tensors_writer,
)
from charlstm.text.passages import Passages
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary

FORMAT = 2
PLAIN_FORMAT = 1
"""The format of a file with float32 weights and no passages."""
PASSAGES = "passages"
"""The tensor with :attr:`Model.passages`."""
MAX_PARAMETERS = 2**31
"""A file with more weights than this (8 GB of float32) is refused before memory is allocated."""

MAX_ROW_SUM = 1e30
"""The largest accepted sum of absolute weights in one row. Float32 ends at 3.4e38, and differences of logits and sums
of losses must fit too. In trained networks these sums are in the hundreds."""

Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a network: V = ``vocab_size`` characters, H = ``hidden_size`` units in each of ``num_layers``."""

    JSON_FIELDS: ClassVar = ("hidden_size", "num_layers", "vocab_size", "parameters")

    vocab_size: int
    hidden_size: int
    num_layers: int

    def __post_init__(self) -> None:
        limits = {"vocab_size": 0x110000, "hidden_size": 2**16, "num_layers": 64}
        for name, limit in limits.items():
            size = operator.index(getattr(self, name))
            object.__setattr__(self, name, arguments.number(name, size, 1, limit, error=ModelError))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter, as in ``nn.LSTM(V, H, num_layers)`` and ``nn.Linear(H, V)``."""
        gates = 4 * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            shapes[f"lstm.weight_ih_l{layer}"] = (gates, self.hidden_size if layer else self.vocab_size)
            shapes[f"lstm.weight_hh_l{layer}"] = (gates, self.hidden_size)
            shapes[f"lstm.bias_ih_l{layer}"] = (gates,)
            shapes[f"lstm.bias_hh_l{layer}"] = (gates,)
        shapes["fc.weight"] = (self.vocab_size, self.hidden_size)
        shapes["fc.bias"] = (self.vocab_size,)
        return shapes

    @property
    def parameters(self) -> int:
        """The number of weights."""
        hidden, inner = self.hidden_size, self.num_layers - 1
        layers = 4 * hidden * (self.vocab_size + hidden + 2) + inner * 4 * hidden * (2 * hidden + 2)
        return layers + self.vocab_size * (hidden + 1)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no truth value: a model is equal to itself only
class Model:
    """A trained network as arrays, with all that is needed to use it.

    ``weights`` are float32, with the names and shapes of :attr:`ModelConfig.shapes`; the gates are in torch's order
    i, f, g, o. ``info`` is any JSON object: which run the model is from, its loss, and so on. ``passages`` are those of
    the texts that it was trained on (:mod:`charlstm.text.passages`), for a model that other runs start from.
    """

    config: ModelConfig
    vocabulary: Vocabulary
    weights: Weights
    text_options: TextOptions = field(default_factory=TextOptions)
    info: dict[str, Any] = field(default_factory=dict)
    passages: Passages | None = None

    def __repr__(self) -> str:
        config, loss = self.config, self.loss
        facts = [f"{config.num_layers} × {config.hidden_size}", f"{config.vocab_size} characters"]
        if loss is not None:
            facts.append(f"loss {loss:.4f}")
        return f"Model({', '.join(facts)}, {config.parameters:,} weights)"

    def digest(self) -> str:
        """SHA-256 of the weights, whatever file they came from; of some hundred megabytes it takes a second."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name]).data)
        return digest.hexdigest()

    @property
    def loss(self) -> float | None:
        """The validation loss in nats per character, when the file says it."""
        loss = self.info.get("val_loss")
        return float(loss) if isinstance(loss, (int, float)) and not isinstance(loss, bool) else None

    def check_computable(self) -> None:
        """Raise :class:`ModelError` unless every gate and logit is finite for every input.

        Finite weights can have sums that overflow. Inputs are one-hot and the outputs of a layer are within ±1, so the
        sum of the absolute weights in its row bounds each gate and logit.
        """
        _check_vocabulary(self.config, self.vocabulary, "in memory")
        _check_shapes(self.config, _specs(self.weights), "in memory")
        names_of = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        groups = [[f"lstm.{name}_l{layer}" for name in names_of] for layer in range(self.config.num_layers)]
        groups.append(["fc.weight", "fc.bias"])
        for names in groups:
            rows = (self.weights[name].reshape(len(self.weights[name]), -1) for name in names)
            if not np.max(sum(np.abs(row).sum(1, dtype=np.float64) for row in rows)) <= MAX_ROW_SUM:
                raise ModelError(
                    f"The model cannot be used: its weights in {names[0]} are so large that its predictions are not "
                    "finite; use an earlier snapshot, or train again with a lower learning rate"
                )


def save_model(path: str | Path, model: Model, *, half: bool = False) -> None:
    """Create or replace the file ``path`` atomically. Equal models give equal bytes. With ``half`` the weights are
    rounded to float16, which halves the file.

    Raises :class:`CharLSTMError` when the weights do not fit the configuration or are not finite, or ``path`` is not a
    regular file; :class:`OSError` when the file cannot be written.
    """
    user_files.save(path, model_writer(model, str(path), half=half))


def model_writer(model: Model, path: str, *, half: bool = False) -> Callable[[BinaryIO], None]:
    """Check ``model`` and return a function that writes it to an open file, with ``half`` in float16; ``path`` is for
    messages.

    Raises :class:`ModelError` when the weights do not fit the configuration or are not finite.
    """
    _check_vocabulary(model.config, model.vocabulary, path)
    _check_shapes(model.config, _specs(model.weights), path)
    tensors: dict[str, npt.NDArray[Any]] = dict(model.weights)
    if half:
        with np.errstate(over="ignore"):  # what overflows is refused below
            tensors = {name: array.astype(np.float16) for name, array in tensors.items()}
    _check_finite(tensors, path)
    if model.passages is not None:
        tensors[PASSAGES] = model.passages
    plain = not half and model.passages is None
    about = {
        "config": {
            "vocab_size": model.config.vocab_size,
            "hidden_size": model.config.hidden_size,
            "num_layers": model.config.num_layers,
        },
        "vocabulary": model.vocabulary.to_dict(),
        "text_options": model.text_options.to_dict(),
        "info": model.info,
    }
    version = str(PLAIN_FORMAT if plain else FORMAT)
    return tensors_writer(tensors, {"format": version, "charlstm": json.dumps(about, sort_keys=True)})


def load_model(path: str | Path) -> Model:
    """Read and check a model file. The file is closed afterwards and never memory-mapped.

    Raises :class:`ModelError` when the file is missing, damaged, of a newer format or not a model.
    """
    path = Path(path)
    tensors, header = read_tensors(path)
    config, about = _read_about(header, path)
    passages = tensors.pop(PASSAGES, None)
    weights = {name: array.astype(np.float32, copy=False) for name, array in tensors.items()}
    _check_finite(weights, str(path))
    try:
        vocabulary = Vocabulary.from_dict(about["vocabulary"])
        text_options = TextOptions.from_dict(about["text_options"])
    except CharLSTMError as error:
        raise ModelError(f"The model file {path} has an invalid vocabulary or invalid text options: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ModelError(
            f"The model file {path} has no vocabulary or text options that this charlstm can read: train it again"
        ) from None
    _check_vocabulary(config, vocabulary, str(path))
    return Model(config, vocabulary, weights, text_options, about["info"], passages)


def read_info(path: str | Path) -> tuple[ModelConfig, dict[str, Any]]:
    """Read configuration and ``info`` of a model file from its header: fast, but the checksum is not verified.

    Raises :class:`ModelError` as :func:`load_model` does.
    """
    config, about = _read_about(read_header(Path(path)), Path(path))
    return config, about["info"]


def _read_about(header: Header, path: Path) -> tuple[ModelConfig, dict[str, Any]]:
    version = header.metadata.get("format", "")
    if "charlstm" not in header.metadata or not (version.isascii() and version.isdecimal()):
        raise of_another_program(path)
    if len(version) > 9 or int(version) > FORMAT:  # int() of a very long number would take long
        raise UnreadableFileError(
            f"{path} was written by a newer charlstm (format {version[:9]}); update charlstm to read it", "other_format"
        )
    try:
        about = json.loads(header.metadata["charlstm"])
        config = ModelConfig(**about["config"])
        if not isinstance(about["info"], dict):
            raise TypeError
    except (ModelError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ModelError(f"The model file {path} is damaged: the shape of its network cannot be read") from None
    _check_shapes(config, header.tensors, str(path))
    return config, about


def _check_vocabulary(config: ModelConfig, vocabulary: Vocabulary, path: str) -> None:
    if len(vocabulary) != config.vocab_size:
        raise ModelError(
            f"The model {path} has {config.vocab_size:,} outputs, but its vocabulary has {len(vocabulary):,} characters"
        )


def _check_shapes(config: ModelConfig, found: Mapping[str, TensorSpec], path: str) -> None:
    if config.parameters > MAX_PARAMETERS:
        raise ModelError(
            f"The model {path} has {config.parameters:,} weights; at most {MAX_PARAMETERS:,} are supported"
        )
    expected = config.shapes
    for name, shape in expected.items():
        if name not in found or found[name].shape != shape or found[name].dtype not in ("F32", "F16"):
            raise ModelError(f"The model {path} cannot be used: its {name} must be a float32 array of shape {shape}")
    passages = found.get(PASSAGES)
    if passages is not None and (passages.dtype != "U32" or len(passages.shape) != 1):
        raise ModelError(f"The model {path} is damaged: its passages are not a list of whole numbers")
    for extra in found.keys() - expected.keys() - {PASSAGES}:
        raise ModelError(f"The model {path} is not a plain LSTM: it also has the tensor {extra[:80]!r}")


def _check_finite(weights: Mapping[str, npt.NDArray[Any]], path: str) -> None:
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ModelError(f"The model {path} has weights in {name} that are not finite")


def _specs(weights: Mapping[str, npt.NDArray[Any]]) -> dict[str, TensorSpec]:
    return {name: TensorSpec(_type_name(array), array.shape, 0, 0) for name, array in weights.items()}


def _type_name(array: npt.NDArray[Any]) -> str:
    return "F32" if array.dtype == np.float32 else str(array.dtype)
