"""The model file: weights, vocabulary, configuration and text options. Needs numpy, not torch."""
