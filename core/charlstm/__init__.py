"""Train character-level LSTMs on any text, follow the training, and generate text: the public library.

Each name is loaded when it is first used, so that ``import charlstm`` is quick, and torch is imported only by what
computes with it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.engine.network import CharLSTM as CharLSTM
    from charlstm.engine.trainer import Trainer as Trainer
    from charlstm.errors import CharLSTMError as CharLSTMError
    from charlstm.generation.clamp import Clamp as Clamp
    from charlstm.generation.novelty import novelty as novelty
    from charlstm.generation.rows import Step as Step
    from charlstm.generation.sampler_settings import SamplerSettings as SamplerSettings
    from charlstm.generation.session import Session as Session
    from charlstm.library import activations as activations
    from charlstm.library import context as context
    from charlstm.library import evaluate as evaluate
    from charlstm.library import find_model as find_model
    from charlstm.library import generate as generate
    from charlstm.library import generate_many as generate_many
    from charlstm.library import generate_units as generate_units
    from charlstm.library import influence as influence
    from charlstm.library import lesions as lesions
    from charlstm.library import load_model as load_model
    from charlstm.library import load_state as load_state
    from charlstm.library import multiverse as multiverse
    from charlstm.library import name_cells as name_cells
    from charlstm.library import next_words as next_words
    from charlstm.library import save_model as save_model
    from charlstm.library import save_state as save_state
    from charlstm.library import score as score
    from charlstm.library import score_dynamic as score_dynamic
    from charlstm.library import score_models as score_models
    from charlstm.model.file import Model as Model
    from charlstm.runs.scripting import Run as Run
    from charlstm.runs.scripting import RunList as RunList
    from charlstm.runs.scripting import find_run as find_run
    from charlstm.runs.scripting import list_runs as list_runs
    from charlstm.runs.scripting import resume_run as resume_run
    from charlstm.runs.scripting import start_run as start_run
    from charlstm.runs.store import FolderStore as FolderStore
    from charlstm.text.corpus import Corpus as Corpus
    from charlstm.text.corpus import open_corpus as open_corpus
    from charlstm.text.reading import TextOptions as TextOptions
    from charlstm.text.statistics import describe as describe
    from charlstm.text.vocabulary import Vocabulary as Vocabulary
    from charlstm.training.events import AnyEvent as AnyEvent
    from charlstm.training.events import Checkpointed as Checkpointed
    from charlstm.training.events import Controlled as Controlled
    from charlstm.training.events import Decided as Decided
    from charlstm.training.events import Event as Event
    from charlstm.training.events import Failed as Failed
    from charlstm.training.events import Finished as Finished
    from charlstm.training.events import Paused as Paused
    from charlstm.training.events import Resumed as Resumed
    from charlstm.training.events import Sampled as Sampled
    from charlstm.training.events import Started as Started
    from charlstm.training.events import Stepped as Stepped
    from charlstm.training.events import Validated as Validated
    from charlstm.training.events import Warned as Warned
    from charlstm.training.hooks import CheckpointStore as CheckpointStore
    from charlstm.training.presets import preset as preset
    from charlstm.training.progress_line import ProgressLine as ProgressLine
    from charlstm.training.settings import Settings as Settings
    from charlstm.training.settings_file import SettingsFile as SettingsFile
    from charlstm.training.settings_file import load_settings as load_settings
    from charlstm.training.state import TrainingState as TrainingState

    __version__: str

_NAMES_BY_MODULE = {
    "engine.network": ("CharLSTM",),
    "engine.trainer": ("Trainer",),
    "errors": ("CharLSTMError",),
    "generation.clamp": ("Clamp",),
    "generation.novelty": ("novelty",),
    "generation.sampler_settings": ("SamplerSettings",),
    "generation.session": ("Session",),
    "generation.rows": ("Step",),
    "library": (
        *("activations", "context", "evaluate", "find_model", "generate", "generate_many", "influence", "lesions"),
        *("load_model", "load_state", "multiverse", "name_cells", "next_words", "save_model", "save_state", "score"),
        *("generate_units", "score_dynamic", "score_models"),
    ),
    "model.file": ("Model",),
    "runs.scripting": ("Run", "RunList", "find_run", "list_runs", "resume_run", "start_run"),
    "runs.store": ("FolderStore",),
    "text.corpus": ("Corpus", "open_corpus"),
    "text.reading": ("TextOptions",),
    "text.statistics": ("describe",),
    "text.vocabulary": ("Vocabulary",),
    "training.events": (
        *("AnyEvent", "Event", "Started", "Stepped", "Validated", "Sampled", "Checkpointed", "Controlled"),
        *("Decided", "Paused", "Resumed", "Warned", "Finished", "Failed"),
    ),
    "training.hooks": ("CheckpointStore",),
    "training.presets": ("preset",),
    "training.progress_line": ("ProgressLine",),
    "training.settings": ("Settings",),
    "training.settings_file": ("SettingsFile", "load_settings"),
    "training.state": ("TrainingState",),
}
"""The same as above for the interpreter; a test compares the two."""

_MODULE_OF = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # 16 ms

        return version("charlstm-tui")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"charlstm.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
