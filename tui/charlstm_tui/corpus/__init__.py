"""The mode Corpus: choose a text to learn from, and see what it is made of."""
