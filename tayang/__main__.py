"""`python -m tayang`: the same as the `tayang` command; the supervisor starts its parts by it."""

from tayang.cli import main

main()
