"""How far a run has come: the trainer's own bookkeeping as data, part of the exact state.

Free of torch, so that whoever asks for a resume can look before a worker is started.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from charlstm.errors import ModelError
from charlstm.records import typed


@dataclass(slots=True)
class Progress:
    """How far a run has come. All of it is JSON-ready and part of the exact state."""

    step: int = 0
    train_seconds: float = 0.0
    """Spent in training steps alone."""
    work_seconds: float = 0.0
    """Spent in all but pauses; what ``max_minutes`` counts."""
    nats: float = 0.0
    """Since the last ``step`` event: summed loss, targets, largest gradient norm and seconds."""
    count: int = 0
    grad_norm: float = 0.0
    seconds: float = 0.0
    best_val: float | None = None
    best_step: int = 0
    stale: int = 0
    """Validations since the best one."""
    whole_val: float | None = None
    """The best model's loss over all that is held out, once the run has ended."""
    ended: str | None = None
    """Why the run ended: a reason of ``events.Finished``."""
    control_position: int = 0

    @property
    def loss(self) -> float | None:
        """The best model's, over all that is held out if that is known, else as it was seen on the way."""
        return self.best_val if self.whole_val is None else self.whole_val

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. Raises :class:`ModelError` when something is missing or of another kind."""
        try:
            return cls(**typed(cls, {spec.name: values[spec.name] for spec in fields(cls)}))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError("The training state does not say how far the run had come: it is damaged") from error
