from __future__ import annotations

import random
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
    return replace(model, text_options=TextOptions(clean=True))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(path, make())
    return path


def test_model_that_needs_more_memory_than_there_is_is_refused_before_it_is_read(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of zeros with a right header takes no room on the disk, and the kernel ended the process that read it."""
    size = read_header(saved).size
    monkeypatch.setattr(tensors, "machine_memory", lambda: Memory(total=size - 1, available=0))
    with pytest.raises(ModelError, match=f"needs {size:,} bytes of memory, and this machine has {size - 1:,}"):
        load_model(saved)


def test_load_model_returns_what_was_saved(saved: Path) -> None:
    model, again = make(), load_model(saved)
    assert (again.config, again.vocabulary, again.text_options, again.info) == (
        model.config,
        model.vocabulary,
        model.text_options,
        model.info,
    )
    for name, array in model.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)
        assert again.weights[name].dtype == np.float32
        assert again.weights[name].base is None or isinstance(again.weights[name].base, np.ndarray)
    assert read_info(saved) == (model.config, model.info)


def test_replacement_symbol_is_saved(tmp_path: Path) -> None:
    model = make()
    save_model(tmp_path / "m", replace(model, vocabulary=Vocabulary(model.vocabulary.symbols, " ")))
    assert load_model(tmp_path / "m").vocabulary.replacement == " "


def test_safetensors_library_reads_our_files(saved: Path) -> None:
    tensors = safetensors.load_file(saved)
    assert set(tensors) == set(make().weights)
    for name, array in make().weights.items():
        np.testing.assert_array_equal(tensors[name], array, strict=True)


def test_files_of_the_safetensors_library_are_read(saved: Path) -> None:
    expected, metadata = load_model(saved), read_header(saved).metadata
    safetensors.save_file(expected.weights, saved, metadata)
    again = load_model(saved)
    assert again.info == expected.info
    for name, array in expected.weights.items():
        np.testing.assert_array_equal(again.weights[name], array, strict=True)


def test_equal_models_give_equal_bytes(saved: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "other", make())
    assert (tmp_path / "other").read_bytes() == saved.read_bytes()


def test_weights_in_half_precision_take_half_the_file_and_are_read_as_float32(saved: Path, tmp_path: Path) -> None:
    model = make(hidden=64)
    save_model(tmp_path / "whole", model)
    save_model(tmp_path / "half", model, half=True)
    again = load_model(tmp_path / "half")
    for name, array in model.weights.items():
        np.testing.assert_array_equal(again.weights[name], array.astype(np.float16).astype(np.float32), strict=True)
    assert read_info(tmp_path / "half") == (model.config, model.info)
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "whole").stat().st_size
    assert read_header(tmp_path / "whole").metadata["format"] == "1"  # which charlstm 0.1 reads
    assert read_header(tmp_path / "half").metadata["format"] == "2"  # which it refuses as newer


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    model = make()
    model.weights["fc.bias"][0] = 1e6
    with pytest.raises(ModelError, match=r"fc\.bias that are not finite"):
        save_model(tmp_path / "half", model, half=True)
    save_model(tmp_path / "whole", model)


def test_passages_of_the_training_text_are_kept(tmp_path: Path) -> None:
    passages = np.array([1, 7, 2**32 - 1], np.uint32)
    save_model(tmp_path / "m", replace(make(), passages=passages))
    again = load_model(tmp_path / "m")
    assert again.passages is not None
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


def test_save_model_refuses_nan_weights(tmp_path: Path) -> None:
    model = make()
    model.weights["fc.bias"][0] = np.nan
    with pytest.raises(ModelError, match=r"fc\.bias"):
        save_model(tmp_path / "m", model)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["lstm.weight_hh_l0", "lstm.bias_ih_l1", "fc.weight", "fc.bias"])
def test_check_computable_refuses_weights_whose_sums_overflow(name: str) -> None:
    model = make()
    model.check_computable()
    model.weights[name].flat[0] = 1e29
    model.check_computable()
    model.weights[name].flat[0] = -1e31
    with pytest.raises(ModelError, match="predictions are not finite"):
        model.check_computable()
    with pytest.raises(ModelError, match="predictions are not finite"):
        Stepper(model)
