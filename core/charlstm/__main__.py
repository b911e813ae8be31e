"""`python -m charlstm` is the command line."""

from charlstm.cli.main import main

main()
