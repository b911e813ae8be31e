"""What the app remembers of each model between two openings: sampler settings, speed, colour and prime.

One small file in the user's state folder. Losing it loses nothing that matters, so a file that cannot be read or
written is no error; one of a newer charlstm's is left to that.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.novelty import MIN_LENGTH
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.setting_fields import setting, setting_fields
from charlstm_tui.player.model_memory import ModelMemory

MEMORY = ModelMemory("generate.json", 200, "What is remembered of models was")
MOST_PRIME = 10_000


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a model was last played. ``speed`` in characters a second, infinite for full."""

    settings: SamplerSettings = SamplerSettings()
    speed: float = 60.0
    colouring: str | None = setting(None, "the scale that colours the text; none: the one that suits the terminal")
    prime: str | None = setting(None, "the text that generation starts from")
    copied: int = setting(MIN_LENGTH, "shortest passage shown as copied", low=2, high=1000)


def recall(model: str) -> Preferences | None:
    """How ``model`` was last played, if it is known. Raises :class:`GenerationError` when the file is a newer
    charlstm's."""
    entry = MEMORY.read().get(model)
    if not isinstance(entry, dict):
        return None
    try:
        speed = float(entry["speed"])
        fields = setting_fields(Preferences).items()
        known: dict[str, Any] = {name: entry.get(name) for name, each in fields if each.fits(entry.get(name))}
        return Preferences(
            SamplerSettings.from_dict(entry["settings"]),
            math.inf if speed < 0 else speed if speed == 0 or 0.1 <= speed <= 1e6 else 60.0,
            **known,
        )
    except (CharLSTMError, KeyError, TypeError, ValueError, OverflowError):
        return None


def remember(model: str, memory: Preferences) -> None:
    """Keep how ``model`` is played, unless the file is a newer charlstm's."""
    entry = {
        "settings": memory.settings.to_dict(),
        "speed": -1 if math.isinf(memory.speed) else memory.speed,
        "colouring": memory.colouring,
        "copied": memory.copied,
        "prime": memory.prime if memory.prime is None or len(memory.prime) <= MOST_PRIME else None,
    }
    with contextlib.suppress(OSError, GenerationError), MEMORY.changing() as entries:  # recall() reports a newer file
        entries.pop(model, None)  # it becomes the last one
        entries[model] = entry
