"""What can be done with the text that is played: each is a value, which :meth:`Player.do` takes with its arguments.

They act on the text as it is when their turn comes. A place that the screen names carries the version of the text that
it was seen in (:class:`~charlstm_tui.player.playback.SeenPosition`), and is carried through the changes since.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from charlstm.display import plural, visible
from charlstm.errors import GenerationError
from charlstm.generation.clamp import Clamp
from charlstm.generation.document import own_text
from charlstm.generation.rows import CHOSEN, GENERATED, TYPED
from charlstm.generation.sampling import next_seed
from charlstm.text.sentences import sentence_ends
from charlstm_tui.actions import key_of
from charlstm_tui.formatting import shorten
from charlstm_tui.player.playback import LONGEST_SENTENCE, Playback, leave, read_as_words
from charlstm_tui.player.playback import Operation as Operation
from charlstm_tui.player.playback import SeenPosition as SeenPosition

ALTERNATIVE_LENGTH = 80
"""Characters that follow another character at the cursor, at most: to the end of the line."""
MOST_SAME = 1000
"""Characters at which no other can be drawn, before regenerating gives up."""

NO_SPACE_BEFORE = ",.;:!?)]}»”’…"
"""Marks that stand right after a word."""
BRANCH_NAME = 20
"""Characters of a branch's name that a message has."""


def to_cursor(playback: Playback, *arguments: Any) -> int:
    """The model has to have read up to the cursor."""
    return playback.document.cursor


def to_place(playback: Playback, place: SeenPosition, *arguments: Any) -> int:
    """The model has to have read up to the place that is the first argument."""
    return playback.place(place)


def to_end(playback: Playback, *arguments: Any) -> int:
    """The model has to have read all of the text."""
    return len(playback.document)


def _branch_off(playback: Playback, position: int, text: str, source: int = CHOSEN, **how: Any) -> None:
    """:meth:`Document.branch_off`, which takes what follows off the page: a note says how much, and where it is now."""
    document = playback.document
    before, number = document.text, document.branch
    document.branch_off(position, text, source, **how)
    left = len(before) - before.same_start(document.text, sources=False)
    if left > 1 and document.branch != number:
        branch = _branch_in_words(number, document.names.get(number, ""))
        branches, undo = key_of("generate.branches"), key_of("generate.undo")
        moved = f"{left:,} characters are on {branch} now: {branches} shows branches, {undo} undoes."
        playback.note = f"{playback.note} {moved}".lstrip()


def _branch_in_words(number: int, name: str) -> str:
    name = visible(name, keep="")
    return f"branch “{shorten(name, BRANCH_NAME)}”" if name else f"branch {number}"


# ---- generating


def _stream(playback: Playback, count: int) -> None:
    if playback.speed == 0:
        _generate_one(playback)
    else:
        playback.document.begin_generating()
        playback.stream(count)


def _generate_one(playback: Playback) -> None:
    playback.document.begin_generating(joins=True)
    playback.reader.generate()


def _regenerate(playback: Playback, place: SeenPosition) -> None:
    """Put another character at a place, as another seed draws it, or at the first place after it where the settings
    allow another one; the text streams on from there."""
    document, reader = playback.document, playback.reader
    position = playback.place(place)
    seed: int | None = next_seed(document.seed)
    if position < len(document):
        for position in range(position, min(len(document), position + MOST_SAME)):  # noqa: B020
            reader.read(position + 1)
            if (seed := reader.reading.other_seed(position)) is not None:
                break
    if seed is None:
        raise GenerationError("With these settings the model writes the same again, whatever the seed.")
    text = reader.reading.draw_at(position, seed)
    _branch_off(playback, position, text, GENERATED, kind="regenerating", seed=seed)
    document.go_on_generating()
    if playback.speed:
        playback.stream()


def _show_alternative(playback: Playback, direction: int, place: SeenPosition) -> None:
    """Put the next less likely (1) or likelier (-1) character at a place, and continue it to the end of the line, if it
    was not there before. Without a character there, the likeliest one is put there."""
    document, reader = playback.document, playback.reader
    position = playback.place(place, stays=True)
    chars = [one.char for one in reader.distribution(position, len(playback.model.vocabulary)).alternatives]
    here = document.text.read(position, position + 1)
    number = chars.index(here) + direction if here in chars else 0
    if not 0 <= number < len(chars):
        playback.note = "The model has no likelier one." if direction < 0 else "That was the least likely one."
        return
    document.move(position)
    _branch_off(playback, position, chars[number], kind="showing alternatives", joins=True)
    if document.cursor == len(document):
        document.go_on_generating()
        reader.read(len(document))
        char = chars[number]
        for _ in range(ALTERNATIVE_LENGTH):
            if char == "\n":
                break
            char = reader.generate()
    document.put_cursor(position)


def _joint(playback: Playback, text: str) -> str:
    """The white space that is missing between ``text`` and what follows, when it is put in at the cursor: before a
    paragraph or a line as many line breaks as stand before that, else a space."""
    document = playback.document
    before = document.text.read(max(0, document.cursor - 2), document.cursor)
    after = document.text.read(document.cursor, document.cursor + 2)
    if not text or not after:
        return ""
    vocabulary = playback.model.vocabulary
    breaks = 1 if not document.cursor else len(before) - len(before.rstrip("\n"))
    if breaks and "\n" in vocabulary:
        there = len(text) - len(text.rstrip("\n")) + len(after) - len(after.lstrip("\n"))
        return "\n" * max(0, breaks - there)
    if text[-1].isspace() or after[0].isspace() or after[0] in NO_SPACE_BEFORE or " " not in vocabulary:
        return ""
    wide = any(unicodedata.east_asian_width(char) in "WF" for char in (text[-1], after[0]))
    return "" if wide else " "  # scripts with wide characters have no spaces between words


def _put_in_continuation(playback: Playback, text: str) -> None:
    """Put in a continuation that this model, or another one in Duel, offered; what followed stays while writing, else
    it stays as a branch. The cursor is behind the continuation then."""
    if not (text := _own(playback, text)):
        return
    document = playback.document
    if playback.writing:
        end = document.cursor + len(text)
        document.insert(text + _joint(playback, text), GENERATED, kind="continuing")
        document.put_cursor(end)
    else:
        _branch_off(playback, document.cursor, text, GENERATED, kind="continuing")


def _put_in_sentence(playback: Playback, text: str, count: int, first: int) -> None:
    """Put in a continuation, which goes on to the end of its first sentence."""
    sentence = playback.to_sentence_end(text, count, first)
    end = next(sentence_ends(sentence), None)
    _put_in_continuation(playback, sentence[:end])
    if end is None:
        playback.note = f"No sentence ended within {LONGEST_SENTENCE} characters. {playback.note}".rstrip()


STREAM = Operation(_stream, reads=lambda playback, count: 0 if playback.speed else to_end(playback), edits=False)
"""Stream so many characters at the end of the text; at speed 0 generate one."""
PAUSE = Operation(lambda playback: None, edits=False)
"""Stop streaming."""
GENERATE_ONE = Operation(_generate_one, reads=to_end, edits=False)
"""Generate one character at the end of the text."""
REGENERATE = Operation(_regenerate, reads=to_place, edits=False)
"""Stream other text from a place on; the old one stays as a branch."""
ALTERNATIVE = Operation(_show_alternative, reads=lambda playback, direction, place: playback.place(place, stays=True))
"""Show the next less likely (1) or likelier (-1) character at a place, as a branch. The place stays before what the one
asked for just before put there."""
CONTINUATIONS = Operation(
    lambda playback, *how: playback.find_continuations(*how), reads=to_cursor, edits=False, unread=leave
)
"""Find continuations at the cursor (:meth:`Playback.find_continuations`)."""
PUT_IN = Operation(_put_in_continuation)
"""Put in one of the continuations."""
PUT_IN_SENTENCE = Operation(
    _put_in_sentence, reads=to_cursor, unread=lambda playback, text, *which: _put_in_continuation(playback, text)
)
"""Put in one of so many continuations from a number on, to the end of its first sentence."""


# ---- moving


def _move_by_word(playback: Playback, direction: int) -> None:
    document = playback.document
    word = document.word_after() if direction > 0 else -document.word_before()
    _move(playback, document.cursor + word)


def _move(playback: Playback, position: int) -> None:
    first = 0 if playback.writing else playback.document.prime_length  # the prime is entered by a writer only
    playback.document.move(max(first, position), undoable=not playback.writing)


MOVE_TO = Operation(lambda playback, place: _move(playback, playback.place(place)), edits=False)
"""Put the cursor at a place."""
SHOW_PLACE = Operation(
    lambda playback, place: playback.document.move(playback.place(place), undoable=False), edits=False
)
"""Put the cursor at a place that was found; undo passes over it."""
MOVE_BY = Operation(lambda playback, by: _move(playback, playback.document.cursor + by), edits=False)
"""Move the cursor by so many characters."""
MOVE_BY_WORD = Operation(_move_by_word, edits=False)
"""Move the cursor to the beginning of the word before it (-1) or the end of the next one (1)."""
MOVE_TO_END = Operation(lambda playback: _move(playback, len(playback.document)), edits=False)
"""Put the cursor at the end of the text."""


# ---- writing


def _insert(playback: Playback, text: str) -> None:
    playback.document.insert(_own(playback, text))


def _paste(
    playback: Playback, clipboard: str, cuts: int, start: SeenPosition | None = None, stop: SeenPosition | None = None
) -> None:
    text = clipboard if playback.cuts == cuts else playback.cut
    if start is not None and stop is not None:
        _replace(playback, start, stop, text)
    else:
        _insert(playback, text)


def _replace(playback: Playback, start: SeenPosition, stop: SeenPosition, text: str = "") -> None:
    first, last = playback.place(start), playback.place(stop, stays=True)
    playback.document.replace(first, max(first, last), _own(playback, text))


def _replace_found(
    playback: Playback, pattern: re.Pattern[str], text: str, place: SeenPosition | None, origin: SeenPosition
) -> None:
    """Replace what ``pattern`` finds: at ``place``, or everywhere; then the cursor is at ``origin``, where the search
    began, before and after."""
    document = playback.document
    here = document.text.read()
    if place is None:
        spans = [found.span() for found in pattern.finditer(here)]
    else:
        found = pattern.match(here, playback.place(place))
        spans = [] if found is None else [found.span()]
    if not spans:
        playback.note = "Nothing was found to replace."
        return
    own = _own(playback, text)
    if place is None:
        document.move(playback.place(origin), undoable=False)
    document.replace_all(spans, own)
    if place is not None:
        document.put_cursor(spans[0][0] + len(document.text) - len(here) + spans[0][1] - spans[0][0])
    replaced = f"Replaced {plural(len(spans), 'place')}; {key_of('generate.undo')} undoes."
    playback.note = f"{replaced} {playback.note}".rstrip()


def _cut(playback: Playback, start: SeenPosition, stop: SeenPosition) -> None:
    first, last = playback.place(start), playback.place(stop, stays=True)
    _take_out(playback, first, max(first, last))


def _cut_rest(playback: Playback) -> None:
    document = playback.document
    if document.cursor == len(document):
        playback.note = "There is nothing after the cursor."
    _take_out(playback, document.cursor, len(document))


def _take_out(playback: Playback, start: int, stop: int) -> None:
    if start < stop:
        playback.cut = playback.document.text.read(start, stop)
        playback.cuts += 1
        playback.document.replace(start, stop)


def _erase_word(playback: Playback, direction: int) -> None:
    document = playback.document
    if direction > 0:
        document.erase(after=document.word_after())
    else:
        document.erase(before=document.word_before())


def _insert_at(playback: Playback, text: str, place: SeenPosition) -> None:
    if own := _own(playback, text):
        _branch_off(playback, playback.place(place), own, TYPED, kind="typing", whole=False)


def _accept(playback: Playback, text: str) -> None:
    playback.accept(text)


def _own(playback: Playback, text: str) -> str:
    """A text of the user's as the document takes it; of a longer one a note says what the model reads otherwise."""
    text = own_text(text)
    playback.note = read_as_words(text, playback.model.vocabulary) if len(text) > 1 else ""
    return text


INSERT = Operation(_insert)
"""Put the user's own text in at the cursor; what follows stays."""
PASTE = Operation(_paste)
"""Put the clipboard in at the cursor, or in the place of the characters from one place to another; or what was cut
last, where more was cut than so many times and the clipboard does not have it yet."""
REPLACE = Operation(_replace)
"""Put the user's own text, or nothing, in the place of the characters from one place to another; what follows stays."""
REPLACE_FOUND = Operation(_replace_found)
"""Put the user's own text in the place of what a pattern finds, at a place or everywhere, as one change."""
CUT = Operation(_cut)
"""Take out the characters from one place to another, for the clipboard."""
CUT_REST = Operation(_cut_rest)
"""Take out what stands after the cursor, for the clipboard."""
ERASE = Operation(lambda playback, before, after: playback.document.erase(before, after))
"""Remove so many characters before the cursor and after it."""
ERASE_WORD = Operation(_erase_word)
"""Remove the word before the cursor (-1) or after it (1)."""
INSERT_AT = Operation(_insert_at)
"""Put the user's own text at a place; the text from there on stays as a branch."""
ACCEPT = Operation(_accept)
"""Put the beginning of the suggestion into the text."""
ANOTHER_SUGGESTION = Operation(
    lambda playback, direction: playback.suggest_another(playback.suggestion_place + direction), to_cursor,
    edits=False, unread=leave,
)  # fmt: skip
"""Suggest the next (1) or previous (-1) of several."""
SHOW_SUGGESTION = Operation(
    lambda playback, place: playback.suggest_another(place), reads=to_cursor, edits=False, unread=leave
)
"""Suggest the one at a place of several."""


SUGGEST_WITH = Operation(lambda playback, *copy: playback.suggest_with(*copy), edits=False, stops=False)
"""Suggest with a copy of the model that has learnt from the text, or with the model itself."""


def _set_writing(playback: Playback, writing: bool) -> None:
    playback.writing = writing
    document = playback.document
    if not writing and document.cursor < document.prime_length:
        document.move(document.prime_length, undoable=False)


SET_WRITING = Operation(_set_writing, edits=False)
"""Begin or end writing: at the end of the text there is a suggestion of how it could continue."""


# ---- choosing and branches


def _choose(playback: Playback, chars: str, place: SeenPosition) -> None:
    if playback.writing:
        playback.document.move(playback.place(place), undoable=False)
        playback.document.insert(chars, CHOSEN, kind="choosing")
    else:
        _branch_off(playback, playback.place(place), chars, CHOSEN, kind="choosing")


CHOOSE = Operation(_choose)
"""Put characters at a place; what follows stays while writing, else it stays as a branch."""
SWITCH = Operation(lambda playback, number: playback.document.switch(number))
"""Make a branch the current text."""


def _prune(playback: Playback, number: int) -> None:
    document = playback.document
    before = document.list_branches()
    document.prune(number)
    pruned = next(each for each in before if each.number == number)
    others = len(before) - len(document.branches) - 1
    branch = _branch_in_words(number, pruned.name)
    size = plural(pruned.stop - pruned.start, "character")
    also, it = (f" and {others} that parted from it", "them") if others else ("", "it")
    playback.note = f"Pruned {branch} ({size}){also}: {key_of('generate.undo')} brings {it} back."


PRUNE = Operation(_prune)
"""Remove a branch and all that parted from it."""
RENAME = Operation(lambda playback, number, name: playback.document.rename(number, name))
"""Give a branch a name."""


def _undo(playback: Playback) -> None:
    kind = playback.document.undo()
    playback.note = f"Undone: {kind}." if kind else "There is nothing to undo."


def _redo(playback: Playback) -> None:
    kind = playback.document.redo()
    playback.note = f"Done again: {kind}." if kind else "There is nothing to redo."


UNDO = Operation(_undo)
"""Go back before the last change of the text, the cursor or the branches."""
REDO = Operation(_redo)
"""Make the last change again that was undone."""


def _change_clamps(playback: Playback, change: Callable[[tuple[Clamp, ...]], tuple[Clamp, ...]]) -> None:
    playback.reader.clamps = tuple(change(playback.reader.clamps))


CHANGE_CLAMPS = Operation(_change_clamps, edits=False, stops=False)
"""Hold other cells, from the next character on."""
