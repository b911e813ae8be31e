"""The settings of a training run: one frozen dataclass, validated once at the edge.

Free of torch, so that the app and the command line's help can use it. Presets live in ``presets``; what a run
measured and then froze lives in the run, not here.
"""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from charlstm.errors import SettingsError
from charlstm.json_fields import MAX_INTEGER

SplitMode = Literal["tail", "blocks"]


Optimizer = Literal["adam", "adamw"]


Schedule = Literal["constant", "linear", "cosine"]


Initialisation = Literal["torch", "orthogonal"]


KernelName = Literal["auto", "fused", "nn"]

MOST_HELD_OUT = 0.9
"""Part of a text that validation and test may take together."""

MOST = 1e300
"""No setting is beyond this, so that sums with it stay numbers."""

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
}
"""Names that other scripts use; they are answered with ours."""


def _setting(
    default: Any, about: str, *, low: float | None = None, high: float | None = None, open_low: bool = False
) -> Any:
    metadata = {"about": about, "low": low, "high": high, "open_low": open_low}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every knob of training, under the one name it has everywhere.

    Raises :class:`~charlstm.errors.SettingsError` when a value is outside what the field takes.
    """

    # the network
    hidden_size: int = _setting(512, "units in each LSTM layer", low=1, high=8192)
    num_layers: int = _setting(2, "LSTM layers on top of each other", low=1, high=16)
    init: Initialisation = _setting(
        "orthogonal", "first weights: torch's own, or orthogonal recurrence with forget bias 1"
    )

    # the batches
    batch_size: int = _setting(32, "rows of text read side by side", low=1, high=65536)
    seq_length: int = _setting(64, "characters of back-propagation through time", low=1, high=65536)
    state_reset: float = _setting(0.0, "chance that a row starts a step from an empty state", low=0, high=1)

    # how long
    epochs: float | None = _setting(None, "passes over the training text", low=0, open_low=True)
    max_steps: int | None = _setting(None, "training steps at most", low=1)
    max_minutes: float | None = _setting(
        None, "minutes in all, validations too; planned as steps, and a hard stop besides", low=0, open_low=True
    )
    patience: int | None = _setting(None, "end after so many validations without a better one; none: never", low=1)

    # the optimiser
    optimizer: Optimizer = _setting("adamw", "Adam as the reference uses it, or AdamW")
    lr: float = _setting(3e-3, "highest learning rate", low=0, open_low=True)
    head_lr: float = _setting(1.0, "how many times as fast the layer to characters learns", low=0, open_low=True)
    schedule: Schedule = _setting("linear", "the rate after the warm-up: constant, or down to zero")
    warmup: float = _setting(0.1, "part of the run in which the rate climbs from zero", low=0, high=1)
    beta2: float = _setting(0.99, "Adam's memory of squared gradients", low=0, high=0.99999)
    weight_decay: float = _setting(0.01, "AdamW's weight decay", low=0)
    clip: float | None = _setting(1.0, "gradients are scaled down to this norm; none: never", low=0, open_low=True)

    # against learning by heart
    dropout: float = _setting(0.0, "part of the units that is silenced between layers", low=0, high=0.95)
    shared_masks: bool = _setting(True, "one dropout mask for all characters of a row (variational), not one each")
    weight_drop: float = _setting(
        0.0, "part of the recurrent weights that is silenced each step (DropConnect)", low=0, high=0.95
    )
    ema_decay: float | None = _setting(
        None, "moving average of the weights that is validated and saved; none: off", low=0, high=0.99999
    )

    # what is held out
    val_fraction: float = _setting(0.1, "part of the text that is held out", low=0, high=0.9)
    test_fraction: float = _setting(
        0.0, "part of the text kept for a final test: not trained on, not validated on", low=0, high=0.8
    )
    val_chars: int = _setting(1_000_000, "held-out characters that a validation on the way reads, about", low=2)
    val_every: int | None = _setting(None, "steps between validations; none: about thirty over the run", low=1)
    split: SplitMode = _setting("tail", "what is held out: the end of the text, or blocks spread over it")

    # the machine
    seed: int = _setting(0, "random seed", low=0, high=2**63 - 1)
    device: str = _setting("auto", "auto, cpu, cuda, cuda:N or mps")
    kernel: KernelName = _setting("auto", "our own LSTM training kernel, torch's nn.LSTM, or the faster as measured")
    threads: int | None = _setting(None, "CPU threads; none: as many as there are cores", low=1, high=1024)
    checkpoint_steps: int | None = _setting(None, "steps between checkpoints; none: by minutes alone", low=1)
    checkpoint_minutes: float | None = _setting(
        2.0, "minutes between checkpoints; none: by steps alone", low=0, open_low=True
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            _check(spec.name, getattr(self, spec.name), _HINTS[spec.name], spec.metadata)
        if round(self.val_fraction + self.test_fraction, 9) > MOST_HELD_OUT:
            raise SettingsError(
                f"val_fraction and test_fraction are {MOST_HELD_OUT:g} together at most, not "
                f"{self.val_fraction:g} and {self.test_fraction:g}: there has to be text to train on"
            )

    @property
    def ends(self) -> bool:
        """Whether it is said how long to train."""
        return (self.epochs, self.max_steps, self.max_minutes) != (None, None, None)

    def with_changes(self, **changes: Any) -> Self:
        """A copy with some settings changed. Raises :class:`SettingsError` for an unknown name or a wrong value."""
        for name in changes:
            canonical_name(name)
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON-ready values."""
        return {spec.name: getattr(self, spec.name) for spec in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; names that are missing take their defaults."""
        for name in values:
            canonical_name(name)
        return cls(**values)


_NETWORK = {"hidden_size", "num_layers", "init"}


_COURSE = {"batch_size", "seq_length", "optimizer", "schedule", "warmup", "ema_decay", "seed"}


_TEXT = {"val_fraction", "test_fraction", "val_chars", "split"}


_MACHINE = {"device", "kernel"}


FIXED = _NETWORK | _COURSE | _TEXT | _MACHINE
"""Settings that a run keeps for life: with others it would be another run."""

LENGTH = {"epochs", "max_steps", "max_minutes"}
"""Settings that say when a run ends; the first that is reached ends it."""


def changed(before: Settings, after: Settings) -> dict[str, Any]:
    """The settings of a run that differ, with their new values. Raises :class:`SettingsError` for one that is fixed."""
    old, new = before.to_dict(), after.to_dict()
    changes = {name: value for name, value in new.items() if old[name] != value}
    for name in changes:
        if name in FIXED:
            raise SettingsError(
                f"{name} cannot change from {old[name]!r} to {new[name]!r} in a run that has begun: start a new run "
                "from its model"
            )
    return changes


@functools.cache  # asked for each setting of each run in a list
def setting_names() -> tuple[str, ...]:
    """Every setting's name, in the order of the dataclass."""
    return tuple(spec.name for spec in fields(Settings))


def about(name: str) -> str:
    """One line on what the setting ``name`` does, for help and forms."""
    return next(str(spec.metadata["about"]) for spec in fields(Settings) if spec.name == name)


def canonical_name(name: str) -> str:
    """Check that ``name`` is a setting; answer other scripts' names and near misses with ours."""
    names = setting_names()
    if name in names:
        return name
    if name in ALIASES:
        raise SettingsError(f"{name} is called {ALIASES[name]} here: write {ALIASES[name]}=…")
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; the settings are {', '.join(names)}"
    raise SettingsError(f"There is no setting {name!r}{hint}")


def parse_setting(name: str, text: str) -> Any:
    """Read a setting's value as a person writes it (``3e-3``, ``none``, ``true``, ``tail``).

    Raises :class:`SettingsError` that names the field, what it got and what it takes.
    """
    hint = _HINTS[canonical_name(name)]
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
    """In words, the values that the setting ``name`` accepts."""
    spec = next(spec for spec in fields(Settings) if spec.name == name)
    return _takes(_HINTS[name], spec.metadata)


def _types_of(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


def _literals(hint: Any) -> tuple[str, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def _takes(hint: Any, metadata: typing.Mapping[str, Any]) -> str:
    if words := _literals(hint):
        return " or ".join(words)
    kinds = _types_of(hint)
    if bool in kinds:
        return "true or false"
    if str in kinds:
        return str(metadata["about"])
    kind = "a whole number" if int in kinds else "a number"
    low, high = metadata["low"], metadata["high"]
    if low is not None and high is not None:
        kind += f" from {low:,} to {high:,}"
    elif low is not None:
        kind += f" above {low:,}" if metadata["open_low"] else f" of at least {low:,}"
    return kind + (" or none" if type(None) in kinds else "")


def _check(name: str, value: Any, hint: Any, metadata: typing.Mapping[str, Any]) -> None:
    kinds = _types_of(hint)
    if value is None and type(None) in kinds:
        return
    wrong = SettingsError(f"{name} takes {_takes(hint, metadata)}, not {value!r}")
    if words := _literals(hint):
        if value not in words:
            raise wrong
        return
    if bool in kinds:
        if not isinstance(value, bool):
            raise wrong
        return
    if str in kinds:
        if not isinstance(value, str) or not _is_device(value):
            raise wrong
        return
    if isinstance(value, bool) or not isinstance(value, int if int in kinds else (int, float)) or not abs(value) < MOST:
        raise wrong
    if int in kinds and name != "seed" and value >= MAX_INTEGER:
        raise SettingsError(f"{name} takes whole numbers up to {MAX_INTEGER - 1:,}, not {value!r}")
    low, high = metadata["low"], metadata["high"]
    if (low is not None and (value <= low if metadata["open_low"] else value < low)) or (
        high is not None and value > high
    ):
        raise wrong


def _is_device(word: str) -> bool:
    return re.fullmatch("auto|cpu|mps|cuda(:[0-9]{1,3})?", word) is not None


_HINTS: dict[str, Any] = typing.get_type_hints(Settings)
