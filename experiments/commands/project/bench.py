"""Measures how fast and how large the parts are: python -m experiments bench [NAME ...] [--write]

Prints a table for each bench (all of them, if none is named), with hardware, versions and commit. Ratios compare with
a bare computation measured in the same run, or with a limit. Networks are computed on the GPU where there is one, and
on the CPU with CUDA_VISIBLE_DEVICES="". --write keeps the tables in docs/benchmarks.md, each bench in a section of its
own for the CPU and for each kind of GPU; other sections stay as they are.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.writing import write_json, write_text
from experiments.cli import CommandParser
from experiments.documents.markdown import table_lines

if TYPE_CHECKING:
    from experiments.benches.rows import Row

_HEADER = "# Benchmarks\n\nWritten by `python -m experiments bench NAME --write`.\n"


def main(argv: Sequence[str]) -> int:
    """Run benches, print their tables, and keep them if asked to."""
    parser = CommandParser("bench", __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benches to run; a wrong name lists them")
    parser.add_argument("--folder", type=Path, default=Path("data/bench"), help="data made for the benches, kept")
    parser.add_argument("--write", action="store_true", help="keep the tables in the docs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--docs", type=Path, default=Path("docs/benchmarks.md"), help="where --write keeps them")
    arguments = parser.parse_args(argv)
    benches = _benches()
    unknown = [name for name in arguments.names if name not in benches]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(benches)}")
    figures = []
    for name in arguments.names or benches:
        load = os.getloadavg()[0]
        rows = benches[name](arguments.folder)
        title, place = heading(name), measured_on(load)
        text = section(title, rows, place)
        print(text, flush=True)
        if arguments.write:
            known = arguments.docs.read_text(encoding="utf-8") if arguments.docs.is_file() else _HEADER
            write_text(arguments.docs, with_section(known, title, text))
        figures.append({"bench": name, "measured_on": place, "rows": [row._asdict() for row in rows]})
        if arguments.json:
            # After each bench, so that an interrupted run leaves the figures that it has.
            write_json(arguments.json, figures)
    return 0


def _benches() -> dict[str, Callable[[Path], list[Row]]]:
    """Name -> function from the folder for its data to its rows; read from top to bottom."""
    # Here, so that --help is quick.
    from experiments.benches.body_model import bench_body_model
    from experiments.benches.dump import bench_dump, bench_dump_many
    from experiments.benches.images import bench_decode, bench_samples
    from experiments.benches.people_table import bench_people_table
    from experiments.benches.training_step import bench_training_step

    return {
        "people_table": bench_people_table,
        "decode": bench_decode,
        "samples": bench_samples,
        "body_model": bench_body_model,
        "training_step": bench_training_step,
        "dump": bench_dump,
        "dump_many": bench_dump_many,
    }


def heading(name: str) -> str:
    """Of a bench's section: its name, and the GPUs where there are any, whose figures are others than the CPU's."""
    gpus = _gpus()
    return f"{name} on {gpus}" if gpus else name


def measured_on(load: float) -> str:
    """Hardware, versions and commit.

    Args:
        load: processes that were running or waiting when a bench began: figures of a busy machine are too slow.
    """
    from experiments.provenance.records import code_commit, versions

    machine = f"{processor()}, {os.cpu_count()} cores, {memory_gib():.0f} GiB"
    shown = ("python", "torch", "numpy", "opencv-python-headless", "albumentations", "pyarrow")
    packages = ", ".join(f"{package} {versions()[package]}" for package in shown)
    return f"{machine}, {_gpus() or 'no GPU'}, load {load:.1f}; {packages}; commit {code_commit() or 'unknown'}"


def _gpus() -> str:
    from experiments.provenance.records import hardware

    return ", ".join(hardware()["gpus"])


def section(title: str, rows: Sequence[Row], place: str) -> str:
    """Markdown of one bench.

    Args:
        title: its heading.
        rows: its :class:`experiments.benches.rows.Row`.
        place: where it was measured.
    """
    cells = [
        [row.name, f"{row.figure:.4g}", row.unit, row.reference, "" if row.ratio is None else f"{row.ratio:.3g}"]
        for row in rows
    ]
    table = table_lines(["what", "figure", "unit", "compared with", "ratio"], cells)
    return "\n".join([f"## {title}", "", f"{place}.", "", *table, ""])


def with_section(known: str, title: str, text: str) -> str:
    """A document with one section put in, or put in place of the one of that heading that is there."""
    parts = re.split(r"^(?=## )", known, flags=re.MULTILINE)
    found = [part.startswith(f"## {title}\n") for part in parts]
    if any(found):
        parts[found.index(True)] = text
    else:
        parts.append(text)
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    match = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return match[1] if match else platform.processor() or platform.machine()


def memory_gib() -> float:
    """Memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
