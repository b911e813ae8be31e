"""How models are played, which the app remembers from one start to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from charlstm.config import Config
from charlstm.errors import CharLSTMError
from charlstm.generation.novelty import MIN_LENGTH
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.setting_fields import setting, setting_fields

MOST_PRIME = 10_000


@dataclass(frozen=True, slots=True)
class Preferences:
    """How models are played. ``speed`` in characters a second, infinite for full."""

    settings: SamplerSettings = SamplerSettings()
    speed: float = 60.0
    colouring: str | None = setting(None, "the scale that colours the text; none: the one that suits the terminal")
    copied: int = setting(MIN_LENGTH, "shortest passage shown as copied", low=2, high=1000)
    prime: str | None = setting(None, "the text that generation starts from with ``model``; none: the model's own")
    model: str | None = setting(None, "the model that was played last")

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Preferences:
        """The inverse of :meth:`to_dict`; the defaults if the entries are damaged."""
        try:
            speed = float(entries["speed"])
            fields = setting_fields(Preferences).items()
            known: dict[str, Any] = {name: entries[name] for name, each in fields if each.fits(entries[name])}
            return cls(
                SamplerSettings.from_dict(entries["settings"]),
                math.inf if speed < 0 else speed if speed == 0 or 0.1 <= speed <= 1e6 else 60.0,
                **known,
            )
        except (CharLSTMError, KeyError, TypeError, ValueError, OverflowError):
            return cls()

    def changed_by(self, config: Config) -> Preferences:
        """With the speed and the colouring of the configuration, where they are not the default."""
        usual = Config()
        speed = self.speed if config.speed == usual.speed else config.speed
        return replace(
            self, speed=speed, colouring=self.colouring if config.colouring == usual.colouring else config.colouring
        )

    def to_dict(self) -> dict[str, object]:
        """As JSON values, without a prime that is too long to be remembered."""
        return {
            "settings": self.settings.to_dict(),
            "speed": -1 if math.isinf(self.speed) else self.speed,
            "colouring": self.colouring,
            "copied": self.copied,
            "prime": self.prime if self.prime is None or len(self.prime) <= MOST_PRIME else None,
            "model": self.model,
        }
