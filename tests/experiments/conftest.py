"""One tiny run of the whole loop, shared by all tests that look at what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.run import main


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that keep a run's files in a folder of the test session; caches are shared by all its runs."""
    root = tmp_path_factory.mktemp("tiny")
    return ["size=tiny", f"paths.runs={root / 'runs'}", f"paths.cache={root / 'cache'}", "trainer.accelerator=cpu"]


@pytest.fixture(scope="session")
def tiny_run(tiny_folders: list[str]) -> Path:
    """Folder of the default experiment (two annotators) at size=tiny."""
    assert main(tiny_folders) == 0
    return Path(tiny_folders[1].partition("=")[2]) / "default"
