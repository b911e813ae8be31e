"""How a character is chosen, as settings. :mod:`charlstm.generation.sampling` chooses by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict, Unpack

from charlstm.errors import GenerationError
from charlstm.setting_fields import check_settings, setting, setting_fields, unknown_setting


class SamplerKeywords(TypedDict, total=False):
    """The settings of :class:`SamplerSettings` as keywords of functions that generate."""

    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition: float
    kind: Literal["default", "reference"]


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """How a character is chosen. ``None`` (for ``repetition``: 0) turns a filter off.

    Raises :class:`~charlstm.errors.GenerationError` when a value is not in its range.
    """

    temperature: float = setting(
        0.8,
        "0: always the most likely; 1: as the model learnt; above: wilder",
        form="0 likeliest, 1 as trained, 2 wild",
        low=0,
        high=1000,
        option=True,
    )
    top_k: int | None = setting(
        None,
        "keep only the N most likely characters",
        form="keep so many of the likeliest",
        label="top-k",
        low=1,
        option=True,
    )
    top_p: float | None = setting(
        None,
        "keep the fewest characters whose probabilities add up to X",
        form="keep the likeliest up to this sum",
        label="top-p",
        low=0,
        open_low=True,
        high=1,
        option=True,
    )
    min_p: float | None = setting(
        0.05,
        "drop characters less likely than X times the most likely one",
        form="drop below this share of the best",
        label="min-p",
        low=0,
        high=1,
        option=True,
    )
    repetition: float = setting(
        0.0,
        "penalty in nats for repeating 16 or more characters",
        form="penalty in nats for repeats",
        low=0,
        high=1000,
        off=0.0,
        option=True,
    )
    kind: Literal["default", "reference"] = setting(
        "default",
        "default, or reference: the sampler of the reference script, which has only --top-k",
        form="default; reference: top-k alone",
        option="--sampler",
    )

    def __post_init__(self) -> None:
        check_settings(self, GenerationError)

    def to_dict(self) -> dict[str, Any]:
        """All settings by name, JSON-ready."""
        return asdict(self)

    def with_changes(self, **changes: Unpack[SamplerKeywords]) -> SamplerSettings:
        """A copy with some settings changed. Raises :class:`GenerationError` for an unknown name or a wrong value."""
        return SamplerSettings.from_dict(self.to_dict() | changes) if changes else self

    def in_effect(self) -> dict[str, Any]:
        """The settings that decide how a character is chosen: without filters that are off."""
        if self.kind == "reference":
            return {"kind": self.kind, **({} if self.top_k is None else {"top_k": self.top_k})}
        declared, values = setting_fields(SamplerSettings), self.to_dict()
        off = {name for name, each in declared.items() if each.is_off(values[name])}
        return {name: value for name, value in values.items() if name != "kind" and name not in off}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SamplerSettings:
        """The inverse of :meth:`to_dict`; raises :class:`GenerationError` for other names or invalid values."""
        known = setting_fields(cls)
        for name in values:
            if name not in known:
                raise GenerationError(f"There is no sampler setting {name!r}; {unknown_setting(name, known)}")
        return cls(**values)


FILTERS = tuple(name for name, each in setting_fields(SamplerSettings).items() if each.optional)
"""The settings that drop characters, in order of action: all settings that may be None (off)."""


def changed_settings(settings: SamplerSettings | None, changes: SamplerKeywords) -> SamplerSettings:
    """``settings``, or the defaults, with ``changes``. Raises :class:`GenerationError` as they do."""
    if settings is None:
        settings = SamplerSettings()
    return settings.with_changes(**changes)
