"""Look inside a trained LSTM: what its cells follow, which characters matter, what could come next. In numpy."""
