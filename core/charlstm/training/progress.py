"""How far a run has come: the trainer's counters as data, part of the exact state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Progress:
    """How far a run has come. Every field is JSON-ready and part of the exact state."""

    step: int = 0
    """Training steps taken."""
    train_seconds: float = 0.0
    """Spent in training steps alone."""
    work_seconds: float = 0.0
    """Spent in everything but pauses; what ``max_minutes`` limits."""
    nats: float = 0.0
    """Summed loss of all targets since the last ``step`` event."""
    count: int = 0
    """Targets since the last ``step`` event."""
    grad_norm: float = 0.0
    """Largest norm of the gradient since the last ``step`` event."""
    seconds: float = 0.0
    """Seconds in training steps since the last ``step`` event."""
    best_val: float | None = None
    best_step: int = 0
    stale: int = 0
    """Validations since the best one; ``patience`` limits them."""
    whole_val: float | None = None
    """The best model's loss on all held-out text, once the run has ended."""
    final_val: float | None = None
    """The same where all of it would take too long: estimated from as much of it as there is time for."""
    ended: str | None = None
    """Why the run ended: a reason of ``events.Finished``."""
    attended: bool = True
    """Whether what is due after the last step was done: its log line, validation, sample and snapshot."""

    @property
    def loss(self) -> float | None:
        """The best model's loss: on all held-out text if that is known, else the best estimate."""
        return next((loss for loss in (self.whole_val, self.final_val) if loss is not None), self.best_val)

    def count_step(self, nats: float, count: int, grad_norm: float, seconds: float) -> None:
        """Count a training step with a summed loss of ``nats`` over ``count`` targets."""
        self.step += 1
        self.train_seconds += seconds
        self.nats += nats
        self.count += count
        self.grad_norm = max(self.grad_norm, grad_norm)
        self.seconds += seconds

    def start_interval(self) -> None:
        """Reset the sums after a ``step`` event."""
        self.nats, self.count, self.grad_norm, self.seconds = 0.0, 0, 0.0, 0.0
