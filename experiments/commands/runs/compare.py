"""Compare finished runs in one page: python -m experiments compare RUNS... [--out FOLDER] [--baseline LABEL]

RUNS are folders of grids or of single runs, of one machine or of several: what they have in common and what they
differ in is read from their settings. Runs that differ in the seed alone become one row.

    python -m experiments compare runs/recipe_grid
    python -m experiments compare runs/coco_a/three runs/coco_b/two --baseline two --out runs/compare
    python -m experiments compare runs/recipe_grid --latex > tables/recipes.tex

Writes report.html (self-contained: tables, effects of each recipe, curves, errors by joint and by recording, quality of
the labels, people drawn by every annotator, meshes to turn), table.md, table.tex (booktabs) and table.csv.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.cli import CommandParser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser("compare", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folder of a grid, or of a run")
    parser.add_argument("--out", type=Path, help="folder for the files; by default the only grid's, or runs/compare")
    parser.add_argument("--baseline", help="row that the others are compared with; the one without recipes by default")
    parser.add_argument("--title", help="of the page; after the folders by default")
    parser.add_argument("--people", type=int, default=12, help="people in the gallery (12); 0 draws nobody")
    parser.add_argument("--meshes", type=int, default=4, help="of them with meshes to turn, some 0.5 MB each (4)")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamplings behind each interval (1000)")
    parser.add_argument("--latex", action="store_true", help="print the LaTeX tables instead of the terminal's")
    parser.add_argument("--markdown", action="store_true", help="print the Markdown tables instead of the terminal's")
    arguments = parser.parse_args(argv)
    if min(arguments.people, arguments.meshes, arguments.bootstrap) < 0:
        parser.error("--people, --meshes and --bootstrap are 0 or more")

    from rich.console import Console

    from experiments.comparison.assembly import open_comparison
    from experiments.comparison.page import build_comparison
    from experiments.comparison.tables import latex_table, markdown_table

    comparison = open_comparison(
        arguments.runs, arguments.title, arguments.baseline, arguments.people, arguments.bootstrap
    )
    printed = [latex_table(comparison)] if arguments.latex else []
    printed += [markdown_table(comparison)] if arguments.markdown else []
    folder = arguments.out or (arguments.runs[0] if len(arguments.runs) == 1 else Path("runs/compare"))
    report = build_comparison(
        comparison, folder, None if printed else Console(highlight=False, emoji=False), arguments.meshes
    )
    for text in printed:
        print(text)
    print(f"report: {report}", file=sys.stderr if printed else sys.stdout)
    return 0
