"""What a key does once the model or the disk has answered, as coroutines that the message loop goes on with.

A job runs at once up to where it awaits something, and goes on in the turn of the message loop in which that comes, so
that no other key comes between an answer and the change of the text. Whatever else is asked for meanwhile ends it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from charlstm.errors import CharLSTMError
from charlstm_tui.background import in_thread
from charlstm_tui.error_log import LOG, sentence
from charlstm_tui.player.model_thread import Question
from charlstm_tui.player.opening import PlayRequest
from charlstm_tui.player.text_editor import TextEditor

Args = ParamSpec("Args")
Job = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """What is looked for on the disk, for a request."""

    request: PlayRequest
    find: Callable[[], Any]


@types.coroutine
def wait_for(awaited: Question | Lookup) -> Generator[Question | Lookup, Any, Any]:
    """Let a job wait for an answer of the model, or for something on the disk, and return that."""
    return (yield awaited)


class HasJobs(Protocol):
    """What has jobs."""

    @property
    def jobs(self) -> Jobs: ...


Owner = TypeVar("Owner", bound=HasJobs)


def waits(method: Callable[Concatenate[Owner, Args], Job]) -> Callable[Concatenate[Owner, Args], None]:
    """Let a method that is a job be called like any other method."""

    def start(owner: Owner, *args: Args.args, **options: Args.kwargs) -> None:
        owner.jobs.go_on(method(owner, *args, **options))

    return wraps(method)(start)


class Jobs:
    """The jobs of a ``text``. ``spawn`` runs a coroutine on the message loop.

    Attributes:
        question: what a job asks the model.
        opening: the request for which a job looks for something on the disk.
        error: why nothing can be played.
    """

    def __init__(self, text: TextEditor, spawn: Callable[[Job], object]) -> None:
        self._text, self._spawn = text, spawn
        self.end()

    def end(self) -> None:
        """End all jobs."""
        self.question: Question | None = None
        self.opening: PlayRequest | None = None
        self.error = ""

    def cancel(self) -> bool:
        """Leave what is being opened, or what needs the model. Returns whether anything was left."""
        if self.opening is not None:
            self.opening = None
            self._text.say(failure="Stopped opening.")
        elif self.question is not None:
            self.question = None
        else:
            return False
        self._text.changed()
        return True

    def go_on(self, job: Job, found: Any = None) -> None:
        """Let a job go on with what was found, to where it awaits the next thing."""
        try:
            awaited: Question | Lookup = job.send(found)
        except StopIteration:
            return
        then = partial(self.go_on, job)
        self._text.begin(touches=isinstance(awaited, Question))
        if isinstance(awaited, Lookup):
            self.opening, self.error = awaited.request, ""
            self._text.publish()
            self._spawn(self._look(awaited, then))
            return
        if self._text.model is not None:
            self.question = replace(awaited, then=then)
        self._text.changed()
        self._text.bring_up_to_date()  # the next key may wait for the answer

    async def _look(self, lookup: Lookup, then: Callable[[Any], object]) -> None:
        """Look for something on another thread, and go on with it unless that is left meanwhile."""
        try:
            found = await in_thread(lambda check: lookup.find())
        except Exception as error:
            if self.opening is lookup.request:
                self.opening = None
                self._fail(error)
        else:
            if self.opening is lookup.request:
                self.opening = None
                then(found)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, CharLSTMError):
            LOG.error("Unexpected error while a text was opened", exc_info=error)
        words = sentence(error, "opening the text")
        if self._text.model is None:
            self.error = words
        else:
            self._text.say(failure=words)
        self._text.publish()
