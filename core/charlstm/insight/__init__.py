"""Look inside a trained LSTM: features of cells, influence of characters, possible continuations. In numpy."""
