"""Estimates of the cost of a run, and the store of measured speeds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from charlstm import system
from charlstm.engine import benchmark
from charlstm.fields import plain
from charlstm.training import estimate as estimates
from charlstm.training.estimate import START_SECONDS, Estimate
from charlstm.training.plan import SAMPLE_SECONDS, VALIDATION_SPEED, MeasuredSpeed
from charlstm.training.presets import PRESETS, preset
from charlstm.training.settings import KERNELS, Settings


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The vocabulary sizes of all measurements; each finds 20,000 characters/s."""
    made: list[int] = []

    def measure(settings: Settings, vocab_size: int, device: object, rows: int, length: int) -> MeasuredSpeed:
        made.append(vocab_size)
        return MeasuredSpeed("fused-bf16", rows * length / 20_000, rows * length)

    monkeypatch.setattr(benchmark, "measure", measure)
    return made


def estimate(settings: Settings, chars: int, vocab_size: int) -> Estimate:
    return estimates.estimate(settings, chars, vocab_size, benchmark.measured_speed(settings, chars, vocab_size))


def test_estimate_of_the_reference_preset(calls: list[int]) -> None:
    found = estimate(preset("reference", 1_985_223, 83), 1_985_223, 83)
    assert (found.parameters, found.model_bytes) == (3_366_483, 4 * 3_366_483)
    assert found.epochs == pytest.approx(3, rel=0.01)
    assert found.seconds == pytest.approx(3 * 1_786_700 / 20_000, rel=0.2)
    assert 400e6 < found.memory_bytes < 1500e6
    assert plain(found)["chars_per_second"] == 20_000
    assert (found.kernel, found.precision) == ("fused-bf16", "bfloat16")


def test_estimated_memory_leaves_out_that_of_the_card(calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a graphics card, weights and activations of a step are in its own memory."""
    settings = preset("reference", 1_985_223, 83)
    without = estimate(settings, 1_985_223, 83)
    monkeypatch.setattr(estimates, "has_card", lambda device: True)
    found = estimate(settings, 1_985_223, 83)
    assert found.memory_bytes == estimates.BASE_MEMORY + 5 * found.model_bytes < without.memory_bytes


def test_speed_is_measured_once_per_shape(calls: list[int]) -> None:
    settings = Settings(epochs=1)
    first = estimate(settings, 100_000, 70)
    assert estimate(settings, 100_000, 70) == first
    assert estimate(settings, 50_000, 100).chars_per_second == 20_000
    assert calls == [128]
    estimate(settings.with_changes(hidden_size=64), 100_000, 70)
    assert calls == [128, 128]
    estimate(settings.with_changes(precision="float32"), 100_000, 70)
    assert calls == [128, 128, 128]


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(system, "cpu_model", lambda: "another"),  # with the same name, as in a cloud
        lambda patch: patch.setitem(KERNELS, "newest", KERNELS["nn"]),
        lambda patch: patch.setattr(system, "cpu_count", lambda: 1000),  # taskset changes it
        lambda patch: patch.setattr(estimates, "has_card", lambda device: device == "auto"),
    ],
    ids=["processor", "kernel", "cores", "card"],
)
def test_speed_is_measured_again_where_it_may_be_another(
    calls: list[int], monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    settings = Settings(epochs=1)
    monkeypatch.setattr(estimates, "torch_kinds", lambda: ())
    estimate(settings, 100_000, 70)
    change(monkeypatch)
    estimate(settings, 100_000, 70)
    assert calls == [128, 128]


NVIDIA, AMD, WSL = "/dev/nvidiactl", "/dev/kfd", "/usr/lib/wsl/lib/libcuda.so.1"


@pytest.mark.parametrize(
    ("built_for", "drivers", "found"),
    [
        ("cuda", [NVIDIA], True), ("cuda", ["/dev/dxg", WSL], True), ("cuda", ["/dev/dxg"], False),
        ("hip", [AMD], True), ("", [NVIDIA, AMD, WSL], False),
        ("cuda", [AMD], False),  # a processor with graphics of its own
    ],
)  # fmt: skip
def test_has_card_needs_a_driver_and_a_torch_that_is_built_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built_for: str, drivers: list[str], found: bool
) -> None:
    lines = (f"{kind}: Optional[str] = {repr('12.8') if kind == built_for else None}\n" for kind in ("cuda", "hip"))
    (tmp_path / "version.py").write_text("".join(lines))
    monkeypatch.setattr(system, "torch_folder", lambda: tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: str(path) in drivers)
    assert estimates.has_card("auto") == found
    (tmp_path / "version.py").unlink()
    assert not estimates.has_card("auto")


@pytest.mark.parametrize("chars", [10, 20_000, 465_000, 2_000_000, 10**9])
@pytest.mark.parametrize("name", PRESETS)
def test_timed_presets_are_estimated_to_take_their_time(calls: list[int], name: str, chars: int) -> None:
    """``quick`` its minute by the clock."""
    settings = preset(name, chars, 97)
    found = estimate(settings, chars, 97)
    if settings.max_minutes is not None:
        exact = name == "quick" and 10 < chars < 10**9
        assert found.seconds == pytest.approx(60 * settings.max_minutes, rel=0.05 if exact else 0.15)
    assert found.steps >= 1


def test_estimated_time_has_start_steps_validations_samples_and_the_final_validation(calls: list[int]) -> None:
    settings = Settings(epochs=4, val_every=50, val_chars=1_000, val_fraction=0.1)
    found = estimate(settings, 100_000, 70)
    speed, validations = found.chars_per_second, found.steps // 50
    training = found.steps * settings.batch_size * settings.seq_length / speed
    validated = validations * 1_000 + 9_999
    expected = START_SECONDS + training + validated / (VALIDATION_SPEED * speed) + validations * SAMPLE_SECONDS
    assert found.seconds == pytest.approx(expected)
    assert validations > 1


def test_estimate_with_a_separate_text_to_validate_on(calls: list[int]) -> None:
    settings = Settings(epochs=4, val_every=50, val_chars=1_000, val_fraction=0.0)
    measured = benchmark.measured_speed(settings, 100_000, 70)
    short, long = (estimates.estimate(settings, 100_000, 70, measured, val_chars=chars) for chars in (10_001, 50_001))
    assert (long.steps, long.epochs) == (short.steps, short.epochs) == (short.steps, 4)
    assert long.seconds - short.seconds == pytest.approx(40_000 / (VALIDATION_SPEED * long.chars_per_second))
