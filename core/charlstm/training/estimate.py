"""Estimate the cost of a run on this machine before it starts: parameters, memory, time and speed.

The speed of a training step is measured by ``engine.benchmark`` and stored here per machine, so that only the first
estimate for a shape needs a measurement and torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from charlstm import storage, system
from charlstm.display import size
from charlstm.errors import SettingsError
from charlstm.memory import machine_memory
from charlstm.model.file import MAX_PARAMETERS, ModelConfig
from charlstm.paths import cache_dir
from charlstm.training.plan import (
    SAMPLE_SECONDS,
    VALIDATION_SPEED,
    MeasuredSpeed,
    final_chars,
    fit_batch,
    make_plan,
    planned_final,
)
from charlstm.training.settings import KERNELS, Settings

BASE_MEMORY = 330_000_000
"""Memory in bytes of a worker without a network: Python, torch and its buffers."""

CARD_DRIVERS = {"cuda": ("/dev/nvidiactl", "/usr/lib/wsl/lib/libcuda.so.1"), "hip": ("/dev/kfd",)}
"""Files of the drivers of graphics cards, by the kind of torch that computes with them: NVIDIA's, also in the Windows
Subsystem for Linux, where /dev/dxg is there for any card; and AMD's."""

START_SECONDS = 3.0
"""Seconds until a worker takes its first step: Python and torch are loaded, the speed is measured."""

VALIDATED_AT_ONCE = 3200
"""Characters that a validation holds in memory: ROWS × CHUNK of ``engine.evaluation``, which needs torch."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated cost of a run.

    ``seconds`` is the time of the whole run by the clock: start, training, validations and samples;
    ``chars_per_second`` is the training speed;
    ``epochs`` the number of passes over the training text. ``model_bytes`` is the size of the model file,
    ``memory_bytes`` the peak memory of the worker. ``kernel`` and ``precision`` are those that are fastest here.
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


def estimate(
    settings: Settings,
    chars: int,
    vocab_size: int,
    measured: MeasuredSpeed,
    *,
    val_chars: int | None = None,
    slowdown: float = 1.0,
) -> Estimate:
    """Estimate a run with ``settings`` on a text of ``chars`` characters, ``vocab_size`` of them distinct.

    ``val_chars`` are the characters of a separate text to validate on, ``None`` without one; with one, ``val_fraction``
    has to be 0. ``measured`` is the speed of a training step of :func:`batch_shape`, and ``slowdown`` how many times as
    long a step takes now because of other programs; where these were there when the speed was measured, it has that in
    it. Raises
    :class:`~charlstm.errors.SettingsError` if the settings do not limit the length of the run, or need more memory than
    this machine has.
    """
    held_out, targets = _held_out_and_training(settings, chars)
    if val_chars is not None:
        held_out = max(0, val_chars - 1)
    if not measured.crowded:
        measured = replace(measured, seconds=measured.seconds * slowdown)
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
        spent=START_SECONDS,
    )
    validations = plan.planned_steps // plan.val_every
    validated = VALIDATION_SPEED * measured.chars_per_second
    work = START_SECONDS + plan.planned_steps * measured.seconds + validations * plan.val_chars / validated
    final = planned_final(settings, final_chars(settings, held_out) / validated, work)
    config = ModelConfig(vocab_size, settings.hidden_size, settings.num_layers)
    weights = 4 * config.parameters
    return Estimate(
        parameters=config.parameters,
        model_bytes=weights,
        memory_bytes=memory_bytes(settings, chars, vocab_size),
        steps=plan.planned_steps,
        epochs=plan.planned_steps / plan.steps_per_epoch,
        seconds=work + validations * SAMPLE_SECONDS + final,
        chars_per_second=measured.chars_per_second,
        kernel=measured.kernel,
        precision=KERNELS[measured.kernel].precision,
    )


def memory_bytes(settings: Settings, chars: int, vocab_size: int) -> int:
    """The peak memory of a worker that trains on a text of ``chars`` characters, ``vocab_size`` of them distinct."""
    config = ModelConfig(vocab_size, settings.hidden_size, settings.num_layers)
    batch = math.prod(batch_shape(settings, chars))
    return BASE_MEMORY + sum(_memory(settings, config, batch, has_card(settings.device)))


def disk_bytes(settings: Settings, parameters: int, chars: int) -> int:
    """About so much does a run take on the disk once it has finished: text, best model, two moments of each weight with
    what else the exact state has, and snapshots. The network after the last step is usually the best model, which is
    kept once."""
    averaged = settings.ema_decay is not None
    return chars + parameters * (4 * (3 + averaged) + 2 * (settings.snapshots - 1))


def batch_shape(settings: Settings, chars: int) -> tuple[int, int]:
    """``batch_size`` and ``seq_length`` on a text of ``chars`` characters; a small text gets smaller batches."""
    return fit_batch(settings, _held_out_and_training(settings, chars)[1])


def _held_out_and_training(settings: Settings, chars: int) -> tuple[int, int]:
    """The numbers of targets in validation and in training."""
    held_out = max(0, math.ceil(chars * settings.val_fraction) - 1)
    return held_out, max(1, chars - held_out - 2 - math.ceil(chars * settings.test_fraction))


def has_card(device: str) -> bool:
    """Whether ``device`` may be a graphics card with its own memory; found out without importing torch."""
    if device == "auto":
        return any(Path(driver).exists() for kind in torch_kinds() for driver in CARD_DRIVERS[kind])
    return device.startswith("cuda")


def torch_kinds() -> tuple[str, ...]:
    """Which of :data:`CARD_DRIVERS` the installed torch was built for, from its ``version.py``: ``cuda = '12.8'``."""
    folder = system.torch_folder()
    if folder is None:
        return ()
    try:
        written = (folder / "version.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(kind for kind in CARD_DRIVERS if re.search(rf"^{kind}\b.*=\s*['\"]", written, re.MULTILINE))


def check_memory(
    settings: Settings, vocab_size: int, batch_chars: int, *, on_card: bool = False, loaded: bool = True
) -> str | None:
    """Check that a run with ``batch_chars`` characters per step fits into this machine's memory.

    ``on_card``: training is on a graphics card with its own memory. ``loaded``: this process trains and has already
    loaded torch. Returns a warning if the run needs more memory than is free now. Raises
    :class:`~charlstm.errors.SettingsError` if it needs more than this machine has, or if the network is too large to be
    saved and opened again.
    """
    hidden_size, num_layers = settings.hidden_size, settings.num_layers
    config = ModelConfig(vocab_size, hidden_size, num_layers)
    smaller = f"reduce hidden_size (it is {hidden_size}) or num_layers ({num_layers})"
    if config.parameters > MAX_PARAMETERS:
        raise SettingsError(
            f"A network of {num_layers} × {hidden_size} units has {config.parameters:,} weights, and a model of more "
            f"than {MAX_PARAMETERS:,} could not be opened again: {smaller}"
        )
    memory = machine_memory()
    if memory is None:
        return None
    weights, activations = _memory(settings, config, batch_chars, on_card)
    if activations > weights:
        smaller = f"reduce batch_size (it is {settings.batch_size}) or seq_length ({settings.seq_length}), or {smaller}"
    needed = BASE_MEMORY + weights + activations
    about = f"Training takes about {size(needed)} of memory"
    if needed > memory.total:
        raise SettingsError(f"{about}, but this machine has only {size(memory.total)}: {smaller}")
    if memory.available is not None and needed - (BASE_MEMORY if loaded else 0) > memory.available:
        return f"{about}, and only {size(memory.available)} are free now: close other programs, or {smaller}"
    return None


def _memory(settings: Settings, config: ModelConfig, batch_chars: int, on_card: bool = False) -> tuple[int, int]:
    """Bytes for weights and for activations in training.

    Weights count several times: parameters, gradients, two moments, the best model so far, and copies of these for a
    checkpoint. A batch and a validation hold gates, states and outputs of every layer, and logits. With a graphics
    card, only the best model and the copies are in this memory.
    """
    average = settings.ema_decay is not None
    if on_card:
        return 4 * (5 + average) * config.parameters, 0
    kept = 12 * config.num_layers * config.hidden_size + 3 * config.vocab_size
    return 4 * (9 + 2 * average) * config.parameters, 4 * (batch_chars + VALIDATED_AT_ONCE) * kept


def find_speed(settings: Settings, vocab_size: int, rows: int, length: int) -> MeasuredSpeed | None:
    """The speed that was measured for such a run on this machine before; ``None`` without a measurement."""
    found = _read_cache().get(_key(settings, measured_vocab_size(vocab_size), rows, length))
    return None if found is None else MeasuredSpeed(*found)


def store_speed(settings: Settings, vocab_size: int, rows: int, length: int, measured: MeasuredSpeed) -> None:
    """Store a measured speed for :func:`find_speed`, unless other programs made it slower."""
    if measured.crowded:
        return
    key = _key(settings, measured_vocab_size(vocab_size), rows, length)
    _add_to_cache({key: [measured.kernel, measured.seconds, measured.chars]})


def measured_vocab_size(vocab_size: int) -> int:
    """The vocabulary size to measure with: the next power of two, since similar sizes take about the same time."""
    return 1 << max(4, (vocab_size - 1).bit_length())


def _key(settings: Settings, symbols: int, rows: int, length: int) -> str:
    shape = (settings.hidden_size, settings.num_layers, symbols, rows, length, settings.device, settings.kernel)
    here = (has_card(settings.device), system.cpu_count())  # what device "auto" and threads of None come to
    extras = (settings.threads, settings.dropout > 0, settings.shared_masks, settings.weight_drop > 0)
    average = settings.ema_decay is not None
    return json.dumps([*shape, *here, *extras, average, settings.optimizer, settings.precision])


def _cache_path() -> Path:
    return cache_dir() / "speed.json"


def _machine() -> list[str | int | None]:
    """What the stored speeds depend on: with a new kernel all are measured again, since that may be the fastest."""
    return [platform.node(), system.cpu_model(), os.cpu_count(), version("torch"), *KERNELS]


def _read_cache() -> dict[str, tuple[str, float, int]]:
    """All speeds that were measured on this machine before; empty if the cache cannot be read."""
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


def _add_to_cache(measured: dict[str, Any]) -> None:
    path = _cache_path()
    # What cannot be stored is measured again for the next estimate, which takes seconds.
    with contextlib.suppress(OSError), storage.changing(path):
        stored = {"format": 1, "machine": _machine(), "measured": _read_cache() | measured}
        storage.replace_bytes(path, json.dumps(stored).encode())
