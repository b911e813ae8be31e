"""Ready-made settings: the reference script's own, and ours for a minute, ten minutes and two hours.

They adapt to the size of the text, since small texts are soon known by heart. Free of torch. What a preset will take
on this machine is told by ``estimate``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from charlstm.errors import SettingsError
from charlstm.training.settings import Settings


@dataclass(frozen=True, slots=True)
class Preset:
    """A named choice; ``about`` is one line for lists and help."""

    name: str
    about: str
    settings: Callable[[int, int], Settings]


def preset(name: str, chars: int = 1_000_000, vocab_size: int = 100) -> Settings:
    """The settings of the preset ``name`` for a text of ``chars`` characters, ``vocab_size`` of them distinct.

    Raises :class:`SettingsError` for a name that is none.
    """
    if name not in PRESETS:
        raise SettingsError(f"There is no preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name].settings(chars, vocab_size)


def _reference(chars: int, vocab_size: int) -> Settings:
    return Settings(
        hidden_size=512,
        num_layers=2,
        init="torch",
        batch_size=64,
        seq_length=100,
        epochs=3,
        optimizer="adam",
        lr=1e-3,
        beta2=0.999,
        schedule="constant",
        warmup=0.0,
        weight_decay=0.0,
        clip=5.0,
        dropout=0.5,
        shared_masks=False,
    )


LARGE_VOCABULARY = 1000
"""With more symbols than these, the rows of symbols cost more than the recurrence: in a minute a smaller network gets
further (Chinese novel, 4,495 symbols, validation after a minute: 2 × 256 at 6e-3 5.36 nats, 2 × 192 at 8e-3 4.77)."""

WIDE_ENOUGH = 800_000
"""Characters that are worth a wider network when there are hours to hold it back from learning them by heart."""


def _quick(chars: int, vocab_size: int) -> Settings:
    size = _size(192 if vocab_size > LARGE_VOCABULARY else 256, chars)
    dropout, weight_drop = _held_back(2_000_000, chars, size)
    return Settings(
        hidden_size=size,
        lr=1.2e-2,
        head_lr=10.0,
        batch_size=16,
        seq_length=50,
        max_minutes=1.0,
        val_fraction=_held_out(chars, 300_000),
        dropout=dropout,
        weight_drop=weight_drop,
    )


def _standard(chars: int, vocab_size: int) -> Settings:
    size = _size(512, chars)
    dropout, weight_drop = _held_back(11_000_000, chars, size)
    return Settings(
        hidden_size=size,
        lr=4e-3,
        head_lr=5.0,
        batch_size=32,
        seq_length=64,
        max_minutes=10.0,
        val_fraction=_held_out(chars, 1_000_000),
        dropout=dropout,
        weight_drop=weight_drop,
        patience=8,
    )


def _best(chars: int, vocab_size: int) -> Settings:
    size = _size(768 if chars >= WIDE_ENOUGH else 512, chars)
    dropout, weight_drop = _held_back(45_000_000, chars, size)
    return Settings(
        hidden_size=size,
        head_lr=5.0,
        warmup=0.05,
        batch_size=32,
        seq_length=64,
        max_minutes=120.0,
        val_fraction=_held_out(chars, 5_000_000),
        dropout=dropout,
        weight_drop=weight_drop,
        weight_decay=0.05,
        ema_decay=0.999,
        patience=10,
    )


def _size(most: int, chars: int) -> int:
    """Units a layer: halved for each time that the text is less than a hundred thousand characters by four."""
    size, enough = most, 100_000
    while chars < enough and size > 64:
        size, enough = max(64, size // 2), enough // 4
    return size


def _held_out(chars: int, most: int) -> float:
    """A tenth, but at most ``most`` characters of a large text: reading more of it would take longer than it tells."""
    return min(0.1, most / max(chars, 1))


def _held_back(read: int, chars: int, size: int) -> tuple[float, float]:
    """Dropout and weight drop for a network of ``size`` units that reads about ``read`` characters, as a preset does in
    its time on two cores: the more, the more often it reads each, since it begins to learn by heart at the second time.
    Drawn from the benchmarks' table; that a network of twice the size does so in half the readings is assumed."""
    doublings = math.log2(max(1.0, read / (0.9 * max(chars, 1)) * size / 256))
    dropout, weight_drop = min(0.5, 0.1 * (doublings - 0.5)), min(0.4, 0.1 * (doublings - 2.3))
    return max(0, round(20 * dropout)) / 20, max(0, round(20 * weight_drop)) / 20


DEFAULT = "quick"
"""The preset of a run for which none is named."""

PRESETS: dict[str, Preset] = {
    each.name: each
    for each in (
        Preset("quick", "the best text in one minute", _quick),
        Preset("standard", "a good model in ten minutes", _standard),
        Preset("best", "as good as it gets in two hours", _best),
        Preset("reference", "exactly the well-known script: 2 × 512, Adam, three epochs", _reference),
    )
}
"""Every preset by name, in the order in which they are shown."""
