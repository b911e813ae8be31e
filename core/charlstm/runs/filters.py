"""Filter runs by expressions such as ``lr<0.01 text=anna state=finished tag=good``.

An expression is NAME, an operator and VALUE without spaces between them; all expressions must hold. The operators are
``=``, ``!=``, ``<``, ``<=``, ``>`` and ``>=``. Numbers are compared as numbers. ``=`` asks whether name, text, preset,
state, tag or note contain the value, regardless of case; settings have to be equal. A word without an operator must be
part of the run's name or its text's.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from charlstm.runs.folder import Run
from charlstm.runs.notes import Notes
from charlstm.runs.status import RunStatus
from charlstm.training.settings import Settings

FACTS = ("name", "text", "preset", "state", "tag", "note", "best", "steps", "minutes", "mb")
"""What can be asked besides the settings: ``best`` in the unit that :func:`run_facts` is given, ``minutes`` of work,
``mb`` on disk."""
NAMES = (*FACTS, *(field.name for field in fields(Settings)))
NUMBERS = frozenset({"best", "steps", "minutes", "mb"})
WORDS = frozenset(FACTS) - NUMBERS

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip
_TERM = re.compile(r'(?P<name>\w+)(?P<operator><=|>=|!=|<|>|=)(?P<value>"[^"]*"?|\S*)|(?P<word>"[^"]*"?|\S+)')


@dataclass(frozen=True, slots=True)
class _Term:
    name: str
    operator: str
    value: str

    @property
    def number(self) -> float | None:
        """The value as a number, ``None`` when it is none."""
        return _number(self.value)

    def holds(self, facts: Mapping[str, object]) -> bool:
        fact = facts.get(self.name)
        if isinstance(fact, (int, float)) and not isinstance(fact, bool) and self.number is not None:
            return math.isfinite(fact) and _OPERATORS[self.operator](float(fact), self.number)
        if self.operator not in ("=", "!="):
            return False
        known = [str(each) for each in fact] if isinstance(fact, tuple) else [_spelled(fact)]
        if self.name in WORDS:
            found = any(self.value in each.casefold() for each in known)
        else:
            found = any(self.value == each.casefold() for each in known)
        return found == (self.operator == "=")


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Terms that all have to hold, and words that must all be part of the name or the text."""

    terms: tuple[_Term, ...] = ()
    words: tuple[str, ...] = ()
    problem: str = ""
    """Why a part of what was typed was left out; empty when none was."""

    @property
    def asks_for_best(self) -> bool:
        """Whether the best loss is compared with a number, whose unit has to be known."""
        return any(term.name == "best" for term in self.terms)

    def matches(self, facts: Mapping[str, object]) -> bool:
        """Whether a run with these facts (see :func:`run_facts`) passes."""
        names = f"{facts.get('name', '')}\n{facts.get('text', '')}".casefold()
        return all(word in names for word in self.words) and all(term.holds(facts) for term in self.terms)


def parse_filter(text: str) -> RunFilter:
    """The filter that a person typed; an empty one passes every run.

    An expression with an unknown name, without a value, or with one that is not a number where one is needed is left
    out, and the filter's ``problem`` says why in one sentence.
    """
    terms, words, problem = [], [], ""
    for match in _TERM.finditer(text):
        if (word := match["word"]) is not None:
            words.append(word.strip('"').casefold())
            continue
        term = _Term(match["name"].casefold(), match["operator"], match["value"].strip('"').casefold())
        if found := _problem(term):
            problem = problem or found
        else:
            terms.append(term)
    return RunFilter(tuple(terms), tuple(words), problem)


def _problem(term: _Term) -> str:
    """What is wrong with an expression; empty when nothing is."""
    name = term.name
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        known = "it may be a setting such as lr, or text, state, best or tag."
        return f"There is nothing called {name} to filter by; " + (f"did you mean {near[0]}?" if near else known)
    if not term.value:
        return f"{name}{term.operator} needs a value, such as {_example(name)}."
    orders = term.operator not in ("=", "!=")
    if orders and name in WORDS:
        return f"{name} is not a number: write {name}={term.value}."
    if term.number is None and (name in NUMBERS or orders):
        return f"{name} is compared with a number, such as {_example(name)}."
    return ""


def run_facts(
    run: Run,
    status: RunStatus,
    text: str,
    preset: str,
    settings: Settings | None,
    notes: Notes,
    size: int,
    *,
    bits: bool = False,
) -> dict[str, object]:
    """What a filter can ask of a run, by name. ``best`` is in nats per character, or in ``bits``."""
    best = status.loss
    return {
        "name": run.name,
        "text": text,
        "preset": preset,
        "state": status.state,
        "tag": notes.tags,
        "note": notes.note,
        "best": best / math.log(2) if bits and best is not None else best,
        "steps": status.step,
        "minutes": status.work_seconds / 60,
        "mb": size / 1e6,
        **({} if settings is None else settings.to_dict()),
    }


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _spelled(fact: object) -> str:
    return "none" if fact is None else f"{fact:g}" if isinstance(fact, float) else str(fact)


def _example(name: str) -> str:
    examples = {"text": "text=anna", "state": "state=finished", "best": "best<1.5", "lr": "lr<0.01", "tag": "tag=good"}
    return examples.get(name) or (f"{name}=word" if name in WORDS else f"{name}=1")
