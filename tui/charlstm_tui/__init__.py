"""The charlstm app: a Textual screen over the headless ``charlstm`` package. Importing this costs nothing."""
