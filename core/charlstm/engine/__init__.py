"""Everything that computes with torch, which is imported here."""

from charlstm import system

with system.no_search_for_garbage():
    import torch as torch
