"""Everything that computes with torch, which is imported here. Raises :class:`TorchError` if the import fails."""

from charlstm import system
from charlstm.errors import TorchError

try:
    with system.no_search_for_garbage():
        import torch as torch
except (ImportError, OSError) as error:
    raise TorchError(error) from error
