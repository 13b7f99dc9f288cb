"""Families of regressors times label sets: does what is better to train one of them better all of them?

    python -m experiments downstream-table size=bench

Runs experiment=downstream_labels (the annotators without recipes and with all three, once), writes the true bodies as
the best labels there can be (truth-labels), and runs experiment=downstream_table on no labels at all (the mix's 3D
ground truth alone), on those of either annotator, and on the truth. What is there already is used again, so the command
goes on where it was stopped. Arguments are those of ``python -m experiments.run`` and hold for both experiments; name
and sweeps hold for the second. --jobs N runs N cells of it side by side; --dry-run starts nothing.

i2l, which compares all vertices and edges, takes ten times as long a person as the others: it sees an eighth of
downstream.samples, and its cells are in a grid of its own, NAME_i2l. At the end the table of all finished cells is
printed and written to runs/NAME/families.md. All else about them in one report:

    python -m experiments compare runs/downstream_table runs/downstream_table_i2l

Exit codes: 0 done, 1 failed, 2 wrong settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_LABELS, _TABLE = "experiment=downstream_labels", "experiment=downstream_table"
_SLOW, _SLOWER = "i2l", 8
_FAMILIES = "downstream.family"


def main(argv: Sequence[str]) -> int:
    """Make the label sets, then the table; with --dry-run only look whether all is there that they need."""
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    # Imported here, so that the guard of run_command speaks first.
    from callbacks.run_summary import SUMMARY_FILE
    from datamodules.writing import write_text
    from experiments import run
    from experiments.commands.labels.truth_labels import truth_files, write_truth_labels
    from experiments.comparison.family_tables import family_table
    from experiments.results.finished_runs import find_runs, read_runs
    from experiments.settings.loading import load_settings

    given = [word for word in argv if not word.startswith("experiment=")]
    shared = [word for word in given if not word.startswith(("name=", "sweep.", "-")) and "=" in word]
    if "--dry-run" in argv:
        return run.main([_LABELS, *shared, "--dry-run"]) or run.main([_TABLE, "sweep.labels.folders=[[]]", *given])
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
    command = [_TABLE, f"sweep.labels.folders=[{labels}]", *given]
    settings, _ = load_settings([word for word in command if "=" in word and not word.startswith("-")])
    families = settings.sweep.get(_FAMILIES, [settings.downstream.family])
    if fast := [family for family in families if family != _SLOW]:
        code = run.main([*command, f"sweep.{_FAMILIES}=[{', '.join(fast)}]"])
    if not code and _SLOW in families:
        own = [f"name={settings.name}_{_SLOW}", f"downstream.samples={max(1, settings.downstream.samples // _SLOWER)}"]
        code = run.main([*command, f"sweep.{_FAMILIES}=[{_SLOW}]", *own])
    places = [Path(settings.paths.runs) / name for name in (settings.name, f"{settings.name}_{_SLOW}")]
    if places := [place for place in places if any(place.glob(f"*/{SUMMARY_FILE}"))]:
        text = family_table(read_runs(find_runs(places)[0]))
        print(text)
        print(f"table: {write_text(places[0] / 'families.md', text)}")
    return code
