"""Generate text with a model in numpy: LSTM steps, sampling, sessions, scoring, novelty."""
