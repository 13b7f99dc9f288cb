"""What every test needs before anything else is imported, and one tiny run of the whole loop that many look at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Several test processes share few cores: one thread each. Before torch is imported, which reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# albumentations asks the network for updates on import; wandb would look up hosts; both must not happen in tests.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


@pytest.fixture(scope="session")
def samples_folder() -> Path:
    """Small real data in the official layouts, which is not part of this repository; its tests are skipped without."""
    folder = Path(os.environ.get("THREE_RECIPES_SAMPLES", Path(__file__).parents[2] / "shared" / "samples"))
    if not folder.is_dir():
        pytest.skip(f"no samples of real data at {folder}; set THREE_RECIPES_SAMPLES to their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that keep a run's files in a folder of the test session; caches are shared by all its runs."""
    root = tmp_path_factory.mktemp("tiny")
    folders = [f"paths.{name}={root / name}" for name in ("runs", "cache", "data")]
    return ["size=tiny", *folders, "trainer.accelerator=cpu"]


@pytest.fixture(scope="session")
def tiny_run(tiny_folders: list[str]) -> Path:
    """Folder of the default experiment (two annotators) at size=tiny."""
    from experiments.run import main  # after the environment above is set

    assert main(tiny_folders) == 0
    return Path(tiny_folders[1].partition("=")[2]) / "default"
