"""All that decides a generated text besides model and prime, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charlstm.generation.clamp import Clamp
from charlstm.generation.sampler_settings import SamplerSettings


@dataclass(frozen=True, slots=True)
class Recipe:
    """Random numbers, sampler and held cells of a text.

    Attributes:
        seed: a whole number of at most 64 bits.
        sample: which of several texts of one seed.
        settings: how characters are chosen.
        clamps: cells that are held in each step.
    """

    seed: int = 0
    sample: int = 0
    settings: SamplerSettings = SamplerSettings()
    clamps: Sequence[Clamp] = ()

    def facts(self) -> list[tuple[str, str]]:
        """Names and values for a page or a table, without filters that are off."""
        return [
            ("seed", str(self.seed)),
            *((name.replace("_", "-"), str(value)) for name, value in self.settings.in_effect().items()),
            *([("held cells", ", ".join(map(str, self.clamps)))] if self.clamps else []),
        ]


DEFAULT = Recipe()
