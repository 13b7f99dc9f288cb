"""Measures how fast and how large the parts are: python -m experiments bench [NAME ...] [--write]

Prints a table for each bench (all of them, if none is named), with hardware, versions and commit. Ratios compare with
a bare computation measured in the same run, or with a limit. --write keeps the tables in docs/benchmarks.md, each
bench in a section of its own; sections of other benches stay as they are.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.cli import CommandParser

_HEADER = "# Benchmarks\n\nWritten by `python -m experiments bench NAME --write`.\n"


def main(argv: Sequence[str]) -> int:
    """Run benches, print their tables, and keep them if asked to."""
    parser = CommandParser("bench", __doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benches to run; a wrong name lists them")
    parser.add_argument("--folder", type=Path, default=Path("data/bench"), help="data made for the benches, kept")
    parser.add_argument("--write", action="store_true", help="keep the tables in the docs")
    parser.add_argument("--docs", type=Path, default=Path("docs/benchmarks.md"), help="where --write keeps them")
    arguments = parser.parse_args(argv)
    benches = _benches()
    unknown = [name for name in arguments.names if name not in benches]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(benches)}")
    for name in arguments.names or benches:
        load = os.getloadavg()[0]
        text = section(name, benches[name](arguments.folder), load)
        print(text)
        if arguments.write:
            known = arguments.docs.read_text(encoding="utf-8") if arguments.docs.is_file() else _HEADER
            arguments.docs.write_text(with_section(known, name, text), encoding="utf-8")
    return 0


def _benches() -> dict[str, Callable]:
    """Name -> function from the folder for its data to its rows; read from top to bottom."""
    # Here, so that --help is quick.
    from experiments.benches.dump import bench_dump, bench_dump_many
    from experiments.benches.images import bench_decode, bench_samples
    from experiments.benches.people_table import bench_people_table

    return {
        "people_table": bench_people_table,
        "decode": bench_decode,
        "samples": bench_samples,
        "dump": bench_dump,
        "dump_many": bench_dump_many,
    }


def section(name: str, rows: Sequence, load: float) -> str:
    """Markdown of one bench: a heading with its name, where it was measured, and a table of its rows.

    Args:
        name: of the bench.
        rows: its :class:`experiments.benches.rows.Row`.
        load: processes that were running or waiting when it began: figures of a busy machine are too slow.
    """
    from experiments.provenance.records import code_commit, hardware, versions

    machine = f"{processor()}, {os.cpu_count()} cores, {memory_gib():.0f} GiB"
    gpus = ", ".join(hardware()["gpus"]) or "no GPU"
    shown = ("python", "torch", "numpy", "opencv-python-headless", "albumentations", "pyarrow")
    packages = ", ".join(f"{package} {versions()[package]}" for package in shown)
    lines = [
        f"| {row.name} | {row.figure:.4g} | {row.unit} | {row.reference} | "
        f"{'' if row.ratio is None else f'{row.ratio:.3g}'} |"
        for row in rows
    ]
    return "\n".join(
        [f"## {name}", "", f"{machine}, {gpus}, load {load:.1f}; {packages}; commit {code_commit() or 'unknown'}.", "",
         "| what | figure | unit | compared with | ratio |", "| --- | --- | --- | --- | --- |", *lines, ""]
    )  # fmt: skip


def with_section(known: str, name: str, text: str) -> str:
    """A document with the section of one bench put in, or put in place of the one that is there."""
    parts = re.split(r"^(?=## )", known, flags=re.MULTILINE)
    found = [part.startswith(f"## {name}\n") for part in parts]
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
