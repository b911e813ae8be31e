import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import numpy as safetensors

from charlstm.errors import ModelError
from charlstm.generation.stepper import Stepper
from charlstm.memory import Memory
from charlstm.model import tensors
from charlstm.model.file import Model, load_model, read_info, save_model
from charlstm.model.tensors import read_header, read_tensors, write_tensors
from charlstm.text.reading import TextOptions
from charlstm.text.vocabulary import Vocabulary
from recorded_run import tiny_model


def make(symbols: str = "\n abé\x00", hidden: int = 4, layers: int = 2) -> Model:
    model = tiny_model(symbols=symbols, hidden_size=hidden, num_layers=layers, step=7, run="é")
    return replace(model, text_options=TextOptions(normalize=False))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, make())
    return path


def assert_same(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, strict=True)


def test_model_that_needs_too_much_memory_is_refused_unread(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of zeros with a right header takes no room on the disk, and the kernel ended the process that read it."""
    size = read_header(saved).size
    monkeypatch.setattr(tensors, "machine_memory", lambda: Memory(total=size - 1, available=0))
    with pytest.raises(ModelError, match="of memory, and this machine has"):
        load_model(saved)


@pytest.mark.parametrize("replacement", [None, " "])
def test_load_model_returns_what_was_saved(tmp_path: Path, replacement: str | None) -> None:
    model = replace(make(), vocabulary=Vocabulary(make().vocabulary.symbols, replacement))
    save_model(tmp_path / "m", model)
    again = load_model(tmp_path / "m")
    for name in ("config", "vocabulary", "text_options", "info"):
        assert getattr(again, name) == getattr(model, name)
    assert_same(again.weights, model.weights)
    assert read_info(tmp_path / "m") == (model.config, model.info)


def test_safetensors_library_reads_our_files_and_we_read_its(saved: Path) -> None:
    assert_same(safetensors.load_file(saved), make().weights)
    safetensors.save_file(make().weights, saved, read_header(saved).metadata)
    again = load_model(saved)
    assert again.info == make().info
    assert_same(again.weights, make().weights)


def test_weights_of_another_program_are_not_called_damaged(tmp_path: Path) -> None:
    safetensors.save_file(make().weights, tmp_path / "plain.safetensors")
    for read in (load_model, read_info):
        with pytest.raises(ModelError, match=r"a safetensors file of another program.*with charlstm\.Model"):
            read(tmp_path / "plain.safetensors")


def test_equal_models_give_equal_bytes(saved: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "other", make())
    assert (tmp_path / "other").read_bytes() == saved.read_bytes()


def test_weights_in_half_precision_take_half_the_file_and_are_read_as_float32(tmp_path: Path) -> None:
    model, whole, half = make(hidden=64), tmp_path / "whole", tmp_path / "half"
    save_model(whole, model)
    save_model(half, model, half=True)
    rounded = {name: array.astype(np.float16).astype(np.float32) for name, array in model.weights.items()}
    assert_same(load_model(half).weights, rounded)
    assert read_info(half) == (model.config, model.info)
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    assert [read_header(path).metadata["format"] for path in (whole, half)] == ["1", "2"]


@pytest.mark.parametrize(("value", "half"), [(1e6, True), (np.nan, False)])
def test_save_model_refuses_weights_that_its_precision_cannot_hold(tmp_path: Path, value: float, half: bool) -> None:
    model = make()
    model.weights["fc.bias"][0] = value
    with pytest.raises(ModelError, match=r"fc\.bias that are not finite"):
        save_model(tmp_path / "m", model, half=half)
    assert not list(tmp_path.iterdir())


def test_passages_of_the_training_text_are_kept(tmp_path: Path) -> None:
    passages = np.array([1, 7, 2**32 - 1], np.uint32)
    save_model(tmp_path / "m", replace(make(), passages=passages))
    again = load_model(tmp_path / "m")
    np.testing.assert_array_equal(again.passages, passages, strict=True)
    assert set(again.weights) == set(make().weights)
    for wrong in (passages.astype(np.int64), passages.reshape(3, 1)):
        save_model(tmp_path / "m", replace(make(), passages=wrong))
        with pytest.raises(ModelError, match="its passages are not a list of whole numbers"):
            load_model(tmp_path / "m")


def test_load_model_refuses_any_flipped_bit(saved: Path) -> None:
    original = saved.read_bytes()
    numbers = random.Random(0)
    for _ in range(400):
        mutated = bytearray(original)
        mutated[numbers.randrange(len(original))] ^= 1 << numbers.randrange(8)
        saved.write_bytes(mutated)
        with pytest.raises(ModelError) as caught:
            load_model(saved)
        assert "\n" not in str(caught.value)


def test_load_model_refuses_newer_format(saved: Path) -> None:
    tensors, header = read_tensors(saved)
    write_tensors(saved, tensors, {"format": "3", "charlstm": header.metadata["charlstm"]})
    with pytest.raises(ModelError, match="newer charlstm"):
        load_model(saved)


@pytest.mark.parametrize("name", ["lstm.weight_hh_l0", "lstm.bias_ih_l1", "fc.weight", "fc.bias"])
def test_check_computable_refuses_weights_whose_sums_overflow(name: str) -> None:
    model = make()
    model.check_computable()
    model.weights[name].flat[0] = 1e29
    model.check_computable()
    model.weights[name].flat[0] = -1e31
    for use in (Model.check_computable, Stepper):
        with pytest.raises(ModelError, match="predictions are not finite"):
            use(model)
