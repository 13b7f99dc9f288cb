"""Write the synthetic world's true bodies as label tables: the best labels there can be, to compare others with.

    python -m experiments truth-labels runs/default/none --out runs/truth

RUN is a run on the synthetic world, or a world's folder. A regressor trained on these tables shows what is lost to the
network and its training alone. They are the truth, so nothing that is trained on them may be called a pseudo-GT.

Exit codes: 0 done, 1 failed, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_COLUMNS = ("id", "global_orient", "body_pose", "betas", "transl", "gender", "focal", "princpt")


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments truth-labels", description="True bodies of the synthetic world as label tables."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder with a label table, or a world's folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables, <dataset>-<split> each")
    arguments = parser.parse_args(list(argv))
    for path in truth_files(arguments.run):
        table = arguments.out / path.stem.replace("_train", "-train")
        print(f"{table}: {write_truth_labels(path, table):,} true bodies")
    return 0


def truth_files(folder: Path) -> list[Path]:
    """Files of true bodies of a world, or of the world that a run's labels are of.

    Raises:
        FileNotFoundError: there are none.
    """
    from experiments.evaluation.true_bodies import truth_of

    files = sorted(folder.glob("truth/*_train.npz")) or sorted(folder.glob("world/truth/*_train.npz"))
    for table in sorted(folder.glob("labels/*-train")):
        found = truth_of(table)
        files += [] if found is None or found in files else [found]
    if not files:
        msg = f"{folder}: no true bodies are known: give a run on the synthetic world, or the world's folder"
        raise FileNotFoundError(msg)
    return files


def write_truth_labels(path: Path, folder: Path) -> int:
    """Write one file of true bodies as a label table; returns the number of its rows."""
    from datamodules.exposure import NOTHING, entries
    from datamodules.pseudo_gt.native import LabelWriter

    with np.load(path, allow_pickle=False) as content:
        columns = {name: content[name] for name in _COLUMNS}
    count = len(columns["id"])
    rows = {
        name: values if values.dtype.kind in "OUS" else values.reshape(count, -1) for name, values in columns.items()
    }
    provenance = {"made_by": "true bodies of the synthetic world", "truth": str(path), **entries(NOTHING)}
    with LabelWriter(folder, joint_set=None, image_root=None, provenance=provenance) as writer:
        writer.write(rows)
    return count
