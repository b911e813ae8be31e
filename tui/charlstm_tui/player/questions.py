"""What is asked about a text that a model has read up to a position; called on the thread that generates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from charlstm.generation.reading import Continuation
from charlstm.generation.sampling import next_seed
from charlstm.text.sentences import sentence_ends
from charlstm_tui.player.edits import LONGEST_SENTENCE, as_suggestion
from charlstm_tui.player.model_thread import SUGGESTION_LENGTH, Work
from charlstm_tui.player.played import Continuations

MOST_SAME = 1000
"""Characters at which no other can be drawn, before regenerating gives up."""
LONGEST_LINE = 80
"""Characters that follow another character at the cursor, at most: to the end of the line."""
SUGGESTIONS = 6
"""Suggestions to choose from, at most."""
SUGGESTIONS_TRIED = 16
"""Continuations that are generated for them: those with the same first word are one suggestion."""


def other_char(work: Work, position: int) -> tuple[int, int, str] | None:
    """Another character, with its position and the seed that draws it: at ``position``, or at the first one after it
    where the settings allow another one."""
    reading, length, seed = work.reading, len(work.order.text), next_seed(work.order.recipe.seed)
    if position >= length:
        return position, seed, reading.draw_at(position, seed)
    for at in range(position, min(length, position + MOST_SAME)):
        reading.read(at + 1, work.check)
        if (other := reading.other_seed(at)) is not None:
            return at, other, reading.draw_at(at, other)
    return None


def likely_chars(work: Work, position: int) -> list[str]:
    """All characters that could come at a position, the likeliest first."""
    found = work.reading.distribution(position, len(work.reading.model.vocabulary))
    return [one.char for one in found.alternatives]


def rest_of_line(work: Work) -> str:
    """What is generated at the end of the text up to the end of the line."""
    chars = list[str]()
    while len(chars) < LONGEST_LINE and chars[-1:] != ["\n"]:
        chars.append(work.reading.draw())
    return "".join(chars)


def continuations(work: Work, count: int, length: int, lines: int, first: int) -> Continuations:
    """``count`` texts that could come at the cursor, which are handed over while they grow too."""
    known = partial(Continuations, first)
    found = work.ways_on(
        work.order.cursor, count, length, first=first, lines=lines,
        grown=lambda found: work.tell(known(tuple(found), complete=False)),
    )  # fmt: skip
    return known(tuple(found), complete=True)


def to_sentence(work: Work, text: str, count: int, first: int) -> str:
    """The one of ``count`` continuations from number ``first`` on that begins with ``text``, as far as its first
    sentence goes."""
    grown = partial(_has_sentence, text)
    return _longer(text, work.ways_on(work.order.cursor, count, LONGEST_SENTENCE, first=first, grown=grown))


def _longer(text: str, found: Sequence[Continuation]) -> str:
    """The continuation that begins with ``text``; ``text`` itself while there is none."""
    return next((each.text for each in found if each.text.startswith(text)), text)


def _has_sentence(text: str, found: Sequence[Continuation]) -> bool:
    return next(sentence_ends(_longer(text, found)), None) is not None


def suggestions(work: Work, known: Sequence[str]) -> list[str]:
    """Suggestions at the cursor, each with another first word; those that are ``known`` come first."""
    texts = [*known] or [work.suggest()]
    cursor, length = work.order.cursor, len(work.order.text)
    found = work.ways_on(cursor, SUGGESTIONS_TRIED, SUGGESTION_LENGTH)
    texts += [as_suggestion(each.text, within=cursor < length) for each in found]
    by_word = {" ".join(text.split()[:1]): text for text in reversed(texts) if text.strip()}
    different = [text for text in texts if text in by_word.values()]
    return list(dict.fromkeys([texts[0], *different]))[:SUGGESTIONS]
