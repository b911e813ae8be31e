"""The text that a model learns from: reading, encoding, splitting, cutting into batches."""
