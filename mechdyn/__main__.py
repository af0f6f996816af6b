"""`python -m mechdyn`: the command line, where its script is not on the path."""

from mechdyn.cli import main

main()
