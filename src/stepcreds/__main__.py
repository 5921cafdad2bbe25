"""`python -m stepcreds`: the same as the console script."""

from stepcreds.cli import main

main()
