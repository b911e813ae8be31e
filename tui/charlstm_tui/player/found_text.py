"""Find a text to play, with its model: a saved one, or one that begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from charlstm.generation.clamp import Clamp
from charlstm.generation.document import Document, own_text
from charlstm.generation.prime import prime_suggestion
from charlstm.generation.recipe import Recipe
from charlstm.generation.sampler_settings import SamplerSettings
from charlstm.generation.session_file import ReadSession
from charlstm_tui.player import saved_sessions
from charlstm_tui.player.edits import read_as_words
from charlstm_tui.player.opening import LoadedModel, OpenText, PlayRequest, load, other_model_words, read
from charlstm_tui.player.text_saving import TextSaving


class FoundText(NamedTuple):
    """What was found on the disk: a text with its model, which is ``saved`` or begins now, and what to say of it."""

    about: OpenText
    saved: ReadSession | None
    note: str

    def begin(self, settings: SamplerSettings, clamps: Sequence[Clamp]) -> tuple[Document, Recipe, str]:
        """The text, how it is generated, and what to say of it. ``settings`` and ``clamps`` are for one that begins."""
        request, model = self.about.request, self.about.loaded.model
        if self.saved is not None:
            state = self.saved.state
            return state.document, Recipe(0, state.sample, state.settings, state.clamps), self.note
        prime = own_text(prime_suggestion(model) if request.prime is None else request.prime)
        recipe = Recipe(request.seed, 0, request.settings or settings, clamps)
        return Document(prime, request.seed), recipe, read_as_words(prime, model.vocabulary)


def find_text(
    request: PlayRequest,
    before: OpenText | None,
    document: Document,
    leave: Callable[[], Path | None],
    saving: TextSaving | None,
    known: Callable[[], Iterable[LoadedModel]],
) -> FoundText:
    """Look for a text on the disk, after ``document``, which is played until now, is saved. On a thread of its own.

    Args:
        before: what is known of the text that is played; ``leave`` closes its file, and returns the file.
        known: models that are loaded already.
    """
    closed, note = None, ""
    if saving is not None and before is not None:
        closed = before.as_saved(document, leave() or saving.named_file(before))
    if saving is not None and request.session is not None and not saving.flush(request.session):
        note = "Its last changes are not saved yet: this is how it was before them."
    loaded, facts = load(request, [*known()])
    last = None if saving is None else saved_sessions.last(facts.sessions, closed)
    is_last = closed is not None and closed.has_work and last == closed
    key = 0 if saving is None else saving.new_key()
    about = OpenText(request, loaded, facts, key, None, closed if is_last else None, last)
    if request.session is not None:
        saved, opened = read(request.session)
        if opened is not None:
            about = replace(about, opened=opened, edited=opened.edited, title=opened.title)
        return FoundText(about, saved, " ".join(filter(None, (saved.note, other_model_words(opened, facts), note))))
    only_grew = before is not None and before.opened is None and closed is not None and not closed.has_work
    if before is not None and only_grew and before.facts.sessions == facts.sessions:
        about = replace(about, key=before.key)  # it goes into the file of that text
    return FoundText(about, None, "")
