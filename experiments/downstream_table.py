"""Families of regressors times label sets: does what is better to train one of them better all of them?

    python -m experiments.downstream_table size=bench

Runs experiment=downstream_labels (the annotators without recipes and with all three, once), writes the true bodies as
the best labels there can be (:mod:`experiments.truth_labels`), and runs experiment=downstream_table on no labels at all
(the mix's 3D ground truth alone), on those of either annotator, and on the truth. What is there already is used again,
so the command goes on where it was stopped. Arguments are those of ``python -m experiments.run`` and hold for both
experiments; name and sweeps hold for the second. --jobs N runs N cells of it side by side.

Exit codes: 0 done, 1 failed, 2 wrong settings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.cli import run_command

_LABELS, _TABLE = "experiment=downstream_labels", "experiment=downstream_table"


def main(argv: Sequence[str]) -> int:
    """Make the label sets, then the table."""
    # Imported here, so that the guard of run_command speaks first.
    from experiments import run
    from experiments.config import load_settings
    from experiments.truth_labels import truth_files, write_truth_labels

    given = [word for word in argv if not word.startswith("experiment=")]
    shared = [word for word in given if not word.startswith(("name=", "sweep.", "-")) and "=" in word]
    if code := run.main([_LABELS, *shared]):
        return code
    settings, _ = load_settings([_LABELS, *shared])
    folder = Path(settings.paths.runs) / settings.name
    sets = [folder / str(recipe) for recipe in settings.sweep["recipe"]]
    truth = folder / "truth"
    for path in truth_files(sets[0]):
        table = truth / path.stem.replace("_train", "-train")
        if not table.exists():
            write_truth_labels(path, table)
    labels = ", ".join(["[]", *(f"['{one}']" for one in [*sets, truth])])
    return run.main([_TABLE, f"sweep.labels.folders=[{labels}]", *given])


if __name__ == "__main__":
    sys.exit(run_command(main))
