"""The text a model learns from: read it, encode it, split it, cut it into batches."""
