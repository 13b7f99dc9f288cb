"""A package of somebody else in a folder: its module, and the metadata by which it is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.repository import ROOT


def write_package(folder: Path, source: str, points: Mapping[str, str]) -> None:
    """Write ``toy_package`` as an installer would leave it.

    Args:
        folder: to be searched for packages.
        source: of the module ``toy_package.parts``.
        points: ``group.name`` -> object of that module, for example ``{"benchmarks.toy": "BENCHMARK"}``.
    """
    (folder / "toy_package").mkdir(parents=True)
    (folder / "toy_package" / "__init__.py").touch()
    (folder / "toy_package" / "parts.py").write_text(source)
    info = folder / "toy_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-package\nVersion: 1.0\n")
    lines = []
    for point, target in points.items():
        group, name = point.split(".")
        lines += [f"[three_recipes.{group}]", f"{name} = toy_package.parts:{target}"]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def run_beside(folder: Path, arguments: Sequence[str], timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run Python where the package is installed beside this project."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip
