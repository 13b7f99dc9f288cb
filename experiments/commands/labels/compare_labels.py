"""Compare label tables of the same people: python -m experiments compare-labels A B [C ...] [--out FOLDER]

A, B ... are label folders (runs/<run>/labels/<dataset>-<split>, or what import-labels made). On the people
that all of them have: how many each covers, how well each fits the 2D joints, how plausible its bodies are, how far
the tables are from each other and, where true bodies are known (the synthetic world), from the truth.

Prints a table, and writes compare.json and report.html, which shows the people on whom the tables differ most, least
and in the middle, from the front and from the side.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli import CommandParser

if TYPE_CHECKING:
    from experiments.label_study.shared_people import LabelSet


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser("compare-labels", __doc__)
    parser.add_argument("tables", nargs="+", type=Path, metavar="LABELS", help="label folder, two or more")
    parser.add_argument("--out", type=Path, default=Path("runs/compare_labels"), help="folder for report and json")
    parser.add_argument("--people", type=int, default=4, help="people in each part of the gallery (4)")
    parser.add_argument("--truth", type=Path, help="npz of true bodies; found by itself for a synthetic world")
    parser.add_argument("--baseline", help="table (its folder or name) that gains are told over; the first by default")
    parser.add_argument("--images", type=Path, help="folder of the images, where the tables do not say (any more)")
    parser.add_argument(
        "--body-models", help="folder of model files, or a body file; by default what the labels were made with"
    )
    arguments = parser.parse_args(argv)

    from experiments.engine.pipeline import console
    from experiments.evaluation.true_bodies import truth_of
    from experiments.label_study.page import write_report
    from experiments.label_study.shared_people import compare_sets, open_sets

    if len(arguments.tables) < 2 or arguments.people < 0:
        parser.error("two label folders or more are compared, and --people is 0 or more")
    sets = open_sets(arguments.tables)
    names = {text: one for one in sets for text in (one.name, str(one.folder))}
    if arguments.baseline is not None and arguments.baseline.rstrip("/") not in names:
        parser.error(f"--baseline {arguments.baseline} is none of {', '.join(one.name for one in sets)}")
    baseline = sets[0] if arguments.baseline is None else names[arguments.baseline.rstrip("/")]
    body_models = arguments.body_models or _body_models(sets)
    truth = arguments.truth or next(filter(None, (truth_of(one.folder) for one in sets)), None)
    with tempfile.TemporaryDirectory() as scratch:
        result = compare_sets(sets, Path(scratch), body_models, truth)
        write_report(result, baseline, arguments.out, arguments.people, arguments.images, body_models, console)
    return 0


def _body_models(sets: Sequence[LabelSet]) -> str:
    """The body that the first table whose provenance names one was made with."""
    from body_models.bodies import FREE_BODY
    from datamodules.pseudo_gt.native import body_models_of

    for one in sets:
        if found := body_models_of(one.meta["provenance"], default=""):
            return found
    return FREE_BODY
