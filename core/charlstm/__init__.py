"""Train a character-level LSTM on any text, watch it learn, and play it: the headless library.

The names below are loaded when they are first used, so that ``import charlstm`` costs nothing and torch is imported
by what trains alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.engine.evaluation import evaluate as evaluate
    from charlstm.engine.network import CharLSTM as CharLSTM
    from charlstm.engine.trainer import Trainer as Trainer
    from charlstm.errors import CharLSTMError as CharLSTMError
    from charlstm.generation.generate import generate as generate
    from charlstm.generation.sampling import SamplerSettings as SamplerSettings
    from charlstm.generation.session import Session as Session
    from charlstm.generation.tree import Step as Step
    from charlstm.model.file import Model as Model
    from charlstm.model.file import load_model as load_model
    from charlstm.model.file import save_model as save_model
    from charlstm.runs.folder import Run as Run
    from charlstm.runs.folder import find_run as find_run
    from charlstm.runs.folder import list_runs as list_runs
    from charlstm.runs.launch import resume_run as resume_run
    from charlstm.runs.launch import start_run as start_run
    from charlstm.runs.models import find_model as find_model
    from charlstm.text.corpus import Corpus as Corpus
    from charlstm.text.corpus import open_corpus as open_corpus
    from charlstm.text.reading import TextOptions as TextOptions
    from charlstm.text.statistics import describe as describe
    from charlstm.text.vocabulary import Vocabulary as Vocabulary
    from charlstm.training.presets import preset as preset
    from charlstm.training.settings import Settings as Settings

_HOMES = {
    "errors": ("CharLSTMError",),
    "generation.generate": ("generate",),
    "generation.sampling": ("SamplerSettings",),
    "generation.session": ("Session",),
    "generation.tree": ("Step",),
    "model.file": ("Model", "load_model", "save_model"),
    "engine.network": ("CharLSTM",),
    "runs.folder": ("Run", "find_run", "list_runs"),
    "runs.launch": ("resume_run", "start_run"),
    "runs.models": ("find_model",),
    "text.corpus": ("Corpus", "open_corpus"),
    "text.reading": ("TextOptions",),
    "text.statistics": ("describe",),
    "text.vocabulary": ("Vocabulary",),
    "training.settings": ("Settings",),
    "engine.evaluation": ("evaluate",),
    "training.presets": ("preset",),
    "engine.trainer": ("Trainer",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'charlstm' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"charlstm.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
