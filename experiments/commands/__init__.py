"""The commands of the project by name: ``python -m experiments COMMAND``, or ``three-recipes COMMAND``."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command.

    Attributes:
        module: its module, whose ``main(argv) -> int`` does the work.
        help: what it does, in a line.
    """

    module: str
    help: str


COMMANDS: dict[str, Command] = {
    "run": Command("experiments.run", "train annotators, write their labels, retrain regressors on them, compare"),
    "runs": Command("experiments.commands.runs.list_runs", "state, progress and main metrics of all runs"),
    "compare": Command("experiments.commands.runs.compare", "compare finished runs in one page and in tables"),
    "dashboard": Command("experiments.commands.runs.dashboard", "compare the runs of a grid in Weights & Biases"),
    "downstream-table": Command(
        "experiments.commands.runs.downstream_table", "every family of regressors on several label sets, in one table"
    ),
    "inspect": Command("experiments.commands.data.inspect_data", "look at a data set: who is kept, joints, pictures"),
    "export": Command("experiments.commands.labels.export", "write labels in the layout of another code base"),
    "import-labels": Command("experiments.commands.labels.import_labels", "read published pseudo-GTs as label tables"),
    "truth-labels": Command("experiments.commands.labels.truth_labels", "the synthetic world's true bodies as labels"),
    "compare-labels": Command("experiments.commands.labels.compare_labels", "label tables of the same people compared"),
    "quality": Command("experiments.commands.labels.quality", "what the quality columns say about the true error"),
    "evaluate": Command(
        "experiments.commands.labels.evaluate", "predictions, labels or checkpoints by the protocols of the field"
    ),
    "video": Command("experiments.commands.labels.video", "a video of labelled people, from the front and the side"),
    "bench": Command("experiments.commands.project.bench", "speed and memory beside bare references"),
    "docs": Command("experiments.commands.project.write_docs", "write the documents that are made from the code"),
    "rooms": Command("experiments.commands.project.rooms", "the folders of the code: sizes, arrows, circles"),
    "digests": Command("experiments.commands.project.digests", "digests of tiny runs: moved code changes no number"),
}

MOVED: dict[str, str] = {
    "experiments.bench": "bench",
    "experiments.compare": "compare",
    "experiments.compare_labels": "compare-labels",
    "experiments.dashboard": "dashboard",
    "experiments.downstream_table": "downstream-table",
    "experiments.evaluate": "evaluate",
    "experiments.export": "export",
    "experiments.import_labels": "import-labels",
    "experiments.inspect": "inspect",
    "experiments.joint_sets": "docs",
    "experiments.quality": "quality",
    "experiments.regressors": "docs",
    "experiments.runs": "runs",
    "experiments.truth_labels": "truth-labels",
    "experiments.video": "video",
}
"""Modules that were started by themselves up to version 0.1, and the command that each is now."""
