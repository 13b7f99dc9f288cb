"""Compare the runs of a grid in Weights & Biases: ``python -m experiments dashboard FOLDER [--dry-run]``.

FOLDER is a grid's, e.g. runs/recipe_grid. Writes a workspace (every panel live, runs grouped by recipe) and a report
with the same panels and an explanation of each part, by W&B's own API, from the same list of sections as the offline
page; what W&B cannot draw is named there. Needs an account (``wandb login``), the runs in it (``wandb sync``, or
wandb.mode=online), and ``pip install 'three-recipes[dashboard]'``. ``--dry-run`` only prints the sections and panels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.cli import CommandParser


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = CommandParser("dashboard", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a grid: its run folders lie in it")
    parser.add_argument("--dry-run", action="store_true", help="print the sections and panels; writes nothing")
    parser.add_argument("--entity", help="user or team; by default that of the runs, or the account's")
    arguments = parser.parse_args(argv)
    from experiments.comparison.wandb_panels import make_plan, plan_text, read_grid, write_dashboard

    settings, metrics = read_grid(arguments.folder)
    plan = make_plan(metrics)
    if arguments.dry_run:
        print(plan_text(plan))
        return 0
    for url in write_dashboard(plan, settings, arguments.entity or settings.wandb.entity):
        print(url)
    return 0
