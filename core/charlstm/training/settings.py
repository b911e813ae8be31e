"""The settings of a training run: one frozen dataclass that checks its values on creation.

Presets are in ``training.presets``. What a run measures and decides at its start, such as its number of steps and the
fastest kernel, is in its ``training.plan.Plan``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from charlstm.errors import SettingsError
from charlstm.setting_fields import check_settings, setting, setting_fields, unknown_setting
from charlstm.text.reading import SplitMode

Optimizer = Literal["adam", "adamw"]

Schedule = Literal["constant", "linear", "cosine"]

Initialisation = Literal["torch", "orthogonal"]

KernelFamily = Literal["auto", "fused", "nn"]

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class KernelKind:
    """A training kernel as the settings ``kernel`` and ``precision`` describe it."""

    family: KernelFamily
    precision: Precision


KERNELS: Mapping[str, KernelKind] = {
    "fused-bf16": KernelKind("fused", "bfloat16"),
    "fused-f32": KernelKind("fused", "float32"),
    "nn": KernelKind("nn", "float32"),
}
"""The kernels by the names that runs record, usually the fastest first."""

MOST_HELD_OUT = 0.9
"""The largest fraction of a text that validation and test may take together."""

DEVICES = "auto, cpu, cuda, cuda:N or mps"
"""What the setting ``device`` takes."""

ALIASES = {
    "n_seqs": "batch_size",
    "n_steps": "seq_length",
    "block_size": "seq_length",
    "learning_rate": "lr",
    "rate": "lr",
    "max_iters": "max_steps",
    "eval_interval": "val_every",
    "log_interval": "log_every",
}
"""Names of settings in other scripts that are not similar to those here. The error message suggests the latter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of training, under the names that they have everywhere.

    Raises :class:`~charlstm.errors.SettingsError` for a value that the field does not take.
    """

    hidden_size: int = setting(
        512, "units of each LSTM layer", low=1, high=8192, option=True, group="Network", fixed=True
    )
    num_layers: int = setting(2, "number of LSTM layers", low=1, high=16, option=True, fixed=True)
    init: Initialisation = setting(
        "orthogonal", "initial weights: torch's own, or orthogonal recurrent weights and a forget bias of 1", fixed=True
    )

    batch_size: int = setting(
        32, "rows of text in a batch", low=1, high=65536, option=True, group="Batches", fixed=True
    )
    seq_length: int = setting(
        64, "characters of a row per step (back-propagation through time)", low=1, high=65536, option=True, fixed=True
    )
    state_reset: float = setting(0.0, "probability that a row starts a step with a zero state", low=0, high=1)

    epochs: float | None = setting(
        None, "passes over the training text", low=0, open_low=True, option=True, group="Length"
    )
    max_steps: int | None = setting(None, "maximum number of training steps", low=1, option=True)
    max_minutes: float | None = setting(
        None,
        "maximum time in minutes, with the start and validations but without pauses and reading the text; the schedule "
        "is planned to end then",
        low=0,
        open_low=True,
        option=True,
    )
    patience: int | None = setting(
        None,
        "stop after this many validations without improvement, except in a run that was extended; none: never",
        low=1,
    )

    optimizer: Optimizer = setting("adamw", "Adam, as in the reference script, or AdamW", group="Optimiser", fixed=True)
    lr: float = setting(3e-3, "peak learning rate", low=0, open_low=True, option=True)
    head_lr: float = setting(1.0, "learning rate of the output layer, as a multiple of lr", low=0, open_low=True)
    schedule: Schedule = setting(
        "linear",
        "learning rate after the warm-up: constant, or falling to zero in a straight line or as a cosine",
        fixed=True,
    )
    warmup: float = setting(
        0.1, "fraction of the run in which the learning rate rises to lr", low=0, high=1, fixed=True
    )
    beta2: float = setting(0.99, "Adam's decay rate of squared gradients", low=0, high=0.99999)
    weight_decay: float = setting(0.01, "AdamW's weight decay", low=0)
    clip: float | None = setting(1.0, "maximum norm of the gradient; none: no clipping", low=0, open_low=True)

    dropout: float = setting(
        0.0,
        "fraction of each layer's outputs set to zero, in steps of 1/256",
        low=0,
        high=0.95,
        option=True,
        group="Regularisation",
    )
    shared_masks: bool = setting(
        True, "one dropout mask for all characters of a row (variational dropout), instead of one per character"
    )
    weight_drop: float = setting(
        0.0,
        "fraction of the recurrent weights set to zero in each step (DropConnect), in steps of 1/256",
        low=0,
        high=0.95,
    )
    ema_decay: float | None = setting(
        None,
        "decay of a moving average of the weights, which is then validated and saved; none: no average",
        low=0,
        high=0.99999,
        fixed=True,
    )
    calibrate: bool = setting(
        False,
        "at the end, scale the output layer so that held-out text is the most likely (temperature scaling)",
        form="at the end, fit probabilities to held-out text",
    )

    val_fraction: float = setting(
        0.1,
        "fraction of the text that is held out for validation",
        low=0,
        high=0.9,
        option=True,
        group="Validation and log",
        fixed=True,
    )
    test_fraction: float = setting(
        0.0,
        "fraction of the text kept for a final test: not trained on, not validated on",
        low=0,
        high=0.8,
        option=True,
        fixed=True,
    )
    val_chars: int = setting(
        1_000_000,
        "maximum of held-out characters per validation; fewer where that would take over 5 % of the time",
        low=2,
        fixed=True,
    )
    val_every: int | None = setting(
        None, "steps between validations; none: 30 validations in all, fewer in a short run", low=1
    )
    log_every: int | None = setting(
        None, "steps between two entries of the training loss in the log; none: about 0.3 seconds", low=1
    )
    split: SplitMode = setting(
        "tail",
        "held-out part: the end of the text, or blocks spread over it; with units, whole units from all over it",
        option=True,
        fixed=True,
    )

    seed: int = setting(
        0, "random seed", low=0, high=2**63 - 1, option=True, group="Machine and checkpoints", fixed=True
    )
    device: str = setting(
        "auto",
        "where to train; auto is a CUDA card if there is one, else the processor",
        text=DEVICES,
        pattern="auto|cpu|mps|cuda(:[0-9]{1,3})?",
        examples=("auto", "cpu", "cuda", "mps"),
        option=True,
        fixed=True,
    )
    kernel: KernelFamily = setting(
        "auto",
        "our own LSTM kernel for CPUs, torch's nn.LSTM, or the faster one as measured",
        aliases=KERNELS,
        option=True,
        fixed=True,
    )
    precision: Precision = setting(
        "auto",
        "number format of matrix products: auto is bfloat16 where the CPU computes it fast, else float32",
        option=True,
        fixed=True,
    )
    threads: int | None = setting(
        None, "CPU threads; none: as many as are fastest, which is measured at times", low=1, high=1024, option=True
    )
    niceness: int | None = setting(
        None,
        "how far other programs come first, 0 (not at all) to 19; none: 0 in the foreground, 10 in the background",
        low=0,
        high=19,
        option=True,
    )
    checkpoint_steps: int | None = setting(None, "steps between checkpoints; none: by time only", low=1)
    checkpoint_minutes: float | None = setting(
        2.0, "minutes between checkpoints; none: by steps only", low=0, open_low=True
    )
    snapshots: int = setting(
        12,
        "models that are kept on the way from the first step to the last, 2 bytes a weight each",
        low=3,
        high=1000,
        fixed=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if round(self.val_fraction + self.test_fraction, 9) > MOST_HELD_OUT:
            raise SettingsError(
                f"val_fraction and test_fraction are {MOST_HELD_OUT:g} together at most, not "
                f"{self.val_fraction:g} and {self.test_fraction:g}: there has to be text to train on"
            )
        kind = KERNELS.get(self.kernel)
        if kind is not None and self.kernel != kind.family:  # a recorded name, such as fused-f32
            if self.precision not in ("auto", kind.precision):
                raise SettingsError(f"kernel={self.kernel} computes in {kind.precision}, not in {self.precision}")
            object.__setattr__(self, "kernel", kind.family)
            object.__setattr__(self, "precision", kind.precision)
        precisions = [kind.precision for kind in KERNELS.values() if kind.family == self.kernel]
        if precisions and self.precision not in ("auto", *precisions):
            others = [kind.family for kind in KERNELS.values() if kind.precision == self.precision]
            raise SettingsError(
                f"kernel={self.kernel} computes in {precisions[0]}: use kernel={others[0]} with "
                f"precision={self.precision}"
            )

    @property
    def ends(self) -> bool:
        """Whether one of the settings limits the length of the run."""
        return (self.epochs, self.max_steps, self.max_minutes) != (None, None, None)

    def with_changes(self, **changes: Any) -> Self:
        """A copy with some settings changed. Raises :class:`SettingsError` for an unknown name or a wrong value."""
        for name in changes:
            check_name(name)
        return replace(self, **changes) if changes else self

    def to_dict(self) -> dict[str, Any]:
        """All settings as values for JSON."""
        return {name: getattr(self, name) for name in setting_fields(type(self))}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; missing settings have their defaults."""
        for name in values:
            check_name(name)
        return cls(**values)

    @classmethod
    def of_model(cls, info: Mapping[str, Any]) -> Self:
        """The settings with which the model with this ``info`` was trained, or the defaults without a record."""
        settings = info.get("settings")
        return cls.from_dict(settings) if isinstance(settings, dict) else cls()


LENGTH = {"epochs", "max_steps", "max_minutes"}
"""Settings that limit the length of a run; the first limit that is reached ends it."""

OWN_NETWORK = frozenset(("hidden_size", "num_layers", "init"))
"""Settings of the network's own: a run in which one is set starts from nothing unless a model is asked for."""

WITHOUT_EFFECT_ON_LOSS = {
    "calibrate",
    "patience",
    "val_every",
    "log_every",
    "threads",
    "niceness",
    "checkpoint_steps",
    "checkpoint_minutes",
    "snapshots",
}
"""Settings that a resume may change without a change of what the next steps learn: losses before and after it can be
compared. The number of threads changes the last digits alone."""


def changed(before: Settings, after: Settings) -> dict[str, Any]:
    """The settings that differ, with their new values. Raises :class:`SettingsError` for one that is fixed, since the
    steps so far were taken with it."""
    old, new, declared = before.to_dict(), after.to_dict(), setting_fields(Settings)
    changes = {name: value for name, value in new.items() if old[name] != value}
    for name in changes:
        if declared[name].fixed:
            raise SettingsError(
                f"{name} cannot change from {old[name]!r} to {new[name]!r} in a run that has begun: start a new run"
            )
    return changes


def continued(trained: Settings, asked_before: Settings, asked: Settings) -> Settings:
    """The settings with which a run continues that trained with ``trained``, when ``asked_before`` was asked for and
    ``asked`` is now.

    ``trained`` may have later limits than were asked for, because of the command ``more``. A length that is asked for
    replaces all limits. Raises :class:`SettingsError` as :func:`changed` does.
    """
    changes = changed(asked_before, asked)
    now = trained.with_changes(**changes)
    if LENGTH & changes.keys():
        now = now.with_changes(**{name: getattr(asked, name) for name in LENGTH})
    return now


def setting_names() -> tuple[str, ...]:
    """Every setting's name, in the order of the dataclass."""
    return tuple(setting_fields(Settings))


def check_name(name: str) -> None:
    """Raise :class:`SettingsError` if there is no setting ``name``; it suggests the setting that was probably meant."""
    names = setting_fields(Settings)
    if name in names:
        return
    name = str(name)
    if name in ALIASES:
        raise SettingsError(f"{name} is called {ALIASES[name]} here: write {ALIASES[name]}=…")
    raise SettingsError(f"There is no setting {name!r}; {unknown_setting(name, names)}")


def parse_setting(name: str, text: str) -> Any:
    """Read a setting's value as people write it (``3e-3``, ``none``, ``true``, ``tail``).

    Raises :class:`SettingsError`, which names the setting, the value and what the setting takes.
    """
    check_name(name)
    return setting_fields(Settings)[name].parse(text)


def write_setting(name: str, value: Any) -> str:
    """The ``value`` of the setting ``name`` as people write it: the inverse of :func:`parse_setting`."""
    return setting_fields(Settings)[name].write(value, "none")
