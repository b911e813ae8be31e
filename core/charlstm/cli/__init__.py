"""The command line `charlstm`: every capability of the app without a screen."""
