"""Checkpoints of the reference script: import, export, and files that are refused without running their code."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from charlstm.engine.script_format import checkpoint_writer, import_checkpoint
from charlstm.errors import ModelError
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model, load_model, save_model
from charlstm.text.reading import TextOptions
from charlstm.user_files import save

pytestmark = pytest.mark.numeric

TOKENS = ("e", "\n", "Z", "é", " ", "a", "日")


class CharRNN(nn.Module):
    """The network of the reference script."""

    def __init__(self, tokens: tuple[str, ...], n_hidden: int = 512, n_layers: int = 2, head: str = "fc") -> None:
        super().__init__()
        self.lstm = nn.LSTM(len(tokens), n_hidden, n_layers, batch_first=True)
        self.head = head
        self.add_module(head, nn.Linear(n_hidden, len(tokens)))

    def forward(self, ids: list[int]) -> Tensor:
        """Probabilities (T, V) of the character after each of ``ids``, from a state of zeros."""
        one_hot = nn.functional.one_hot(torch.tensor(ids)[None], self.lstm.input_size).float()
        return torch.softmax(self.get_submodule(self.head)(self.lstm(one_hot)[0][0]), -1)


class Lookalike(nn.Module):
    """A module that is pickled as a whole object."""


def network(n_hidden: int = 12, n_layers: int = 2, head: str = "fc", tokens: tuple[str, ...] = TOKENS) -> CharRNN:
    torch.manual_seed(n_hidden + n_layers)
    return CharRNN(tokens, n_hidden, n_layers, head)


def checkpoint(net: nn.Module, **changes: Any) -> dict[str, Any]:
    """The dictionary that the script saves, with ``changes``; None removes a key."""
    content = {"n_hidden": 12, "n_layers": 2, "state_dict": net.state_dict(), "tokens": TOKENS} | changes
    return {name: value for name, value in content.items() if value is not None}


def saved(path: Path, content: Any, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def model_probabilities(model: Model, ids: list[int]) -> np.ndarray[Any, Any]:
    """Probabilities (T, V) as generation computes them."""
    stepper = Stepper(model)
    state = stepper.zero_state()
    return softmax(np.concatenate([stepper.step(np.array([which]), state).copy() for which in ids]))


IDS = [0, 3, 3, 6, 1, 5, 2, 4, 0]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("n_hidden", "n_layers", "head"), [(12, 2, "fc"), (5, 1, "fc1"), (9, 3, "decoder"), (16, 2, "linear.out")]
)
def test_import_gives_the_probabilities_of_the_saved_network(
    tmp_path: Path, legacy: bool, n_hidden: int, n_layers: int, head: str
) -> None:
    net = network(n_hidden, n_layers, head.partition(".")[0])
    state = {name.replace(head.partition(".")[0], head): tensor for name, tensor in net.state_dict().items()}
    model = import_checkpoint(saved(tmp_path / "x.net", checkpoint(net, state_dict=state), legacy=legacy))
    assert (model.config.vocab_size, model.config.hidden_size, model.config.num_layers) == (7, n_hidden, n_layers)
    assert model.vocabulary.symbols == TOKENS  # in the order found, not sorted
    with torch.no_grad():
        assert np.allclose(model_probabilities(model, IDS), net(IDS).numpy(), atol=1e-6)
    save_model(tmp_path / "x.safetensors", model)
    again = load_model(tmp_path / "x.safetensors")
    assert again.vocabulary == model.vocabulary
    assert again.text_options == TextOptions(normalize=False)
    assert again.info == {"imported_from": "x.net"}


def test_import_reads_a_checkpoint_from_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    for legacy in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
            path = saved(tmp_path / "gpu.net", checkpoint(net), legacy=legacy)
        assert b"cuda:0" in path.read_bytes()
        assert np.array_equal(import_checkpoint(path).weights["fc.weight"], net.fc.weight.detach().numpy())


def test_import_reads_tensors_that_share_one_storage(tmp_path: Path) -> None:
    net = network()
    state = net.state_dict()
    flat = torch.cat([tensor.reshape(-1) for tensor in state.values()])
    shared, at = OrderedDict(), 0
    for name, tensor in state.items():
        shared[name] = flat[at : at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
    path = saved(tmp_path / "flat.net", checkpoint(net, state_dict=shared))
    with zipfile.ZipFile(path) as archive:
        assert sum("/data/" in name for name in archive.namelist()) == 1
    model = import_checkpoint(path)
    assert all(np.array_equal(model.weights[name], state[name].numpy()) for name in state)


@pytest.mark.parametrize(
    "changes",
    [{"n_hidden": None, "n_layers": None}, {"n_hidden": 7, "n_layers": 5}, {"tokens": list(TOKENS)}, {"epoch": 20}],
    ids=["no sizes", "wrong sizes", "a list", "another key"],
)
def test_import_takes_sizes_from_the_shapes_alone(tmp_path: Path, changes: dict[str, Any]) -> None:
    net = network()
    model = import_checkpoint(saved(tmp_path / "x.net", checkpoint(net, **changes)))
    assert model.config.hidden_size == 12
    assert model.vocabulary.symbols == TOKENS


@pytest.mark.parametrize("prefix", ["module.", "net."])
def test_import_reads_nested_networks_in_half_precision(tmp_path: Path, prefix: str) -> None:
    net = network()
    state = {prefix + name: nn.Parameter(tensor.half()) for name, tensor in net.state_dict().items()}
    model = import_checkpoint(saved(tmp_path / "x.net", checkpoint(net, state_dict=state)))
    assert np.allclose(model.weights["lstm.weight_hh_l1"], net.lstm.weight_hh_l1.detach().numpy(), atol=1e-3)


# -- export ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_hidden", "n_layers"), [(12, 2), (5, 1)])
def test_export_can_be_loaded_by_the_script(tmp_path: Path, n_hidden: int, n_layers: int) -> None:
    model = import_checkpoint(saved(tmp_path / "x.net", checkpoint(network(n_hidden, n_layers))))
    save(tmp_path / "back.net", checkpoint_writer(model))
    with (tmp_path / "back.net").open("rb") as file:
        found = torch.load(file)
    net = CharRNN(found["tokens"], n_hidden=found["n_hidden"], n_layers=found["n_layers"])
    net.load_state_dict(found["state_dict"])
    assert found["tokens"] == TOKENS
    with torch.no_grad():
        assert np.allclose(net(IDS).numpy(), model_probabilities(model, IDS), atol=1e-6)
    again = import_checkpoint(tmp_path / "back.net")
    assert all(np.array_equal(again.weights[name], array) for name, array in model.weights.items())


# -- refused files -----------------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        import_checkpoint(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


HEAD = {"fc.weight": torch.ones(7, 12), "fc.bias": torch.ones(7)}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tokens": None}, "its tokens is missing"),
        ({"state_dict": None}, "its state_dict is missing"),
        ({"tokens": ("ab", *TOKENS[1:])}, "single characters, but has 'ab'"),
        ({"tokens": (3, *TOKENS[1:])}, "single characters, but has 3"),
        ({"tokens": ("a", "a", *TOKENS[2:])}, "'a' is in the vocabulary twice"),
        ({"tokens": TOKENS[:5]}, "5 characters, but its network takes 7"),
        ({"tokens": ()}, "at least one character"),
        ({"state_dict": nn.GRU(7, 12).state_dict() | HEAD}, "is a GRU"),
        ({"state_dict": nn.RNN(7, 12).state_dict() | HEAD}, "is a plain RNN"),
        ({"state_dict": nn.LSTM(7, 6, bidirectional=True).state_dict() | HEAD}, "weight_ih_l0_reverse"),
        ({"state_dict": nn.Linear(7, 7).state_dict()}, "contains no LSTM"),
        ({"state_dict": nn.LSTM(7, 12).state_dict()}, "no output layer"),
        ({"without": "lstm.bias_hh_l1"}, "has no lstm.bias_hh_l1"),
        ({"without": "fc.bias"}, "has no fc.bias"),
        ({"with": {"encoder.weight": torch.ones(7, 7)}}, "encoder.weight"),
        ({"with": {"other.scale": torch.ones(7)}}, "other.scale"),
        ({"with": {"second.weight_ih_l0": torch.ones(48, 7)}}, "several networks"),
        ({"with": {"fc.bias": torch.ones(8)}}, "fc.bias has shape (8,)"),
        ({"with": {"step": 3}}, "'step' is not a weight"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_import_refuses_other_models_with_the_reason(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    content = checkpoint(network(), **{name: value for name, value in changes.items() if not name.startswith("with")})
    if state := content.get("state_dict"):
        state.pop(changes.get("without"), None)
        state.update(changes.get("with", {}))
    assert why in refusal(saved(tmp_path / "x.net", content))


def test_import_refuses_other_objects_than_the_dictionary(tmp_path: Path) -> None:
    assert "without the list `tokens`" in refusal(saved(tmp_path / "x.net", network().state_dict()))
    assert "contains one list" in refusal(saved(tmp_path / "x.net", [1, 2]))


def test_import_refuses_other_files(tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    assert "There is no checkpoint file" in refusal(path)
    assert "is a folder, not a file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe, not a file" in refusal(tmp_path / "pipe")
    for content, why in (
        (b"", "is not a PyTorch checkpoint"),
        (b"Happy families are all alike\n" * 9, "is not a PyTorch checkpoint"),
        (pickle.dumps({"tokens": TOKENS}, protocol=2), "is not a PyTorch checkpoint"),
        (pickle.dumps({"tokens": TOKENS}, protocol=0), "is not a PyTorch checkpoint"),
    ):
        path.write_bytes(content)
        assert why in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    assert "a zip archive but not a PyTorch checkpoint" in refusal(path)


def test_import_refuses_safetensors_files(tmp_path: Path) -> None:
    save_model(tmp_path / "x.safetensors", import_checkpoint(saved(tmp_path / "x.net", checkpoint(network()))))
    assert "a charlstm model already" in refusal(tmp_path / "x.safetensors")
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "other.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    assert "is not a PyTorch checkpoint" in refusal(tmp_path / "other.safetensors")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_import_refuses_a_pickled_module(tmp_path: Path, legacy: bool) -> None:
    sentence = refusal(saved(tmp_path / "whole.pt", Lookalike(), legacy=legacy))
    assert "pickled whole object" in sentence
    assert "Lookalike" in sentence


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_import_executes_nothing_in_a_file(tmp_path: Path, legacy: bool, protocol: int) -> None:
    content = checkpoint(network(), extra=_Bomb(tmp_path / "done"))
    torch.save(content, tmp_path / "x.net", pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    refusal(tmp_path / "x.net")
    assert not (tmp_path / "done").exists()


def test_import_refuses_files_that_would_fill_the_memory(tmp_path: Path) -> None:
    zeros = {name: torch.zeros_like(tensor) for name, tensor in network(64).state_dict().items()}
    good = saved(tmp_path / "good.net", checkpoint(network(), state_dict=zeros))
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(tmp_path / "zip.net", "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert "damaged" in refusal(tmp_path / "zip.net")

    state = {
        "lstm.weight_ih_l0": torch.ones(1).expand(4 * 60_000, 7),
        "lstm.weight_hh_l0": torch.ones(1).expand(4 * 60_000, 60_000),
        "fc.weight": torch.ones(1).expand(7, 60_000),
    }
    assert "claims" in refusal(saved(tmp_path / "x.net", checkpoint(network(), state_dict=state)))

    many = tuple(map(chr, range(0x10000, 0x10000 + 100_000)))
    assert "far more than" in refusal(saved(tmp_path / "x.net", checkpoint(network(), tokens=many)))
    with zipfile.ZipFile(tmp_path / "bytes.net", "w") as target:  # torch would make two gigabytes of these 33 bytes
        target.writestr(
            "x/data.pkl", b"\x80\x02cbuiltins\nbytearray\nJ" + (2**31 - 1).to_bytes(4, "little") + b"\x85R."
        )
    assert "builtins.bytearray" in refusal(tmp_path / "bytes.net")


def flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_import_refuses_a_member_that_is_marked_as_a_folder(tmp_path: Path) -> None:
    """torch would take whatever is in memory as its weights."""
    content = saved(tmp_path / "good.net", checkpoint(network(4, 1))).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.start_dir
    attributes = [found.start() + 38 for found in re.finditer(rb"PK\x01\x02", content[start:])]
    assert len(attributes) > 6
    for at in attributes:
        (tmp_path / "x.net").write_bytes(flipped(content, start + at, 4))
        assert "damaged" in refusal(tmp_path / "x.net")
