"""Commands, configuration, stages, reports: what is done with the other floors."""

import sys

if sys.orig_argv[1:2] == ["-m"]:
    # python -m experiments compare and its like looked for a module that has become a command: say which.
    from experiments.commands import MOVED

    if (asked := next(iter(sys.orig_argv[2:3]), "")) in MOVED:
        print(f"error: {asked} is now a command: python -m experiments {MOVED[asked]}", file=sys.stderr)
        sys.exit(2)
