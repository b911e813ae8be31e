"""Settings that are declared once: a field of a dataclass with its type, default, limits and words.

The check of a value, the reading of one that a person wrote, the phrases of messages and help, the options of the
command line and the rows of the app's forms come from the declaration. :func:`setting` makes such a field, and
:func:`setting_fields` lists those of a class.
"""

from __future__ import annotations

import difflib
import functools
import re
import types
import typing
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from charlstm import arguments
from charlstm.errors import CharLSTMError, SettingsError
from charlstm.fields import MAX_INTEGER

MOST = 1e300
"""The limit of all numbers, so that sums with them stay finite."""

OFF_WORDS = ("none", "off", "null", "")
"""How people write that a setting is off."""

_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def setting(default: Any, about: str, **declared: Any) -> Any:
    """A field of a dataclass that is a setting. ``declared`` are attributes of :class:`SettingField`."""
    return field(default=default, metadata={"about": about, **declared})


@dataclass(frozen=True, slots=True)
class SettingField:
    """A setting as it was declared. Name, default, ``kind``, ``optional`` and ``words`` come from the field itself."""

    name: str
    default: Any
    kind: type
    """``bool``, ``int``, ``float`` or ``str``; ``tuple`` for several texts."""
    optional: bool
    """Whether None (off) is allowed."""
    about: str
    """A phrase for help texts and forms."""
    words: tuple[str, ...] = ()
    """All allowed words, from a ``Literal`` type."""
    aliases: Collection[str] = ()
    """Other words, which the settings class replaces."""
    pattern: str = ""
    """A regular expression for the text."""
    examples: tuple[str, ...] = ()
    """Words to complete, where ``words`` cannot list all."""
    text: str = "a text"
    """The kind of text, as a phrase for messages."""
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    """Whether ``low`` itself is not allowed."""
    off: Any = None
    """The value that turns the setting off."""
    fixed: bool = False
    """Whether the setting cannot change after the start, such as of a run."""
    option: bool | str = False
    """Whether commands have an option for the setting; a string is a different name for the option."""
    metavar: str = ""
    """The placeholder of the value in the help of the option; empty: by type."""
    group: str = ""
    """The caption above it in forms, of the first setting of a group."""
    label: str = ""
    """The name in forms; empty: ``name`` with spaces."""
    form: str = ""
    """What it is in the few words that a row of a form has room for; empty: ``about``."""

    @property
    def option_name(self) -> str:
        """The name of its option on the command line, with the dashes."""
        return self.option if isinstance(self.option, str) else f"--{self.name.replace('_', '-')}"

    @property
    def opposite_name(self) -> str:
        """The same, of a flag that is to be off."""
        return f"--no-{self.option_name.removeprefix('--')}"

    @property
    def help(self) -> str:
        """``about`` as a sentence."""
        return f"{self.about[0].upper()}{self.about[1:]}."

    @property
    def takes(self) -> str:
        """What values it takes, as a phrase for messages, such as "a whole number of at least 1"."""
        if self.words:
            return " or ".join(self.words)
        if self.kind is bool:
            return "true or false"
        if self.kind in (str, tuple):
            return self.text
        phrase = "a whole number" if self.kind is int else "a number"
        if self.low is not None and self.high is not None:
            phrase += (
                f" above {self.low:,}, up to {self.high:,}" if self.open_low else f" from {self.low:,} to {self.high:,}"
            )
        elif self.low is not None:
            phrase += f" above {self.low:,}" if self.open_low else f" of at least {self.low:,}"
        return phrase + (" or none" if self.optional else "")

    @property
    def values(self) -> tuple[str, ...]:
        """The allowed words, such as ``true`` and ``none``, as :meth:`parse` reads them. Numbers are not listed, so the
        result may be empty."""
        listed = ("true", "false") if self.kind is bool else self.words or self.examples
        return (*listed, "none") if self.optional else listed

    @property
    def can_be_off(self) -> bool:
        """Whether a value turns the setting off."""
        return self.optional or self.off is not None

    def is_off(self, value: Any) -> bool:
        """Whether ``value`` turns it off."""
        return self.can_be_off and bool(value == self.off)

    def fits(self, value: Any) -> bool:
        """Whether it takes ``value``."""
        if value is None:
            return self.optional
        if self.words:
            return isinstance(value, str) and (value in self.words or value in self.aliases)
        if self.kind is bool:
            return isinstance(value, bool)
        if self.kind is str:
            return isinstance(value, str) and (not self.pattern or bool(re.fullmatch(self.pattern, value)))
        if self.kind is tuple:
            return isinstance(value, (list, tuple)) and all(isinstance(each, str) and each for each in value)
        numbers = int if self.kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, numbers) or not abs(value) < MOST:
            return False
        if self.low is not None and (value <= self.low if self.open_low else value < self.low):
            return False
        return self.high is None or bool(value <= self.high)

    def check(self, value: Any, error: type[CharLSTMError] = SettingsError) -> None:
        """Raise ``error``, which names the setting, the value and what the setting takes, unless it takes ``value``."""
        if not self.fits(value):
            raise error(f"{self.name} takes {self.takes}, not {value!r}")
        if self.kind is int and self.high is None and value is not None and value >= MAX_INTEGER:
            raise error(f"{self.name} takes whole numbers up to {MAX_INTEGER - 1:,}, not {value!r}")

    def parse(self, text: str) -> Any:
        """Read a value as people write it (``3e-3``, ``none``, ``true``, ``tail``). Raises :class:`SettingsError` as
        :meth:`check` does."""
        word = text.strip()
        if self.can_be_off and word.lower() in OFF_WORDS:
            return self.off
        value: Any = word
        try:
            if self.kind is bool:
                value = _FLAGS[word.lower()]
            elif self.kind is int:
                value = int(_whole_number(word))
            elif self.kind is float:
                value = float(word.replace("_", ""))
        except (ValueError, KeyError):
            raise SettingsError(f"{self.name} takes {self.takes}, not {word!r}") from None
        self.check(value)
        return value

    def write(self, value: Any, off: str = "off") -> str:
        """A value as people write it: the inverse of :meth:`parse`."""
        if self.is_off(value):
            return off
        if isinstance(value, bool):
            return str(value).lower()
        return number_words(value) if isinstance(value, float) else str(value)


def option_words(settings: Any, usual: Any) -> list[str]:
    """The options of a command that make ``usual`` settings these ``settings``, which are of the same class."""
    words: list[str] = []
    for name, each in setting_fields(type(settings)).items():
        value = getattr(settings, name)
        if value == getattr(usual, name):
            continue
        if each.kind is bool:
            words.append(each.option_name if value else each.opposite_name)
        else:
            words += [each.option_name, each.write(value)]
    return words


def number_words(value: float) -> str:
    """A number as people write it: with six digits where that reads back as the same, else with all that it needs."""
    return short if float(short := f"{value:g}") == value else repr(value)


def _whole_number(word: str) -> str:
    """``word`` without the commas between its thousands. Another comma, as in ``1,5``, stays and is refused."""
    thousands = re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", word)
    return word.replace(",", "") if thousands else word.replace("_", "")


def setting_fields(kind: type) -> dict[str, SettingField]:
    """The settings of a dataclass by name, in their order."""
    return _setting_fields(kind)


@functools.cache  # a list of runs needs them for every setting of every run
def _setting_fields(kind: type) -> dict[str, SettingField]:
    hints = typing.get_type_hints(kind)
    found = {}
    for each in fields(kind):
        if "about" not in each.metadata:
            continue
        hint = hints[each.name]
        union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
        kinds = typing.get_args(hint) if union else (hint,)
        literal = typing.get_args(kinds[0]) if typing.get_origin(kinds[0]) is Literal else ()
        declared = {"words": literal, **each.metadata}
        declared.setdefault("label", each.name.replace("_", " "))
        found[each.name] = SettingField(
            name=each.name,
            default=each.default,
            kind=str if literal else typing.get_origin(kinds[0]) or kinds[0],
            optional=type(None) in kinds,
            **declared,
        )
    return found


def check_settings(settings: Any, error: type[CharLSTMError] = SettingsError) -> None:
    """Raise ``error`` unless each setting of a dataclass has a value that it takes. Numbers become those of Python."""
    for name, each in setting_fields(type(settings)).items():
        value = arguments.of_python(getattr(settings, name))
        object.__setattr__(settings, name, value)  # it may be frozen
        each.check(value, error)


def unknown_setting(name: object, known: Collection[str]) -> str:
    """The end of a sentence about a setting that does not exist: the one that was probably meant, or all."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}"
