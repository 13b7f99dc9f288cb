"""Where a result comes from: code, versions, machine and settings, kept beside every label and every number."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from body_models.model_files import read_model_files
from experiments import sources
from experiments.pipeline import Run
from experiments.settings import to_plain

_PACKAGES = (
    "torch", "pytorch-lightning", "torchmetrics", "smplx", "numpy", "scipy", "opencv-python-headless",
    "albumentations", "omegaconf", "wandb", "roma", "pyarrow",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


@cache
def code_commit() -> str | None:
    """Commit of the code, with "-dirty" where files differ from it; None outside a git checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None


@cache
def hardware() -> dict[str, Any]:
    """What the run computes on."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }


@cache
def is_standin(body_models: str) -> bool:
    """Whether the body is the licence-free stand-in."""
    return read_model_files(body_models, "neutral").is_standin


def provenance(run: Run) -> dict[str, Any]:
    """What is written once into every label table of a run: plain values."""
    settings = run.settings
    return {
        "run": run.label,
        "settings": to_plain(settings),
        "stages": {name: record.hash for name, record in run.records.items()},
        "commit": code_commit(),
        "versions": versions(),
        "standin_body": is_standin(settings.paths.body_models),
        "synthetic_images": [name for name in sources.targets(settings) if sources.is_synthetic(settings, name)],
        "used_3dpw_train": sources.trained_on_threedpw(settings),
    }
