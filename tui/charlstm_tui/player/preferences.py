"""What the app remembers of each model between two openings: sampler settings, speed, colour and prime.

One small file in the user's state folder. Losing it loses nothing that matters, so a file that cannot be read or
written is no error; one of a newer charlstm's is left to that.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.novelty import MIN_LENGTH
from charlstm.generation.sampling import SamplerSettings
from charlstm_tui.player.model_memory import ModelMemory

MEMORY = ModelMemory("generate.json", 200, "What is remembered of models was")
MOST_PRIME = 10_000


@dataclass(frozen=True, slots=True)
class Preferences:
    """How a model was last played. ``speed`` in characters a second, infinite for full."""

    settings: SamplerSettings = SamplerSettings()
    speed: float = 60.0
    colour: str | None = None
    """The name of the scale that colours the text; ``None`` is the one that suits the terminal."""
    prime: str | None = None
    copied: int = MIN_LENGTH
    """From how many characters on a stretch that stands in the training text counts as copied."""
    joined: bool = False
    """Whether the line breaks within a paragraph are shown as spaces."""


def recall(model: str) -> Preferences | None:
    """How ``model`` was last played, if it is known. Raises :class:`GenerationError` when the file is a newer
    charlstm's."""
    entry = MEMORY.read().get(model)
    if not isinstance(entry, dict):
        return None
    try:
        speed = float(entry["speed"])
        prime, copied, colour = entry.get("prime"), entry.get("copied"), entry.get("colouring")
        return Preferences(
            SamplerSettings.from_dict(entry["settings"]),
            math.inf if speed < 0 else speed if speed == 0 or 0.1 <= speed <= 1e6 else 60.0,
            colour if isinstance(colour, str) else None,
            prime if isinstance(prime, str) else None,
            copied if type(copied) is int and 2 <= copied <= 1000 else MIN_LENGTH,
            entry.get("joined") is True,
        )
    except (CharLSTMError, KeyError, TypeError, ValueError, OverflowError):
        return None


def remember(model: str, memory: Preferences) -> None:
    """Keep how ``model`` is played, unless the file is a newer charlstm's."""
    entry = {
        "settings": memory.settings.to_dict(),
        "speed": -1 if math.isinf(memory.speed) else memory.speed,
        "colouring": memory.colour,  # 0.1 stored "colour", and its default too
        "copied": memory.copied,
        "joined": memory.joined,
        "prime": memory.prime if memory.prime is None or len(memory.prime) <= MOST_PRIME else None,
    }
    with contextlib.suppress(OSError, GenerationError), MEMORY.changing() as entries:  # recall() reports a newer file
        entries.pop(model, None)  # it becomes the last one
        entries[model] = entry
