"""Checkpoints of the reference script: import, export, and files that are refused without running their code; ONNX."""

import json
import os
import pickle
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import numpy as safetensors
from torch import Tensor, nn

from charlstm.engine.onnx_format import onnx_writer
from charlstm.engine.script_format import checkpoint_writer, import_checkpoint
from charlstm.errors import ModelError
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model, load_model, save_model
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary
from charlstm.user_files import save
from made_documents import zipped
from recorded_run import tiny_model

pytestmark = pytest.mark.numeric

TOKENS = ("e", "\n", "Z", "é", " ", "a", "日")


class CharRNN(nn.Module):
    """The network of the reference script."""

    def __init__(self, tokens: tuple[str, ...], n_hidden: int = 512, n_layers: int = 2, head: str = "fc") -> None:
        super().__init__()
        self.lstm = nn.LSTM(len(tokens), n_hidden, n_layers, batch_first=True)
        self.head = head
        self.add_module(head, nn.Linear(n_hidden, len(tokens)))

    @torch.no_grad()
    def forward(self, ids: list[int]) -> Tensor:
        """Probabilities (T, V) of the character after each of ``ids``, from a state of zeros."""
        one_hot = nn.functional.one_hot(torch.tensor(ids)[None], self.lstm.input_size).float()
        return torch.softmax(self.get_submodule(self.head)(self.lstm(one_hot)[0][0]), -1)


def network(n_hidden: int = 12, n_layers: int = 2, head: str = "fc") -> CharRNN:
    torch.manual_seed(n_hidden + n_layers)
    return CharRNN(TOKENS, n_hidden, n_layers, head)


def checkpoint(**changes: Any) -> dict[str, Any]:
    """The dictionary that the script saves, with ``changes``; None removes a key."""
    content = {"n_hidden": 12, "n_layers": 2, "state_dict": network().state_dict(), "tokens": TOKENS} | changes
    return {name: value for name, value in content.items() if value is not None}


def saved(path: Path, content: Any, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def imported(folder: Path, *, legacy: bool = False, **changes: Any) -> Model:
    """What is read from a checkpoint with these ``changes``, which is saved as x.net."""
    return import_checkpoint(saved(folder / "x.net", checkpoint(**changes), legacy=legacy))


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
def test_import_gives_probabilities(tmp_path: Path, legacy: bool, n_hidden: int, n_layers: int, head: str) -> None:
    net = network(n_hidden, n_layers, head.partition(".")[0])
    state = {name.replace(head.partition(".")[0], head): tensor for name, tensor in net.state_dict().items()}
    model = imported(tmp_path, legacy=legacy, state_dict=state)
    assert (model.config.vocab_size, model.config.hidden_size, model.config.num_layers) == (7, n_hidden, n_layers)
    assert model.vocabulary.symbols == TOKENS  # in the order found, not sorted
    assert np.allclose(model_probabilities(model, IDS), net(IDS).numpy(), atol=1e-6)
    save_model(tmp_path / "x.safetensors", model)
    again = load_model(tmp_path / "x.safetensors")
    assert (again.vocabulary, again.text_options) == (model.vocabulary, TextOptions(normalize=False))
    assert again.info == {"imported_from": "x.net"}


def test_import_gives_the_weights_of_a_checkpoint_of_the_script() -> None:
    model = import_checkpoint(Path(__file__).parents[2] / "data" / "script.net")
    assert model.digest() == "d2257df6f4da57bebaa8db13b88ad6f088c6336301e4013184af2456ae873b5b"
    assert "".join(model.vocabulary.symbols) == "\n '.AMNTabcdefghiklmnoprstuvwy"


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_import_reads_a_checkpoint_from_a_gpu(tmp_path: Path, legacy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    model = imported(tmp_path, legacy=legacy)
    assert b"cuda:0" in (tmp_path / "x.net").read_bytes()
    assert np.array_equal(model.weights["fc.weight"], network().fc.weight.detach().numpy())


def test_import_reads_tensors_that_share_one_storage(tmp_path: Path) -> None:
    state = network().state_dict()
    sizes = [tensor.numel() for tensor in state.values()]
    parts = torch.cat([tensor.reshape(-1) for tensor in state.values()]).split(sizes)
    shared = {name: part.view(state[name].shape) for name, part in zip(state, parts, strict=True)}
    model = imported(tmp_path, state_dict=shared)
    with zipfile.ZipFile(tmp_path / "x.net") as archive:
        assert sum("/data/" in name for name in archive.namelist()) == 1
    assert all(np.array_equal(model.weights[name], state[name].numpy()) for name in state)


@pytest.mark.parametrize(
    "changes",
    [{"n_hidden": None, "n_layers": None}, {"n_hidden": 7, "n_layers": 5}, {"tokens": list(TOKENS)}, {"epoch": 20}],
    ids=["no sizes", "wrong sizes", "a list", "another key"],
)
def test_import_takes_sizes_from_the_shapes_alone(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = imported(tmp_path, **changes)
    assert (model.config.hidden_size, model.vocabulary.symbols) == (12, TOKENS)


@pytest.mark.parametrize("prefix", ["module.", "net."])
def test_import_reads_nested_networks_in_half_precision(tmp_path: Path, prefix: str) -> None:
    net = network()
    state = {prefix + name: nn.Parameter(tensor.half()) for name, tensor in net.state_dict().items()}
    model = imported(tmp_path, state_dict=state)
    assert np.allclose(model.weights["lstm.weight_hh_l1"], net.lstm.weight_hh_l1.detach().numpy(), atol=1e-3)


# -- export ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_hidden", "n_layers"), [(12, 2), (5, 1)])
def test_export_can_be_loaded_by_the_script(tmp_path: Path, n_hidden: int, n_layers: int) -> None:
    model = imported(tmp_path, state_dict=network(n_hidden, n_layers).state_dict())
    save(tmp_path / "back.net", checkpoint_writer(model))
    with (tmp_path / "back.net").open("rb") as file:
        found = torch.load(file)
    net = CharRNN(found["tokens"], n_hidden=found["n_hidden"], n_layers=found["n_layers"])
    net.load_state_dict(found["state_dict"])
    assert found["tokens"] == TOKENS
    assert np.allclose(net(IDS).numpy(), model_probabilities(model, IDS), atol=1e-6)


def test_import_gives_back_what_an_exported_model_has_read_and_how(tmp_path: Path) -> None:
    options = TextOptions(lines="auto", strip_boilerplate=True)
    passages = np.array([1, 7, 2**32 - 1], np.uint32)
    plain = imported(tmp_path)
    vocabulary = Vocabulary(TOKENS, " ")
    model = Model(plain.config, vocabulary, plain.weights, options, {"corpus": "Анна", "read_share": 0.4}, passages)
    save(tmp_path / "back.net", checkpoint_writer(model))
    again = import_checkpoint(tmp_path / "back.net")
    assert (again.vocabulary, again.text_options) == (vocabulary, options)
    assert again.info == model.info | {"imported_from": "back.net"}
    np.testing.assert_array_equal(again.passages, passages, strict=True)


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
        ({"tokens": TOKENS[:5]}, "5 characters, but its network takes 7"),
        ({"state_dict": nn.GRU(7, 12).state_dict() | HEAD}, "is a GRU"),
        ({"state_dict": nn.RNN(7, 12).state_dict() | HEAD}, "is a plain RNN"),
        ({"state_dict": nn.LSTM(7, 6, bidirectional=True).state_dict() | HEAD}, "weight_ih_l0_reverse"),
        ({"state_dict": nn.Linear(7, 7).state_dict()}, "contains no LSTM"),
        ({"state_dict": nn.LSTM(7, 12).state_dict()}, "no output layer"),
        ({"lstm.bias_hh_l1": None}, "has no lstm.bias_hh_l1"),
        ({"encoder.weight": torch.ones(7, 7)}, "encoder.weight"),
        ({"other.scale": torch.ones(7)}, "other.scale"),
        ({"second.weight_ih_l0": torch.ones(48, 7)}, "several networks"),
        ({"fc.bias": torch.ones(8)}, "fc.bias has shape (8,)"),
        ({"step": 3}, "'step' is not a weight"),
        ({"charlstm": "[]", "state_dict": network().state_dict()}, "not a character model"),
        ({"charlstm.passages": torch.zeros(1).expand(9), "state_dict": network().state_dict()}, "damaged"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_import_refuses_other_models_with_the_reason(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    """What else than ``tokens`` and ``state_dict`` changes a weight."""
    if not changes.keys() & {"tokens", "state_dict"}:
        state = network().state_dict() | changes
        changes = {"state_dict": {name: value for name, value in state.items() if value is not None}}
    assert why in refusal(saved(tmp_path / "x.net", checkpoint(**changes)))


def test_import_refuses_other_objects_than_the_dictionary(tmp_path: Path) -> None:
    assert "without the list `tokens`" in refusal(saved(tmp_path / "x.net", network().state_dict()))
    assert "contains one list" in refusal(saved(tmp_path / "x.net", [1, 2]))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not a PyTorch checkpoint"),
        (pickle.dumps({"tokens": TOKENS}, protocol=2), "is not a PyTorch checkpoint"),
        (safetensors.save({"a": np.zeros(1)}), "of another program"),
        (zipped({"word/document.xml": b"<w/>"}), "a zip archive but not a PyTorch checkpoint"),
    ],
    ids=["empty", "pickle", "safetensors", "document"],
)
def test_import_refuses_other_files(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.net").write_bytes(content)
    assert why in refusal(tmp_path / "x.net")


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(("protocol", "why"), [(2, "pickled whole object (posix.mkdir)"), (4, "")])
def test_import_executes_nothing_in_a_file(tmp_path: Path, legacy: bool, protocol: int, why: str) -> None:
    content = checkpoint(extra=_Bomb(tmp_path / "done"))
    torch.save(content, tmp_path / "x.net", pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    assert why in refusal(tmp_path / "x.net")
    assert not (tmp_path / "done").exists()


def test_import_refuses_files_that_would_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    zeros = {name: torch.zeros_like(tensor) for name, tensor in network(64).state_dict().items()}
    good = saved(tmp_path / "good.net", checkpoint(state_dict=zeros))
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert "damaged" in refusal(path)
    shapes = {"lstm.weight_ih_l0": (4 * 60_000, 7), "lstm.weight_hh_l0": (4 * 60_000, 60_000), "fc.weight": (7, 60_000)}
    state = {name: torch.ones(1).expand(shape) for name, shape in shapes.items()}
    assert "claims" in refusal(saved(path, checkpoint(state_dict=state)))
    many = tuple(map(chr, range(0x10000, 0x10000 + 100_000)))
    assert "far more than" in refusal(saved(path, checkpoint(tokens=many)))
    # torch would make two gigabytes of these 33 bytes
    size = (2**31 - 1).to_bytes(4, "little")
    hostile = b"\x80\x02cbuiltins\nbytearray\nJ" + size + b"\x85R."
    path.write_bytes(zipped({"x/data.pkl": hostile}, zipfile.ZIP_STORED))
    assert "builtins.bytearray" in refusal(path)


def test_import_refuses_a_member_that_is_marked_as_a_folder(tmp_path: Path) -> None:
    """torch would take whatever is in memory as its weights."""
    path = saved(tmp_path / "x.net", checkpoint(state_dict=network(4, 1).state_dict()))
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    attributes = [found.start() + 38 for found in re.finditer(rb"PK\x01\x02", content[start:])]
    assert len(attributes) > 6
    for at in attributes:
        flipped = bytearray(content)
        flipped[start + at] ^= 0x10
        path.write_bytes(flipped)
        assert "damaged" in refusal(path)


# -- ONNX --------------------------------------------------------------------------------------------------------


SYMBOLS = ("b", "\n", "é", "日", "a")


@pytest.mark.parametrize(("hidden_size", "num_layers"), [(7, 1), (12, 2), (5, 3)])
def test_onnx_graph_gives_the_probabilities_of_the_model(tmp_path: Path, hidden_size: int, num_layers: int) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = tiny_model(symbols=SYMBOLS, hidden_size=hidden_size, num_layers=num_layers)
    save(tmp_path / "x.onnx", onnx_writer(model))
    graph = runtime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(graph.get_modelmeta().custom_metadata_map["symbols"]) == list(SYMBOLS)

    stepper = Stepper(model)
    state = stepper.zero_state(3)
    h = c = np.zeros((num_layers, 3, hidden_size), np.float32)
    for ids in np.random.default_rng(1).integers(0, len(SYMBOLS), (40, 3)):
        probabilities, h, c = graph.run(["probabilities", "h_next", "c_next"], {"id": ids, "h": h, "c": c})
        assert np.allclose(probabilities, softmax(stepper.step(ids, state)), atol=1e-5)


def test_onnx_writer_without_the_package_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"pip install onnx"):
        onnx_writer(tiny_model())
    assert not (tmp_path / "x.onnx").exists()
