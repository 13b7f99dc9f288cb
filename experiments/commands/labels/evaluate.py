"""Evaluate predictions, label tables or checkpoints by the protocols of the field.

    # Predictions of any code base: arrays in metres, (N, J, 3) and so on.
    python -m experiments evaluate --pairs results.npz --root 0 --json

    # A submission folder of the 3DPW challenge, by the challenge's own numbers.
    python -m experiments evaluate --submission res --data data/3dpw --split all --body-models data/smpl

    # A checkpoint of this project on 3DPW's test set, by both of its protocols, in one pass.
    python -m experiments evaluate --checkpoint runs/default/three/downstream/best.ckpt --data data/3dpw

    # A label table as if it were predictions, against true bodies or true joints of the same people.
    python -m experiments evaluate --labels labels/threedpw-test --data data/3dpw
    python -m experiments evaluate --labels runs/default/three/labels/coco-train

With --json stdout holds one JSON line a protocol and nothing else: protocol, n, excluded, mpjpe, pa_mpjpe, mpvpe,
pa_mpvpe, pck50, auc200, pck150, auc150, mpjae (mm, degrees, percent; null where the input lacks what a metric needs).
Samples with NaN or infinity are left out and counted under excluded.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.cli import CommandParser

SPLITS = ("test", "validation", "train", "all")


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not arguments.list_protocols and not (
        arguments.pairs or arguments.submission or arguments.labels or arguments.checkpoint
    ):
        parser.error("one of --pairs, --submission, --labels, --checkpoint is needed")
    if arguments.submission and not (arguments.data and arguments.body_models):
        parser.error(
            "--submission needs --data, the root of 3DPW, and --body-models, which its true bodies are posed with"
        )
    if arguments.checkpoint and not arguments.data:
        parser.error("--checkpoint needs --data, the root of the data set to evaluate on")

    from rich.console import Console

    from experiments.evaluation import scores

    if arguments.list_protocols:
        from lightning_modules.scoring.protocols import definitions

        print(definitions(), end="")
        return 0
    # Whatever libraries print must not stand between the lines of JSON.
    with contextlib.redirect_stdout(sys.stderr):
        results = _evaluate(arguments)
    if arguments.out:
        scores.save(results, arguments.out, arguments.bootstrap)
    if arguments.json:
        for result in results:
            print(scores.json_line(result))
        return 0
    console = Console(emoji=False)
    scores.print_table(results, console, arguments.bootstrap)
    for result in results:
        if arguments.per_joint:
            scores.print_joints(result, console)
        if arguments.per_sequence:
            scores.print_sequences(result, console)
        if arguments.worst:
            scores.print_worst(result, arguments.worst, console)
    return 0


def _evaluate(arguments: argparse.Namespace) -> list[Any]:
    if arguments.pairs:
        from experiments.evaluation.pairs import score_pairs

        return [score_pairs(arguments.pairs, arguments.root, arguments.joints)]
    if arguments.submission:
        from experiments.evaluation.submission_3dpw import score_submission

        return [score_submission(arguments.submission, arguments.data, arguments.split, arguments.body_models)]
    from experiments.evaluation import against_truth

    target = against_truth.Target(
        root=arguments.data,
        split=arguments.split,
        protocols=[name for part in arguments.protocols or () for name in part.split(",") if name],
        cache_dir=arguments.cache,
        frame_step=arguments.frame_step,
    )
    if arguments.labels:
        return against_truth.score_labels(
            arguments.labels, target, arguments.truth, arguments.body_models, arguments.batch_size
        )
    return against_truth.score_checkpoint(
        arguments.checkpoint,
        target,
        body_models=arguments.body_models,
        batch_size=arguments.batch_size,
        num_workers=arguments.num_workers,
        accelerator=arguments.accelerator,
        quiet=arguments.json,
    )


def _parser() -> CommandParser:
    parser = CommandParser("evaluate", __doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--pairs", type=Path, metavar="FILE.npz", help="pred_joints and gt_joints (N, J, 3) in metres; "
        "also pred_vertices and gt_vertices, pred_rotmats and gt_rotmats ((N, 24 or 9, 3, 3), global)")  # fmt: skip
    what.add_argument("--submission", type=Path, metavar="FOLDER", help="of the 3DPW challenge: "
        "{train,validation,test}/SEQUENCE.pkl with jointPositions and orientations")  # fmt: skip
    what.add_argument("--labels", type=Path, metavar="FOLDER", help="a label table, evaluated as predictions")
    what.add_argument("--checkpoint", type=Path, metavar="FILE", help="of a mesh regressor or an annotator")
    what.add_argument("--list-protocols", action="store_true", help="print the definitions of all protocols, and stop")
    parser.add_argument("--json", action="store_true", help="one JSON line a protocol on stdout, nothing else")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write summary.csv, and .npz and .csv of each protocol")
    parser.add_argument("--bootstrap", type=_count, default=1000, metavar="N", help="resamplings behind each interval")
    parser.add_argument("--per-joint", action="store_true", help="table of the joints")
    parser.add_argument("--per-sequence", action="store_true", help="table of the sequences")
    parser.add_argument("--worst", type=_count, default=0, metavar="N", help="list the N worst samples")

    pairs = parser.add_argument_group("with --pairs")
    pairs.add_argument("--root", type=_root, default=(0,), metavar="J", help="joint that joints and vertices are taken "
        "relative to, two joined by + for their mean (2+3), or none to align nothing; default 0")  # fmt: skip
    pairs.add_argument("--joints", type=_joints, metavar="A,B,...", help="joints to compare after that; default all")

    data = parser.add_argument_group("with --labels, --checkpoint and (root, split, body) --submission")
    data.add_argument("--data", metavar="ROOT", help="root of the data set with the truth")
    data.add_argument("--split", default="test", choices=SPLITS, help="of that data set; all pools 3DPW's three")
    data.add_argument("--protocols", nargs="+", metavar="NAME", help="e.g. 3dpw/lsp14, h36m; default all of 3DPW (or "
        "of the labels' data set); see --list-protocols")  # fmt: skip
    data.add_argument("--frame-step", type=_positive, metavar="N", help="use one frame in N (MPI-INF-3DHP: 1, "
        "Human3.6M: 64)")  # fmt: skip
    data.add_argument("--truth", type=Path, metavar="FILE.npz", help="true bodies of a label table's people, as the "
        "synthetic world writes them; default: found beside the world that the labels are of")  # fmt: skip
    data.add_argument("--body-models", metavar="DIR", help="folder with SMPL, both genders, or free; default: what "
        "the checkpoint or the labels were made with; needed with --submission")  # fmt: skip
    data.add_argument("--cache", default="cache", metavar="DIR", help="folder for indexes of data sets")
    data.add_argument("--batch-size", type=_positive, default=64, metavar="N", help="people at once")
    data.add_argument("--num-workers", type=_count, default=2, metavar="N", help="loader processes")
    data.add_argument("--accelerator", default="auto", choices=("auto", "cpu", "gpu"), help="what to compute on")
    return parser


def _root(text: str) -> tuple[int, ...] | None:
    return None if text == "none" else _indices(text, "+", "a joint such as 0, several such as 2+3, or none")


def _joints(text: str) -> tuple[int, ...]:
    return _indices(text, ",", "joints such as 0,1,4")


def _indices(text: str, separator: str, expected: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(separator)]
    if not all(part.isascii() and part.isdigit() for part in parts) or len(set(map(int, parts))) < len(parts):
        msg = f"{text!r} is not {expected}, each once"
        raise argparse.ArgumentTypeError(msg)
    return tuple(map(int, parts))


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        msg = f"{text!r} is not a number of 0 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _positive(text: str) -> int:
    if (number := _count(text)) < 1:
        msg = f"{text!r} is not a number of 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return number
