"""A text on the message loop: keys change it at once, and what a model makes of it comes later.

The :class:`TextPlayer` has the text (:class:`~charlstm.generation.document.Document`), shows it, gives it to the saver,
and places an :class:`~charlstm_tui.player.model_thread.Order` for what is wanted of the model. A batch that comes back
belongs to exactly one order. If that order no longer stands, the batch is dropped: text that was generated and not
shown is generated again from the same seed. All methods are called on the message loop, unless they say something else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec

from charlstm.errors import GenerationError
from charlstm.generation import reading_cache, session_file
from charlstm.generation.clamp import Clamp, existing_clamps
from charlstm.generation.document import Document
from charlstm.generation.recipe import Recipe
from charlstm.generation.rows import CHOSEN, GENERATED, NO_DISTRIBUTION, NextCharDistribution
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_file import SessionState
from charlstm.model.file import Model
from charlstm.text.sentences import sentence_ends
from charlstm_tui.player import questions
from charlstm_tui.player.edits import LONGEST_SENTENCE, read_as
from charlstm_tui.player.found_text import FoundText, find_text
from charlstm_tui.player.jobs import Jobs, Lookup, wait_for, waits
from charlstm_tui.player.model_thread import Batch, ModelThread, Order, Orders, Question, Stream
from charlstm_tui.player.opening import (
    LearntModel,
    LoadedModel,
    ModelFacts,
    OpenText,
    PlayRequest,
    load,
    model_beside,
)
from charlstm_tui.player.played import NORMAL_SPEED, PAUSE_AFTER, Continuations, Played
from charlstm_tui.player.saved_sessions import export_as
from charlstm_tui.player.session_saver import SessionSaver
from charlstm_tui.player.shown_text import Display, ShownText
from charlstm_tui.player.suggestions import Suggestions
from charlstm_tui.player.text_editor import TextEditor
from charlstm_tui.player.text_saving import SavedWork, TextSaving

Args = ParamSpec("Args")


@dataclass(frozen=True, slots=True)
class _Computed:
    """What the thread computed last for a text: what could come at the cursor and what that depends on, a sentence
    about what is being read, and characters per second while text streams."""

    distribution: NextCharDistribution = NO_DISTRIBUTION
    basis: tuple[object, ...] = ()
    progress: str = ""
    rate: float | None = None


class TextPlayer(TextEditor):
    """A text, its model, and how the text is generated.

    Args:
        thread: computes what is wanted; ``number`` is the number of the text in the thread.
        display: shows the text.
        changed: called with each new :class:`Played`; ``touched`` when a person asks for something.
        spawn: runs a coroutine; ``post`` calls something on the loop, from any thread.
        before_draw: calls something on the loop before the next picture, once for several keys that come together.
        saver: writes the text; ``None``: it is not saved.
        known: models that are loaded already.

    Attributes:
        document: the text; ``open_text`` is what else is known of it, or ``None`` while there is no text.
        played: the last value that was published for the views.
    """

    def __init__(
        self,
        thread: ModelThread,
        number: int,
        display: Display,
        changed: Callable[[Played], object],
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        post: Callable[[Callable[[], object]], object],
        before_draw: Callable[[Callable[[], object]], object] = lambda act: act(),
        touched: Callable[[], object] = lambda: None,
        saver: SessionSaver | None = None,
        known: Callable[[], Iterable[LoadedModel]] = tuple,
    ) -> None:
        super().__init__()
        self._orders, self._changed_to = Orders(thread, number), changed
        self.before_draw, self._touched, self._known = before_draw, touched, known
        self._saving = None if saver is None else TextSaving(saver, lambda: post(self.publish))
        self.open_text: OpenText | None = None
        self.recipe, self.speed = Recipe(), NORMAL_SPEED
        self.learnt: LearntModel | None = None
        self.played = Played(0, PlayRequest(""))
        self._session_id = 0
        self.jobs = Jobs(self, spawn)
        self._stream: Stream | None = None
        self._shown = ShownText(display)
        self._computed = _Computed()
        self._suggestions = Suggestions()
        self._is_behind = False  # whether orders, saving and ``played`` lack the last changes

    # ---- what views ask

    @property
    def model(self) -> Model | None:
        """The model, which is never modified."""
        return None if self.open_text is None else self.open_text.loaded.model

    @property
    def file(self) -> Path | None:
        """The file of the text."""
        return None if self._saving is None or self.open_text is None else self._saving.file(self.open_text)

    @property
    def running(self) -> bool:
        """Whether text is generated."""
        return self._stream is not None

    @property
    def keys_wait(self) -> bool:
        """Whether a change of the text needs the model first: what is typed meanwhile comes afterwards."""
        return self.jobs.question is not None and self.jobs.question.changes_text

    # ---- opening

    @waits
    async def open(self, request: PlayRequest, clamps: Sequence[Clamp] | None = None) -> None:
        """Play what ``request`` names, with its held cells or with ``clamps``. An opening that goes on is left."""
        self.bring_up_to_date()
        about, document = self.open_text, self.document.copy()
        file = partial(self._leave, about)
        find = partial(find_text, request, about, document, file, self._saving, self._known)
        found = await wait_for(Lookup(request, find))
        self._begin_text(found, request.clamps if clamps is None else clamps)

    def cancel(self) -> bool:
        """Leave what is being opened, or what needs the model. Returns whether anything was left."""
        return self.jobs.cancel()

    def close_text(self) -> None:
        """End the text."""
        self.open_text = self._stream = None
        self.jobs.end()
        self.document = Document()
        self._orders.forget()

    def _begin_text(self, found: FoundText, clamps: Sequence[Clamp]) -> None:
        about, saved = found.about, found.saved
        known = self.open_text
        if known is not None and known.edited and about.key == known.key and self._saving is not None:
            about = replace(about, key=self._saving.new_key())  # the text was written in meanwhile: its file stays
        request = about.request
        self.speed = self.speed if request.speed is None else request.speed
        document, recipe, note = found.begin(self.recipe.settings, clamps)
        self._play(document, about, recipe)
        if self._saving is not None:
            self._saving.begin(about, self._work(), saved)
        self.say(note)
        if request.stream and self.speed > 0:
            self._stream = Stream(self.speed, request.to_sentence or PAUSE_AFTER, self._ends_with_sentence)
        self.changed()

    def _play(self, document: Document, about: OpenText, recipe: Recipe) -> None:
        """Let this be the text from now on, with its model; all of it is shown anew."""
        clamps = existing_clamps(recipe.clamps, about.loaded.model.config)
        self.document, self.open_text, self.recipe = document, about, replace(recipe, clamps=clamps)
        self._session_id += 1
        self._orders.clear()
        self._stream = None
        self.jobs.end()
        self.learnt = None
        self._computed = _Computed()
        self._suggestions = Suggestions()
        self._shown.begin(document.prime_length)

    @waits
    async def load_checkpoint(self, by: int) -> None:
        """Go on with the run's model that is so many later than the one that is played, or earlier where ``by`` is
        negative (:meth:`load_model_of_run`)."""
        await self._load_of_run(lambda facts, run: model_beside(run, facts.step or 0, by))

    @waits
    async def load_model_of_run(self, step: int | None) -> None:
        """Go on with the model of the run after ``step`` steps, or with its best one. A text in which the user had a
        part stays, and the other model reads it; other text begins again from its prime, with the same seed."""
        await self._load_of_run(lambda facts, run: step)

    async def _load_of_run(self, choose: Callable[[ModelFacts, Path], int | str | None]) -> None:
        """Go on with the model of the run after as many steps as ``choose`` finds, or say why there is none."""
        about, document = self.open_text, self.document
        if about is None or about.facts.run is None or self.jobs.opening is not None:
            return
        facts, run = about.facts, about.facts.run
        self._touched()
        step = await wait_for(Lookup(about.request, lambda: choose(facts, run)))
        if isinstance(step, str):
            self.say(step)
            self.publish()
            return
        request = about.request.with_text(document, model_name=str(run), step=step)
        if document.is_edited:
            await self._use_model(request)
        else:
            self.open(replace(request, stream=True, session=None), self.recipe.clamps)

    @waits
    async def go_on_with(self, model_name: str, step: int | None, runs_dir: Path | None) -> None:
        """Go on with the same text in another model: its branches, its history and who wrote it stay."""
        if self.open_text is not None:
            model = {"model_name": model_name, "step": step, "runs_dir": runs_dir}
            await self._use_model(self.open_text.request.with_text(self.document, **model), "The text goes on with {}.")

    async def _use_model(self, request: PlayRequest, note: str = "") -> None:
        """Let another model read the text and go on with it."""
        loaded, facts = await wait_for(Lookup(request, lambda: load(request, [*self._known()])))
        assert self.open_text is not None
        about = replace(self.open_text, request=request, loaded=loaded, facts=facts, closed=None)
        self._play(self.document, about, self.recipe)
        self.say(note.format(facts.name))
        self.changed()

    # ---- generating

    def stream(self, count: int | None = None) -> None:
        """Generate so many characters at the end of the text, or until it pauses by itself; at speed 0 one."""
        if not self.speed:
            self.generate_one()
            return
        self.begin()
        if self.open_text is not None:
            self.document.begin_generating()
            self._stream = Stream(self.speed, count or PAUSE_AFTER, self._ends_with_sentence)
        self.changed()

    def stream_unit(self) -> None:
        """Generate to the end of a unit at the end of the text: of the one that has begun, or of a new one."""
        self.begin()
        if self.open_text is not None:
            self.document.begin_generating()
            self._stream = Stream(self.speed or NORMAL_SPEED, 1, to_unit=True)
        self.changed()

    @property
    def _ends_with_sentence(self) -> bool:
        return self.open_text is not None and self.open_text.request.to_sentence is not None

    def pause(self) -> None:
        """Stop generating. The text ends with the last character that was shown."""
        self.begin()
        self.changed()

    @waits
    async def generate_one(self) -> None:
        """Generate one character at the end of the text."""
        char = await wait_for(Question(len(self.document), lambda work: work.reading.draw()))
        with self._changing(edits=False) as document:
            document.generate_one(char)

    @waits
    async def regenerate(self, position: int) -> None:
        """Put another character at a position, as another seed draws it, or at the first later one where the settings
        allow another character; the text streams on from there."""
        found = await wait_for(Question(position, partial(questions.other_char, position=position)))
        with self._changing(edits=False) as document:
            if found is None:
                raise GenerationError("With these settings the model writes the same again, whatever the seed.")
            at, seed, char = found
            self._branch_off(at, char, GENERATED, kind="regenerating", seed=seed)
            document.go_on_generating()
            if self.speed:
                self._stream = Stream(self.speed, PAUSE_AFTER, self._ends_with_sentence)

    @waits
    async def alternative(self, direction: int, position: int) -> None:
        """Put the next less likely (1) or likelier (-1) character at a position, or at the end the likeliest, and
        continue it to the end of the line, if it was not there before."""
        chars = await wait_for(Question(position, partial(questions.likely_chars, position=position)))
        here = self.document.text.read(position, position + 1)
        number = chars.index(here) + direction if here in chars else 0
        if not 0 <= number < len(chars):
            self.say("The model has no likelier one." if direction < 0 else "That was the least likely one.")
            self.changed()
            return
        with self._changing() as document:
            document.move(position)
            self._branch_off(position, chars[number], CHOSEN, kind="showing alternatives", joins=True)
            note = self._outcome.note
            if document.cursor == len(document):
                document.go_on_generating()
            document.put_cursor(position)
        if position + 1 == len(document) and chars[number] != "\n":
            line = await wait_for(Question(len(document), questions.rest_of_line))
            with self._changing() as document:
                document.generate(line)
                document.put_cursor(position)
                self.say(note)

    @waits
    async def ways_on(
        self, count: int, length: int, lines: int, first: int, show: Callable[[Continuations], object]
    ) -> None:
        """Find ``count`` texts that could come at the cursor, from number ``first`` on, each of at most so many
        characters and lines. ``show`` is called with them while they grow; :meth:`cancel` ends it."""
        find = partial(questions.continuations, count=count, length=length, lines=lines, first=first)
        show(await wait_for(Question(self.document.cursor, find, changes_text=False, grown=show)))

    @waits
    async def put_in_sentence(self, text: str, count: int, first: int) -> None:
        """Put in one of ``count`` continuations at the cursor from number ``first`` on, which goes on to the end of its
        first sentence."""
        find = partial(questions.to_sentence, text=text, count=count, first=first)
        longer = await wait_for(Question(self.document.cursor, find))
        end = next(sentence_ends(longer), None)
        self.put_in(longer[:end], "" if end else f"No sentence ended within {LONGEST_SENTENCE} characters.")

    # ---- how it is generated

    def _let_stream(self, stream: Stream | None) -> None:
        """Generate this from now on, or nothing; how fast that is, is measured anew."""
        self._stream, self._computed = stream, replace(self._computed, rate=None)

    def change_settings(self, settings: SamplerSettings) -> None:
        """Choose characters with other settings, from the next one on."""
        self.recipe = replace(self.recipe, settings=settings)
        self.changed()

    def change_clamps(self, clamps: Iterable[Clamp]) -> None:
        """Hold other cells, from the next character on."""
        self._touched()
        self.recipe = replace(self.recipe, clamps=tuple(clamps))
        self.changed()

    def change_speed(self, speed: float) -> None:
        """Stream at another speed."""
        self.speed = speed
        if self._stream is not None:
            self._let_stream(replace(self._stream, speed=self.speed) if self.speed else None)
        self.changed()

    # ---- suggestions

    @property
    def suggests(self) -> bool:
        """Whether there is to be a suggestion: at the end of a line of a text that is written."""
        document, cursor = self.document, self.document.cursor
        is_read_there = cursor >= document.prime_length  # a prime is read as a whole
        return self.writing and is_read_there and document.text.read(cursor, cursor + 1) in ("", "\n")

    @property
    def _at_cursor(self) -> tuple[object, ...]:
        """What the distribution at the cursor depends on."""
        document = self.document
        return self._session_id, document.text, document.cursor, document.seed, self.recipe

    @property
    def _basis(self) -> tuple[object, ...]:
        """What a suggestion depends on."""
        return *self._at_cursor, self.learnt

    @property
    def suggestion(self) -> str:
        """How the text could continue at the cursor, while it is being written and a line or the text ends there."""
        shown = self._suggestions.at(self._basis, self.document.text, self.document.cursor)
        return shown if shown and self.suggests else ""  # in this order: each key asks, and few find one

    def _suggest(self, texts: Sequence[str], index: int = 0, *, is_rest: bool = False) -> None:
        after = self.document.text.part(0, self.document.cursor)
        self._suggestions = Suggestions(tuple(texts), index, after, self._basis, is_rest)

    def accept(self, text: str) -> None:
        """Put the beginning ``text`` of the suggestion into the text; the rest of it is suggested from then on. A text
        that is no longer suggested is ignored: the key was quicker than the screen."""
        shown, known = self.suggestion, self._suggestions
        if text and shown.startswith(text):
            with self._changing() as document:
                document.insert(text, GENERATED, kind="accepting")
                if (known.index or known.is_rest) and (rest := shown[len(text) :]).strip():
                    self._suggest([rest], is_rest=True)

    @waits
    async def another_suggestion(self, direction: int) -> None:
        """Suggest the next (1) or previous (-1) of several, each with another first word."""
        if not self.suggests:
            return
        index = self._suggestions.index + direction
        known = self._suggestions.texts if self._suggestions.basis == self._basis else ()
        if len(known) > 1:
            self.begin()
            texts: Sequence[str] = known
        else:
            find = partial(questions.suggestions, known=known)
            texts = await wait_for(Question(self.document.cursor, find, changes_text=False))
        self._suggest(texts, index % len(texts))
        self.say("The model suggests nothing else with these settings." if len(texts) == 1 else "")
        self.changed()

    def suggest_with(self, learnt: LearntModel | None, session_id: int) -> None:
        """Let suggestions and continuations in Write come from a copy of the model that has learnt from the text, or
        with ``None`` from the model itself. Where another text is played by now, nothing changes."""
        self._touched()
        if session_id == self._session_id:
            self.learnt = learnt
            self.changed()

    # ---- how something is done

    def begin(self, *, touches: bool = True) -> None:
        """A key asks for something: streaming stops, and earlier messages and questions are over."""
        if touches:
            self._touched()
        self.jobs.question = None
        self._let_stream(None)
        super().begin()

    def _is_edited(self) -> None:
        if self.open_text is not None:
            self.open_text = replace(self.open_text, edited=True)

    def take(self, batch: Batch) -> None:
        """Take what was computed, unless something else is wanted by now."""
        self.bring_up_to_date()
        document = self.document
        if not self._orders.stands(batch.order):
            return
        self._computed = replace(self._computed, progress=batch.progress)
        if batch.failure:
            self._stream = self.jobs.question = None
            self.say(failure=batch.failure)
            self.publish()
            return
        question = self.jobs.question
        if batch.answered:
            self.jobs.question = None
        if batch.added:
            document.generate(batch.added)
            if self._stream is not None:
                self._stream = replace(self._stream, count=self._stream.count - len(batch.added))
            self._computed = replace(self._computed, rate=batch.rate)
        self.show_text()
        if batch.figures is not None:
            self._shown.put(batch.figures)
        if batch.ahead is not None:
            self._computed = replace(self._computed, distribution=batch.ahead, basis=self._at_cursor)
        if batch.suggestion is not None:
            self._suggest([batch.suggestion])
        self._orders.go_on_with(self._make_order())
        if batch.stopped:
            self._let_stream(None)
            reason = f"paused after {PAUSE_AFTER:,}" if batch.stopped == "count" else ""
            self._outcome = replace(self._outcome, stop_reason=reason, ended=batch.stopped == "sentence")
        if question is not None and batch.answered:
            question.then(batch.answer)
        elif question is not None and batch.answer is not None:
            question.grown(batch.answer)
        self.changed()

    def changed(self) -> None:
        """Something has changed: what follows from it comes before the next picture."""
        self._is_behind = True
        self.before_draw(self.bring_up_to_date)

    def bring_up_to_date(self) -> None:
        """After changes: show the text, order what is wanted of the model, save and publish."""
        if self._is_behind:
            self._is_behind = False
            self.show_text()
            self._orders.place(self._make_order())
            self._keep()
            self.publish()

    # ---- showing

    def show_text(self) -> None:
        """Show what has changed of the text, and the cursor where it is."""
        if self.open_text is not None:
            self._shown.show(self.document.state)

    def publish(self) -> None:
        """Publish a new :class:`Played`. Each message is in one value only."""
        document, about = self.document, self.open_text
        said, saving, opening = self._outcome, self._saving, self.jobs.opening
        self._outcome = replace(said, note="", failure="")
        written, of_its_file, not_written = ("", "", "") if saving is None else saving.take(about)
        played = Played(
            self._session_id,
            PlayRequest("") if about is None else about.request,
            None if about is None else about.facts,
            splice=self._shown.take_splice(),
            busy="" if opening is None else f"Opening {Path(opening.model_name).name} …",
            error=self.jobs.error,
            note=" ".join(filter(None, (written, said.note, of_its_file))),
            failure=" ".join(filter(None, (not_written, said.failure))),
            not_saved="" if saving is None else saving.failure,
            running=self.running,
            stop_reason=said.stop_reason,
            ended=said.ended,
            settings=self.recipe.settings,
            speed=self.speed,
            rate=self._computed.rate,
            clamps=tuple(self.recipe.clamps),
        )
        if about is None:
            played = replace(played, request=opening or played.request)
        else:
            played = self._with_text(played, document, about)
        self.played = played
        self._changed_to(played)

    def _with_text(self, played: Played, document: Document, about: OpenText) -> Played:
        state, vocabulary = document.state, about.loaded.model.vocabulary
        cursor, here = state.cursor, self._shown.figures.at(state.cursor)
        if not self.running and self._branches[0] is not state:
            self._branches = state, tuple(document.list_branches())
        is_current = self._computed.basis == self._at_cursor
        ahead = self._computed.distribution if is_current or not self._computed.progress else NO_DISTRIBUTION
        return replace(
            played,
            text=state,
            read_to=self._shown.figures.read_to,
            distribution=ahead if ahead.total else replace(ahead, total=len(vocabulary)),
            is_current=is_current,
            reading=self._computed.progress,
            current_char=state.text.read(cursor, cursor + 1) or None,
            current_probability=None if here is None else here[0],
            current_rank=0 if here is None else here[1],
            read_as=read_as(state.text, cursor, vocabulary),
            bits_per_char=self._shown.figures.mean(cursor),
            branches=self._branches[1],
            file=self.file,
            last_session=about.last_session,
            replaced=about.closed,
            opened=about.opened,
            edited=about.edited,
            title=about.title,
            learnt_strength=None if self.learnt is None else self.learnt.strength,
            suggests=self.suggests,
            suggestion=self.suggestion,
            undoable=document.undoable,
            redoable=document.redoable,
        )

    # ---- what is wanted of the model

    def _make_order(self) -> Order | None:
        """What is wanted now."""
        about, state = self.open_text, self.document.state
        if about is None:
            return None
        return Order(
            about.loaded,
            state.text,
            state.prime_length,
            state.cursor,
            replace(self.recipe, seed=state.seed),
            self._shown.figures.read_to,
            self.writing,
            self._stream,
            self.jobs.question,
            suggests=self.suggests and not self.running and self._suggestions.basis != self._basis,
            learnt=self.learnt if self.writing else None,
            file=None if about.opened is None else about.opened.path,
        )

    # ---- saving

    def _work(self) -> SavedWork:
        about, document = self.open_text, self.document
        assert about is not None
        return document.state, self.recipe.settings, self.recipe.clamps, about.edited, about.loaded, {**document.names}

    def _session_state(self) -> SessionState:
        """All of it, to be saved."""
        assert self.open_text is not None
        return self.open_text.session_state(self.document, self.recipe)

    def _keep(self, *, even_if_same: bool = False) -> None:
        """Give the text to who writes it, if it has changed."""
        if self._saving is not None and self.open_text is not None:
            self._saving.keep(self.open_text, self._work(), self._session_state, even_if_same=even_if_same)

    def _leave(self, about: OpenText | None) -> Path | None:
        """Let other programs go on in the file of the text, and keep what the model has read of it. Returns the file.
        In any thread."""
        file = None if self._saving is None or about is None else self._saving.leave(about)
        if file is not None:
            self._orders.do(lambda reading: None if reading is None else reading_cache.keep(reading, file))
        return file

    def rename_run(self, old: Path, new: Path) -> None:
        """The run in the folder ``old`` was renamed to ``new``: what is played of it goes on."""
        if self._saving is not None:
            self._saving.saver.rename_run(old, new)
        if self.open_text is not None:
            self.open_text = self.open_text.after_rename(old, new)
            self.publish()

    def give_title(self, title: str, path: Path | None = None) -> None:
        """Give a title, by which a text is listed, to the text, or to the saved one at ``path``. Only with ``path``
        this waits for the disk, may be called in any thread, and raises as
        :func:`charlstm.generation.session_file.give_title` does."""
        if path is not None:
            if self._saving is not None:
                self._saving.flush(path)
            session_file.give_title(path, title)
            return
        self._touched()
        if self.open_text is not None:
            self.open_text = replace(self.open_text, title=title)
            self.say(f"Title: {title}" if title else "The session has no title now.")
            self._keep(even_if_same=True)
            self.publish()

    def save_as(self, path: Path, colour: str | None, *, prose: bool = False) -> None:
        """Save the session in a file, where the text goes on then, or export a copy of the text, as the ending of
        ``path`` says, with ``prose`` as paragraphs. That is done by another thread; the note or the failure says what
        came of it."""
        self._touched()
        about, saving = self.open_text, self._saving
        if about is None or saving is None:
            return
        self.open_text = about = replace(about, edited=True)
        if path.suffix.lower() in ("", ".json"):
            self._keep(even_if_same=True)
            saving.move(about, path)
            self.changed()
            return
        state, model = self._session_state(), about.loaded.model
        self._orders.do(
            lambda reading: saving.export(about, state, model, reading, partial(export_as, path, colour, prose=prose))
        )
        self.changed()

    # ---- the end; these wait, and are called in another thread

    def close(self, timeout: float, *, delete_unkept: bool = False) -> bool:
        """Save everything and end the threads; with ``delete_unkept`` delete the texts that only grew by themselves.
        Waits ``timeout`` seconds at most; returns whether all is saved, or cannot be: :meth:`rescue` then puts it
        elsewhere. Otherwise it is to be called again."""
        end = time.monotonic() + timeout
        self._leave(self.open_text)
        if not self._orders.thread.close(timeout):
            return False
        return self._saving is None or self._saving.close(max(0.0, end - time.monotonic()), delete_unkept=delete_unkept)

    def rescue(self) -> list[str]:
        """After :meth:`close`, save elsewhere what could not be saved. Returns a sentence about each of these sessions,
        and about each export that failed without a message on the screen."""
        return [] if self._saving is None else self._saving.rescue(self.open_text)
