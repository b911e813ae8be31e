"""Load the argument ``model`` of the public library: a model, a file, or a name."""

from __future__ import annotations

import os
from pathlib import Path

import charlstm
from charlstm import arguments
from charlstm.errors import ModelError
from charlstm.model.file import Model

GivenModel = Model | str | Path
"""A model, or what :func:`charlstm.load_model` takes: the file of one, the name or folder of a run, or ``"demo"``."""


def given_model(model: GivenModel) -> Model:
    """``model``, loaded if it is given by its file or name.

    Raises :class:`ModelError` or :class:`RunError` as :func:`charlstm.load_model` does.
    """
    if isinstance(model, Model):
        return model
    takes = "a Model, the file of one, the name of a run or 'demo'"
    arguments.instance("model", model, (str, os.PathLike), takes, error=ModelError)
    return charlstm.load_model(model)  # the public function, since the packages above this one know the names of runs
