"""The settings of a training run: one frozen dataclass, which checks its values when it is created.

Presets are in ``training.presets``. What a run measures and decides at its start, such as its number of steps and the
fastest kernel, is in its ``training.plan.Plan``.
"""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from charlstm import arguments
from charlstm.errors import SettingsError
from charlstm.json_fields import MAX_INTEGER

SplitMode = Literal["tail", "blocks"]

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

_OLD_KERNEL_NAMES = {"nn-bf16": "nn"}
"""Kernels that runs of version 0.1 recorded, and the ones that replace them."""

MOST_HELD_OUT = 0.9
"""The largest fraction of a text that validation and test may take together."""

DEVICES = "auto, cpu, cuda, cuda:N or mps"
"""What the setting ``device`` takes."""

MOST = 1e300
"""The limit of all settings, so that sums with them stay finite."""

ALIASES = {
    "n_hidden": "hidden_size",
    "hidden": "hidden_size",
    "rnn_size": "hidden_size",
    "n_layers": "num_layers",
    "layers": "num_layers",
    "drop_prob": "dropout",
    "n_seqs": "batch_size",
    "batch": "batch_size",
    "n_steps": "seq_length",
    "seq_len": "seq_length",
    "sequence_length": "seq_length",
    "block_size": "seq_length",
    "learning_rate": "lr",
    "rate": "lr",
    "grad_clip": "clip",
    "max_iters": "max_steps",
    "n_epochs": "epochs",
    "num_epochs": "epochs",
    "val_frac": "val_fraction",
    "test_frac": "test_fraction",
    "print_every": "val_every",
    "eval_every": "val_every",
    "eval_interval": "val_every",
    "log_interval": "log_every",
}
"""Names of settings in other scripts, and the names here. The error message for the former suggests the latter."""


def _setting(
    default: Any,
    about: str,
    *,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    aliases: Collection[str] = (),
) -> Any:
    """A field of :class:`Settings`, with its limits.

    A number is from ``low`` (with ``open_low``: above it) to ``high``. A field with a ``Literal`` type also takes the
    words in ``aliases``.
    """
    metadata = {"about": about, "low": low, "high": high, "open_low": open_low, "aliases": aliases}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of training, under the names that they have everywhere.

    Raises :class:`~charlstm.errors.SettingsError` when a value is not one that its field takes.
    """

    # Network
    hidden_size: int = _setting(512, "units of each LSTM layer", low=1, high=8192)
    num_layers: int = _setting(2, "number of LSTM layers", low=1, high=16)
    init: Initialisation = _setting(
        "orthogonal",
        "initial weights: torch's own, or orthogonal recurrent weights and a forget bias of 1",
    )

    # Batches
    batch_size: int = _setting(32, "rows of text in a batch", low=1, high=65536)
    seq_length: int = _setting(64, "characters of a row per step (back-propagation through time)", low=1, high=65536)
    state_reset: float = _setting(0.0, "probability that a row starts a step with a zero state", low=0, high=1)

    # Length
    epochs: float | None = _setting(None, "passes over the training text", low=0, open_low=True)
    max_steps: int | None = _setting(None, "maximum number of training steps", low=1)
    max_minutes: float | None = _setting(
        None,
        "maximum time in minutes, start and validations included; the schedule is planned to end then",
        low=0,
        open_low=True,
    )
    patience: int | None = _setting(None, "stop after this many validations without improvement; none: never", low=1)

    # Optimiser
    optimizer: Optimizer = _setting("adamw", "Adam, as in the reference script, or AdamW")
    lr: float = _setting(3e-3, "peak learning rate", low=0, open_low=True)
    head_lr: float = _setting(1.0, "learning rate of the output layer, as a multiple of lr", low=0, open_low=True)
    schedule: Schedule = _setting(
        "linear", "learning rate after the warm-up: constant, or falling to zero in a straight line or as a cosine"
    )
    warmup: float = _setting(0.1, "fraction of the run in which the learning rate rises to lr", low=0, high=1)
    beta2: float = _setting(0.99, "Adam's decay rate of squared gradients", low=0, high=0.99999)
    weight_decay: float = _setting(0.01, "AdamW's weight decay", low=0)
    clip: float | None = _setting(1.0, "maximum norm of the gradient; none: no clipping", low=0, open_low=True)

    # Regularisation
    dropout: float = _setting(0.0, "fraction of each layer's outputs set to zero", low=0, high=0.95)
    shared_masks: bool = _setting(
        True, "one dropout mask for all characters of a row (variational dropout), instead of one per character"
    )
    weight_drop: float = _setting(
        0.0, "fraction of the recurrent weights set to zero in each step (DropConnect)", low=0, high=0.95
    )
    ema_decay: float | None = _setting(
        None,
        "decay of a moving average of the weights, which is then validated and saved; none: no average",
        low=0,
        high=0.99999,
    )

    # Validation
    val_fraction: float = _setting(0.1, "fraction of the text that is held out for validation", low=0, high=0.9)
    test_fraction: float = _setting(
        0.0, "fraction of the text kept for a final test: not trained on, not validated on", low=0, high=0.8
    )
    val_chars: int = _setting(1_000_000, "approximate number of held-out characters per validation", low=2)
    val_every: int | None = _setting(
        None, "steps between validations; none: 30 validations in all, fewer in a short run", low=1
    )
    log_every: int | None = _setting(
        None, "steps between two entries of the training loss in the log; none: about 0.3 seconds", low=1
    )
    split: SplitMode = _setting("tail", "held-out part: the end of the text, or blocks spread over it")

    # Machine
    seed: int = _setting(0, "random seed", low=0, high=2**63 - 1)
    device: str = _setting("auto", "where to train; auto is a graphics card if there is one")
    kernel: KernelFamily = _setting(
        "auto",
        "our own LSTM kernel for CPUs, torch's nn.LSTM, or the faster one as measured",
        aliases=(*KERNELS, *_OLD_KERNEL_NAMES),
    )
    precision: Precision = _setting(
        "auto", "number format of matrix products: auto is bfloat16 where the CPU computes it fast, else float32"
    )
    threads: int | None = _setting(
        None, "CPU threads; none: as many as are fastest, which is measured at times", low=1, high=1024
    )
    niceness: int | None = _setting(
        None,
        "how far other programs go first, 0 (not at all) to 19; none: 0 in the foreground, 10 in the background",
        low=0,
        high=19,
    )
    checkpoint_steps: int | None = _setting(None, "steps between checkpoints; none: by time only", low=1)
    checkpoint_minutes: float | None = _setting(
        2.0, "minutes between checkpoints; none: by steps only", low=0, open_low=True
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            _check(spec.name, getattr(self, spec.name), _HINTS[spec.name], spec.metadata)
        if round(self.val_fraction + self.test_fraction, 9) > MOST_HELD_OUT:
            raise SettingsError(
                f"val_fraction and test_fraction are {MOST_HELD_OUT:g} together at most, not "
                f"{self.val_fraction:g} and {self.test_fraction:g}: there has to be text to train on"
            )
        self._resolve_kernel_alias()
        if (self.kernel, self.precision) == ("nn", "bfloat16"):
            raise SettingsError("kernel=nn computes in float32: use kernel=fused with precision=bfloat16")

    def _resolve_kernel_alias(self) -> None:
        """Replace a recorded kernel name, such as fused-f32, by the family and the precision that it stands for."""
        kind = KERNELS.get(current_kernel_name(self.kernel))
        if kind is None or self.kernel == kind.family:
            return
        if self.precision not in ("auto", kind.precision):
            raise SettingsError(f"kernel={self.kernel} computes in {kind.precision}, not in {self.precision}")
        object.__setattr__(self, "kernel", kind.family)
        object.__setattr__(self, "precision", kind.precision)

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
        return {spec.name: getattr(self, spec.name) for spec in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; missing settings have their defaults."""
        arguments.instance("Settings", values, Mapping, "values by name", error=SettingsError)
        for name in values:
            check_name(name)
        return cls(**values)


FIXED = {
    *("hidden_size", "num_layers", "init"),
    *("batch_size", "seq_length", "optimizer", "schedule", "warmup", "ema_decay", "seed"),
    *("val_fraction", "test_fraction", "val_chars", "split"),
    *("device", "kernel", "precision"),
}
"""Settings that cannot change when a run is resumed, since the steps so far were taken with them."""

LENGTH = {"epochs", "max_steps", "max_minutes"}
"""Settings that limit the length of a run; the first limit that is reached ends it."""


def current_kernel_name(recorded: str) -> str:
    """The present name of a kernel that a run recorded; a name that is not an old one is returned unchanged."""
    return _OLD_KERNEL_NAMES.get(recorded, recorded)


def changed(before: Settings, after: Settings) -> dict[str, Any]:
    """The settings that differ, with their new values. Raises :class:`SettingsError` for one of :data:`FIXED`."""
    old, new = before.to_dict(), after.to_dict()
    changes = {name: value for name, value in new.items() if old[name] != value}
    for name in changes:
        if name in FIXED:
            raise SettingsError(
                f"{name} cannot change from {old[name]!r} to {new[name]!r} in a run that has begun: start a new run "
                "from its model"
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


@functools.cache  # a list of runs needs them for every setting of every run
def setting_names() -> tuple[str, ...]:
    """Every setting's name, in the order of the dataclass."""
    return tuple(spec.name for spec in fields(Settings))


def about(name: str) -> str:
    """One line about the setting ``name``, for help texts and forms."""
    return next(str(spec.metadata["about"]) for spec in fields(Settings) if spec.name == name)


def check_name(name: str) -> None:
    """Raise :class:`SettingsError` if there is no setting ``name``; it suggests the setting that was probably meant."""
    names = setting_names()
    if name in names:
        return
    name = str(name)
    if name in ALIASES:
        raise SettingsError(f"{name} is called {ALIASES[name]} here: write {ALIASES[name]}=…")
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; the settings are {', '.join(names)}"
    raise SettingsError(f"There is no setting {name!r}{hint}")


def parse_setting(name: str, text: str) -> Any:
    """Read a setting's value as people write it (``3e-3``, ``none``, ``true``, ``tail``).

    Raises :class:`SettingsError`, which names the setting, the value and what the setting takes.
    """
    check_name(name)
    hint = _HINTS[name]
    choices = _types_of(hint)
    word = text.strip()
    if type(None) in choices and word.lower() in ("none", "off", "null", ""):
        return None
    value: Any = word
    try:
        if bool in choices:
            value = {
                "true": True,
                "yes": True,
                "on": True,
                "1": True,
                "false": False,
                "no": False,
                "off": False,
                "0": False,
            }[word.lower()]
        elif int in choices:
            value = int(word.replace("_", "").replace(",", ""))
        elif float in choices:
            value = float(word.replace("_", ""))
    except (ValueError, KeyError):
        raise SettingsError(f"{name} takes {takes(name)}, not {word!r}") from None
    spec = next(spec for spec in fields(Settings) if spec.name == name)
    _check(name, value, hint, spec.metadata)
    return value


def takes(name: str) -> str:
    """What values the setting ``name`` takes, as a phrase for messages, such as "a whole number of at least 1"."""
    spec = next(spec for spec in fields(Settings) if spec.name == name)
    return _takes(_HINTS[name], spec.metadata)


def values(name: str) -> tuple[str, ...]:
    """The words that the setting ``name`` takes, such as ``true`` and ``none``, for forms and completion.

    They are as :func:`parse_setting` reads them. Numbers are not listed, so the result may be empty.
    """
    kinds = _types_of(_HINTS[name])
    listed = _literals(_HINTS[name])
    if bool in kinds:
        listed = ("true", "false")
    elif name == "device":
        listed = ("auto", "cpu", "cuda", "mps")
    return (*listed, "none") if type(None) in kinds else listed


@functools.cache
def _types_of(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


@functools.cache
def _literals(hint: Any) -> tuple[str, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _takes(hint: Any, metadata: Mapping[str, Any]) -> str:
    if words := _literals(hint):
        return " or ".join(words)
    kinds = _types_of(hint)
    if bool in kinds:
        return "true or false"
    if str in kinds:
        return DEVICES
    kind = "a whole number" if int in kinds else "a number"
    low, high = metadata["low"], metadata["high"]
    if low is not None and high is not None:
        kind += f" from {low:,} to {high:,}"
    elif low is not None:
        kind += f" above {low:,}" if metadata["open_low"] else f" of at least {low:,}"
    return kind + (" or none" if type(None) in kinds else "")


def _check(name: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> None:
    if not _fits(value, hint, metadata):
        raise SettingsError(f"{name} takes {_takes(hint, metadata)}, not {value!r}")
    if isinstance(value, int) and int in _types_of(hint) and name != "seed" and value >= MAX_INTEGER:
        raise SettingsError(f"{name} takes whole numbers up to {MAX_INTEGER - 1:,}, not {value!r}")


def _fits(value: Any, hint: Any, metadata: Mapping[str, Any]) -> bool:
    kinds = _types_of(hint)
    if value is None and type(None) in kinds:
        return True
    if words := _literals(hint):
        return isinstance(value, str) and (value in words or value in metadata["aliases"])
    if bool in kinds:
        return isinstance(value, bool)
    if str in kinds:
        return isinstance(value, str) and _is_device(value)
    if isinstance(value, bool) or not isinstance(value, int if int in kinds else (int, float)) or not abs(value) < MOST:
        return False
    low, high = metadata["low"], metadata["high"]
    if low is not None and (value <= low if metadata["open_low"] else value < low):
        return False
    return high is None or bool(value <= high)


def _is_device(word: str) -> bool:
    return re.fullmatch("auto|cpu|mps|cuda(:[0-9]{1,3})?", word) is not None


_HINTS: dict[str, Any] = typing.get_type_hints(Settings)
