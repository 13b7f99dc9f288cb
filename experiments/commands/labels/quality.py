"""How much the quality columns of labels say about their true error: python -m experiments quality LABELS LABELS ...

Where true bodies are known (the synthetic world), each quality column is compared with the true MPVPE by Spearman's
rank correlation. A score out of all columns is fitted on the first table and judged on the others, which should be of
another annotator and world seed. Writes a Markdown document and a picture; --write-score also keeps the score, as the
one that labels.filter.max_quality_score looks at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments.cli import CommandParser


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser("quality", __doc__)
    parser.add_argument("tables", nargs="+", type=Path, metavar="LABELS", help="label folder; fitted on the first")
    parser.add_argument("--truth", type=Path, nargs="+", default=[], help="npz of true bodies, one for each table")
    parser.add_argument("--out", type=Path, default=Path("docs/quality.md"), help="document; a picture goes beside it")
    parser.add_argument("--write-score", action="store_true", help="keep the fitted score as the one that is shipped")
    parser.add_argument("--body-models", default="free", help="folder of model files, a body file, or free")
    arguments = parser.parse_args(argv)
    if len(arguments.tables) < 2:
        parser.error("a score is fitted on one label folder and judged on another: give two or more")
    if arguments.truth and len(arguments.truth) != len(arguments.tables):
        parser.error(f"--truth needs a file for each of the {len(arguments.tables)} tables")

    from datamodules.pseudo_gt.quality_score import SCORE_FILE
    from experiments.engine.pipeline import console
    from experiments.label_study.quality_columns import read_tables, study, write_study

    truths = arguments.truth or [None] * len(arguments.tables)
    tables = read_tables(arguments.tables, truths, arguments.body_models)
    found = study(tables)
    write_study(found, arguments.out)
    console.print(arguments.out.read_text(encoding="utf-8"), markup=False)
    if arguments.write_score:
        found.score.save()
        console.print(f"score: {SCORE_FILE}")
    return 0
