"""The character LSTM as a torch module: parameters, initial weights, and conversion from and to a model file.

It is a plain ``nn.LSTM`` over one-hot characters and a linear output layer, so that its weights are interchangeable
with those of every other network of that kind. Training computes gradients with the kernels of ``kernels``; tests
compare them with this module's ``forward``.
"""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from charlstm import arguments
from charlstm.errors import ModelError
from charlstm.model.file import Model, ModelConfig
from charlstm.model.given import GivenModel, given_model
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary

LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state of every layer, each (L, B, H) float32."""

INPUT_STD = 0.7
"""Standard deviation of the input weights of the first layer: with torch's ±1/√H, the network predicts nothing but
character frequencies for the first 100 steps."""


class CharLSTM(nn.Module):
    """``lstm`` (L layers of H units over V one-hot characters) and ``fc`` (H → V).

    ``init="torch"`` initialises the weights as torch does. ``"orthogonal"`` draws the first layer's input weights with
    a standard deviation of :data:`INPUT_STD`, makes every gate's recurrent weights and the input weights of the other
    layers orthogonal, and sets the forget gates' bias to 1. Both draw from ``generator``, or without one from torch's
    global generator. ``"none"`` leaves the weights uninitialised. There is no dropout here: the training kernels get
    their masks from ``masks``.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        num_layers: int,
        init: Literal["torch", "orthogonal", "none"] = "orthogonal",
        generator: torch.Generator | None = None,
    ) -> None:
        arguments.one_of("init", init, ("torch", "orthogonal", "none"), error=ModelError)
        super().__init__()
        self.config = ModelConfig(vocab_size, hidden_size, num_layers)
        with torch.device("meta"):  # elsewhere torch's modules would draw weights from the global generator
            self.lstm = nn.LSTM(self.config.vocab_size, self.config.hidden_size, self.config.num_layers)
            self.fc = nn.Linear(self.config.hidden_size, self.config.vocab_size)
        # to_empty() would compute with meta tensors, for which torch imports sympy: 1 s at the start of every run
        empty = {name: torch.empty(weight.shape, dtype=weight.dtype) for name, weight in self.state_dict().items()}
        self.load_state_dict(empty, assign=True)
        if init != "none":
            self._init_torch(generator)
        if init == "orthogonal":
            self._init_orthogonal(generator)

    @torch.no_grad()
    def _init_torch(self, generator: torch.Generator | None) -> None:
        """Draw the weights as ``nn.LSTM`` and ``nn.Linear`` do, in the same order."""
        bound = 1 / math.sqrt(self.config.hidden_size)
        for weight in self.lstm.parameters():
            weight.uniform_(-bound, bound, generator=generator)
        nn.init.kaiming_uniform_(self.fc.weight, a=math.sqrt(5), generator=generator)
        self.fc.bias.uniform_(-bound, bound, generator=generator)

    @torch.no_grad()
    def _init_orthogonal(self, generator: torch.Generator | None) -> None:
        hidden = self.config.hidden_size
        for layer in range(self.config.num_layers):
            weight_ih, weight_hh, bias_ih, bias_hh = self.layer(layer)
            for block in weight_hh.chunk(4):
                nn.init.orthogonal_(block, generator=generator)
            if layer == 0:
                weight_ih.normal_(0.0, INPUT_STD, generator=generator)
            else:
                for block in weight_ih.chunk(4):
                    nn.init.orthogonal_(block, generator=generator)
            bias_ih.zero_()
            bias_hh.zero_()
            bias_ih[hidden : 2 * hidden] = 1.0

    def layer(self, index: int) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter, nn.Parameter]:
        """Layer ``index``'s weight_ih (4H, V or H), weight_hh (4H, H), bias_ih (4H,) and bias_hh (4H,)."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weight_ih, weight_hh, bias_ih, bias_hh = (getattr(self.lstm, f"{name}_l{index}") for name in names)
        return weight_ih, weight_hh, bias_ih, bias_hh

    def forward(self, ids: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
        """Logits (T, B, V) after each of ``ids`` (T, B) int64, and the last state; the default state is zero."""
        parameter = self.fc.weight
        inputs = functional.one_hot(ids, self.config.vocab_size).to(parameter.dtype)
        hidden, new_state = self.lstm(inputs, state)
        return self.fc(hidden), new_state

    def zero_state(self, batch_size: int) -> LSTMState:
        """The state of zeros for ``batch_size`` rows."""
        shape = (self.config.num_layers, batch_size, self.config.hidden_size)
        parameter = self.fc.weight
        return parameter.new_zeros(shape), parameter.new_zeros(shape)

    @classmethod
    def from_model(cls, model: GivenModel) -> Self:
        """A network with copies of the weights of ``model``, which may be what :func:`charlstm.load_model` takes.
        Raises :class:`ModelError` for weights that are too large, and as that function does."""
        model = given_model(model)
        model.check_computable()
        config = model.config
        network = cls(config.vocab_size, config.hidden_size, config.num_layers, init="none")
        network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in model.weights.items()})
        return network

    def to_model(
        self, vocabulary: Vocabulary, text_options: TextOptions | None = None, info: dict[str, object] | None = None
    ) -> Model:
        """The network as a :class:`Model`; its weights are copies, in float32 on the CPU."""
        weights = {
            name: np.array(tensor.detach().to("cpu", torch.float32).numpy(), order="C")
            for name, tensor in self.state_dict().items()
        }
        return Model(self.config, vocabulary, weights, text_options or TextOptions(), dict(info or {}))


def extend_vocabulary(model: Model, vocabulary: Vocabulary, seed: int = 0) -> Model:
    """Convert ``model`` to another ``vocabulary``. Characters of both vocabularies keep their weights.

    A new character gets random input weights with the standard deviation of the others', small random output weights,
    and the lowest output bias of all known characters, so that it is improbable until it is learnt. Characters that
    ``vocabulary`` lacks are dropped: pass a union to keep them.

    Raises :class:`ModelError` for weights that are too large to compute with.
    """
    model.check_computable()
    known = {symbol: index for index, symbol in enumerate(model.vocabulary.symbols)}
    origin = np.array([known.get(symbol, -1) for symbol in vocabulary.symbols], dtype=np.int64)
    new = np.flatnonzero(origin < 0)
    random = np.random.default_rng(seed)
    config = ModelConfig(len(vocabulary), model.config.hidden_size, model.config.num_layers)
    weights = {name: array.copy() for name, array in model.weights.items()}

    columns = weights["lstm.weight_ih_l0"]
    weights["lstm.weight_ih_l0"] = np.ascontiguousarray(columns[:, origin])
    weights["lstm.weight_ih_l0"][:, new] = random.normal(0, columns.std(), (columns.shape[0], len(new)))

    bound = 0.1 / math.sqrt(config.hidden_size)
    weights["fc.bias"] = weights["fc.bias"][origin]
    weights["fc.bias"][new] = model.weights["fc.bias"].min()
    weights["fc.weight"] = weights["fc.weight"][origin]
    weights["fc.weight"][new] = random.uniform(-bound, bound, (len(new), config.hidden_size))
    return Model(config, vocabulary, weights, model.text_options, dict(model.info))
