"""The data that benches run on."""

from __future__ import annotations

from pathlib import Path

from datamodules.synthetic.world import WORLD_SIZES, make_world


def bench_world(folder: Path) -> Path:
    """The tiny synthetic world, made on first use."""
    return make_world(folder / "world", WORLD_SIZES["tiny"], num_workers=0)
