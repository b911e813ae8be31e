"""Changes of the text that is played, on the player's thread. Each can be undone."""

from __future__ import annotations

from collections.abc import Callable

from charlstm.errors import CharLSTMError, GenerationError
from charlstm.generation.editor import Editor
from charlstm.generation.sampling import next_seed
from charlstm.generation.session import Session
from charlstm_tui.player.playback import Playback
from charlstm_tui.player.typography import with_plain_marks

ALTERNATIVE_LENGTH = 80
"""Characters that follow another character at the cursor, at most: to the end of the line."""
MOST_SAME = 1000
"""Characters at which no other can be drawn, before regenerating gives up."""


class Cancelled(CharLSTMError):
    """The user cancelled it, or asked for something else meanwhile."""


def change(playback: Playback, editor: Editor, make: Callable[[], object], *, edited: bool = True) -> None:
    """Do something that may make another branch current, and find from where on the text is another. ``edited``: it is
    the user's work, for which the session is kept, unless it fails and changes nothing."""
    playback.stop()
    failed = True
    playback.continuations = None
    session = editor.session
    before = {branch.number: branch for branch in session.branches() if branch.current}
    length = len(session)
    try:
        make()
        failed = False
    except Cancelled:  # what was done by then stays
        failed = False
        raise
    finally:
        playback.edited |= edited and not failed
        branches = session.branches()
        after = {branch.number: branch for branch in branches if branch.current}
        changes = [
            branch.start
            for number, branch in {**before, **after}.items()
            if number not in before or number not in after
        ]
        playback.known_length = min([playback.known_length, length, len(session), *changes])
        playback.branches = tuple(branches)
        playback.unsaved = playback.changed = True


def edit(playback: Playback, editor: Editor, kind: str, make: Callable[[Session], object]) -> None:
    """Change the session; what stood there stays as a branch. A change that fails changes nothing."""

    def record_and_make() -> None:
        editor.join()
        with editor.changing(kind):
            make(editor.session)

    change(playback, editor, record_and_make)


def edit_at(playback: Playback, editor: Editor, kind: str, position: int, make: Callable[[Session], object]) -> None:
    """The same at ``position``; the cursor is behind the change then."""

    def move_and_make(session: Session) -> None:
        session.rewind(min(max(0, position), len(session)))
        make(session)

    edit(playback, editor, kind, move_and_make)


def move_to(playback: Playback, editor: Editor, position: int) -> None:
    """Stop, and put the cursor before the character at ``position``."""
    playback.stop()
    editor.move(min(max(0, position), len(editor)), undoable=not playback.writing)
    playback.continuations = None


def draw_again(playback: Playback, editor: Editor, position: int) -> None:
    """Put another character at ``position``, as another seed draws it, or at the first place after it where the
    settings allow another one. Raises :class:`CharLSTMError`, and changes nothing, if there is no such place."""

    def generate(session: Session) -> None:
        if session.position == len(session):
            session.seed = next_seed(session.seed)
            session.step()
            return
        for _ in range(MOST_SAME):
            seed = session.find_seed()
            if seed is not None:
                session.seed = seed
                session.step()
                return
            session.rewind(session.position + 1)
            if session.position == len(session):
                break
        raise GenerationError("With these settings the model writes the same again, whatever the seed.")

    edit_at(playback, editor, "regenerating", position, generate)


def show_alternative(playback: Playback, editor: Editor, direction: int, position: int) -> None:
    """Put the next less likely (1) or likelier (-1) character at ``position``, and what follows it."""

    def make() -> None:
        editor.move(min(max(0, position), len(editor)))
        if not editor.show_alternative(direction, ALTERNATIVE_LENGTH):
            playback.note = "The model has no likelier one." if direction < 0 else "That was the least likely one."

    change(playback, editor, make)


def put_in(
    playback: Playback,
    editor: Editor,
    text: str,
    stopped: Callable[[], bool],
    show: Callable[[], None],
    at: int | None = None,
    stop: int | None = None,
) -> None:
    """Put in the user's text, a long one in pieces: ``show`` is called as it grows, and ``stopped`` may end it, for
    which :class:`Cancelled` is raised. It goes in at the cursor, or with ``at`` there, in place of what follows up to
    ``stop`` or the end."""
    session = editor.session
    vocabulary = session.model.vocabulary
    text, plain = with_plain_marks(session.model.text_options.apply(text), vocabulary)

    def check(done: int) -> None:
        if done and stopped():
            raise Cancelled(f"Stopped after {done:,} of {len(text):,} characters.")
        if done:
            playback.changed = True
            show()

    def make() -> None:
        playback.known_length = min(playback.known_length, session.position if at is None else at)
        if at is None or stop is None:
            unknown = editor.insert(text, check, at=at)
        else:
            unknown = editor.replace(at, stop, text, check)
        notes = []
        if pairs := ", ".join(f"{mark} as {char}" for mark, char in plain.items() if mark.isprintable()):
            notes.append(f"Typographic marks that the model has never seen: {pairs}.")
        if unknown:
            names, replacement = ", ".join(map(repr, unknown)), vocabulary.replacement
            notes.append(
                f"The model has never seen {names}: left out."
                if replacement is None
                else f"The model has no symbol of its own for {names}: read as {replacement}."
            )
        playback.note = " ".join(notes)

    change(playback, editor, make)


def put_in_continuation(playback: Playback, editor: Editor, text: str) -> None:
    """Put in a continuation that the model offered; what followed stays while writing, else it stays as a branch."""
    if playback.writing:
        change(playback, editor, lambda: editor.put_generated(text, "continuing"))
    else:
        edit(playback, editor, "continuing", lambda session: session.put_generated(text))


def suggest_another(playback: Playback, place: int) -> None:
    """Suggest the one at ``place`` of several."""
    if not playback.suggestion():
        return
    playback.find_suggestions()
    playback.suggestion_place = place % len(playback.suggestions)
    if len(playback.suggestions) == 1:
        playback.note = "The model suggests nothing else with these settings."
