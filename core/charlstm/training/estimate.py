"""Estimate what a run takes on this machine before it starts: weights, memory, time and speed.

The speed of a training step is measured by ``engine.benchmark`` and stored here per machine, so that only the first
estimate for a shape needs a measurement and torch.
"""

from __future__ import annotations

import functools
import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from charlstm import storage
from charlstm.errors import SettingsError
from charlstm.model.file import MAX_PARAMETERS, ModelConfig
from charlstm.paths import cache_dir
from charlstm.training.memory import machine_memory
from charlstm.training.plan import VALIDATION_SPEED, MeasuredSpeed, fit_batch, make_plan
from charlstm.training.settings import KERNELS, Settings

BASE_MEMORY = 330_000_000
"""Bytes of a worker before its network: Python, torch and its buffers."""

CARD_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What NVIDIA's and AMD's drivers, and Windows for its Linux, show of a card that torch may use."""

VALIDATED_AT_ONCE = 3200
"""Characters of :mod:`~charlstm.engine.evaluation`, which is torch's: its rows times its chunk."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run with these settings takes. JSON-ready by :meth:`to_dict`.

    ``seconds`` are the whole run's, validations included, at ``chars_per_second`` of training; ``epochs`` says how
    often the training text is read. ``model_bytes`` is the model file, ``memory_bytes`` the worker's most.
    """

    parameters: int
    model_bytes: int
    memory_bytes: int
    steps: int
    epochs: float
    seconds: float
    chars_per_second: float
    kernel: str
    precision: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def estimate(settings: Settings, chars: int, vocab_size: int, measured: MeasuredSpeed) -> Estimate:
    """Estimate what ``settings`` take on a text of ``chars`` characters, ``vocab_size`` of them distinct.

    ``measured`` is the speed of a training step of :func:`batch_shape`. Raises
    :class:`~charlstm.errors.SettingsError` when the settings set no end, or take more memory than this machine has.
    """
    held_out, targets = _held_out_and_training(settings, chars)
    rows, length = fit_batch(settings, targets)
    check_memory(settings, vocab_size, rows * length, on_card=has_card(settings.device), loaded=False)
    plan = make_plan(
        settings,
        measured=measured,
        batch_size=rows,
        seq_length=length,
        steps_per_epoch=math.ceil(targets / (rows * length)),
        held_out=held_out,
        device=settings.device,
        threads=settings.threads or 0,
    )
    looks = plan.planned_steps // plan.val_every * plan.val_chars + held_out
    config = ModelConfig(vocab_size, settings.hidden_size, settings.num_layers)
    weights = 4 * config.parameters
    return Estimate(
        parameters=config.parameters,
        model_bytes=weights,
        memory_bytes=BASE_MEMORY + sum(_memory(settings, config, rows * length)),
        steps=plan.planned_steps,
        epochs=plan.planned_steps / plan.steps_per_epoch,
        seconds=plan.planned_steps * measured.seconds + looks / (VALIDATION_SPEED * measured.chars_per_second),
        chars_per_second=measured.chars_per_second,
        kernel=measured.kernel,
        precision=KERNELS[measured.kernel].precision,
    )


def batch_shape(settings: Settings, chars: int) -> tuple[int, int]:
    """Rows and length of a batch on a text of ``chars`` characters."""
    return fit_batch(settings, _held_out_and_training(settings, chars)[1])


def _held_out_and_training(settings: Settings, chars: int) -> tuple[int, int]:
    """Characters to predict in validation and in training."""
    held_out = max(0, math.ceil(chars * settings.val_fraction) - 1)
    return held_out, max(1, chars - held_out - 2 - math.ceil(chars * settings.test_fraction))


def has_card(device: str) -> bool:
    """Whether ``device`` may turn out to be a graphics card with memory of its own, asked without torch."""
    if device == "auto":
        return any(Path(driver).exists() for driver in CARD_DRIVERS)
    return device.startswith("cuda")


def check_memory(
    settings: Settings, vocab_size: int, batch_chars: int, *, on_card: bool = False, loaded: bool = True
) -> str | None:
    """Whether a run of ``batch_chars`` characters a step fits into this machine's memory; ``on_card``: trained on a
    graphics card that has memory of its own. ``loaded``: torch is in this process already, which is to train.

    Returns a sentence when it takes more than is available now. Raises :class:`~charlstm.errors.SettingsError` when it
    takes more than there is, and for a network that is too large to be saved and opened again.
    """
    hidden_size, num_layers = settings.hidden_size, settings.num_layers
    config = ModelConfig(vocab_size, hidden_size, num_layers)
    smaller = f"reduce hidden_size (it is {hidden_size}) or num_layers ({num_layers})"
    if config.parameters > MAX_PARAMETERS:
        raise SettingsError(
            f"A network of {num_layers} × {hidden_size} units has {config.parameters:,} weights, and a model of more "
            f"than {MAX_PARAMETERS:,} could not be opened again: {smaller}"
        )
    there = machine_memory()
    if there is None:
        return None
    weights, activations = _memory(settings, config, batch_chars, on_card)
    if activations > weights:
        smaller = f"reduce batch_size (it is {settings.batch_size}) or seq_length ({settings.seq_length}), or {smaller}"
    needed = BASE_MEMORY + weights + activations
    about = f"Training takes about {_in_words(needed)} of memory"
    if needed > there.total:
        raise SettingsError(f"{about}, and there are only {_in_words(there.total)}: {smaller}")
    if needed - (BASE_MEMORY if loaded else 0) > there.available:
        return f"{about}, of which {_in_words(there.available)} are free now: close other programs, or {smaller}"
    return None


def _in_words(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"


def _memory(settings: Settings, config: ModelConfig, batch_chars: int, on_card: bool = False) -> tuple[int, int]:
    """Bytes of weights and of activations in training. Weights are there as themselves, gradient, two moments, the best
    so far, and all of that again as copies for a checkpoint; a batch, and a validation besides, keeps gates, states and
    outputs of every layer and logits. With a card, only the best and the copies are here."""
    average = settings.ema_decay is not None
    if on_card:
        return 4 * (5 + average) * config.parameters, 0
    kept = 12 * config.num_layers * config.hidden_size + 3 * config.vocab_size
    return 4 * (9 + 2 * average) * config.parameters, 4 * (batch_chars + VALIDATED_AT_ONCE) * kept


def find_speed(settings: Settings, vocab_size: int, rows: int, length: int) -> MeasuredSpeed | None:
    """What was measured for such a run on this machine before."""
    found = _read_cache().get(_key(settings, measured_vocab_size(vocab_size), rows, length))
    return None if found is None else MeasuredSpeed(*found)


def store_speed(settings: Settings, vocab_size: int, rows: int, length: int, measured: MeasuredSpeed) -> None:
    """Keep what was measured, for :func:`find_speed`."""
    key = _key(settings, measured_vocab_size(vocab_size), rows, length)
    _write_cache(_read_cache() | {key: [measured.kernel, measured.seconds, measured.chars]})


def measured_vocab_size(vocab_size: int) -> int:
    """Vocabularies of about the same size take about the same time: it is measured for the next power of two."""
    return 1 << max(4, (vocab_size - 1).bit_length())


def _key(settings: Settings, symbols: int, rows: int, length: int) -> str:
    shape = (settings.hidden_size, settings.num_layers, symbols, rows, length, settings.device, settings.kernel)
    extras = (settings.threads, settings.dropout > 0, settings.shared_masks, settings.weight_drop > 0)
    average = settings.ema_decay is not None
    return json.dumps([*shape, *extras, average, settings.optimizer, settings.precision])


def _cache_path() -> Path:
    return cache_dir() / "speed.json"


@functools.cache
def cpu_model() -> str:
    """What the processor calls itself, where Linux tells; else its architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def _machine() -> list[str | int | None]:
    return [platform.node(), cpu_model(), os.cpu_count(), version("torch")]


def _read_cache() -> dict[str, tuple[str, float, int]]:
    """What was measured on this machine before; a cache that cannot be read is none."""
    try:
        stored = storage.read_json(_cache_path())
        if stored["format"] != 1 or stored["machine"] != _machine():
            return {}
        return {
            str(key): (str(kernel), float(seconds), int(chars))
            for key, (kernel, seconds, chars) in stored["measured"].items()
            if kernel in KERNELS and 1e-9 < float(seconds) < 1e9 and 0 < int(chars) < 2**48
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return {}


def _write_cache(measured: dict[str, Any]) -> None:
    stored = {"format": 1, "machine": _machine(), "measured": measured}
    try:
        storage.replace_bytes(_cache_path(), json.dumps(stored).encode())
    except OSError as error:
        # It only costs the next question its seconds, but a folder that never takes anything should be heard of.
        import logging

        logging.getLogger(__name__).info("The measurement cannot be kept: %s", error)
