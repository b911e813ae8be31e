"""The mode Generate: play a model, write with it, score a text, compare two models."""
