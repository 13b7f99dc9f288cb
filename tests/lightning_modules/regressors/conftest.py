"""People of the synthetic world, as a regressor sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from body_models.contracts import Batch
from datamodules.crops import Augmentation
from datamodules.dataset import PeopleDataset, collate
from datamodules.sources import open_source
from datamodules.synthetic.world import WORLD_SIZES, make_world


@pytest.fixture(scope="session")
def eight_people(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Batch]:
    """A function (input_size=48, seed=None) -> batch of the same 8 people with true bodies; augmented with a seed."""
    folder: Path = tmp_path_factory.mktemp("eight")
    world = make_world(folder / "world", WORLD_SIZES["tiny"], num_workers=0)
    table = open_source("threedpw", str(folder / "cache"), root=str(world / "3dpw"), split="train")

    def make(input_size: int = 48, seed: int | None = None) -> Batch:
        people = PeopleDataset(table, "threedpw", input_size, Augmentation())
        return collate([people[3 * row, None if seed is None else seed + row] for row in range(8)])

    return make
