"""Where a result comes from: code, versions, machine and settings, kept beside every label and every number."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from body_models.bodies import body_files, body_spec, open_body
from datamodules.columns import open_columns
from datamodules.exposure import entries
from datamodules.people import PeopleTable
from datamodules.terms import KEY, terms_of
from experiments.engine.pipeline import Run
from experiments.settings import sources
from experiments.settings.schema import to_plain

_PACKAGES = (
    "torch", "pytorch-lightning", "smplx", "numpy", "scipy", "opencv-python-headless",
    "albumentations", "omegaconf", "wandb", "roma", "pyarrow", "scikit-learn",
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


def hardware_text() -> str:
    """The hardware in one line."""
    found = hardware()
    gpus = ", ".join(found["gpus"]) or "no GPU"
    return f"{found['system']} {found['machine']}, {found['threads']} threads, {gpus}"


@cache
def is_free_body(body_models: str) -> bool:
    """Whether these are the free body, not SMPL."""
    return open_body(body_models).is_free_body


def content_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def body_model(body_models: str) -> dict[str, Any]:
    """Which body: whether it is the free body, and the files of its neutral model with their hashes."""
    files = body_files(body_models)
    return {
        "free": is_free_body(body_models),
        "files": {name: {"path": str(path), "sha256": content_hash(path)} for name, path in files.items()},
    }


def people_provenance(people: PeopleTable) -> dict[str, Any]:
    """Where people were read from, by which version of the reader, and who was left out."""
    _, meta = open_columns(people.folder)
    return {
        "people": len(people),
        "dropped": people.dropped,
        "reader": {"version": meta["version"], "arguments": meta["arguments"]},
        "files": [{name: source[name] for name in ("path", "sha256")} for source in meta["sources"]],
    }


def _body_name(body_models: str) -> str:
    """As the terms call it; a body file is of a kind of its own."""
    return "free" if is_free_body(body_models) else body_spec(body_models).kind


def provenance(run: Run, checkpoint: Path | None) -> dict[str, Any]:
    """What is written once into every label table of a run: plain values.

    Args:
        run: that writes the labels.
        checkpoint: of the annotator; None for one that is no network.
    """
    settings, exposure = run.settings, run.plan.exposure
    made_with = {*map(sources.split_of, run.plan.targets), *exposure.seen}
    return {
        "run": run.label,
        "settings": to_plain(settings),
        "stages": {name: record.hash for name, record in run.records.items()},
        "checkpoint": checkpoint and {"path": str(checkpoint), "sha256": content_hash(checkpoint)},
        "commit": code_commit(),
        "versions": versions(),
        "free_body": is_free_body(settings.paths.body_models),
        "body_model": body_model(settings.paths.body_models),
        "synthetic_images": [name for name in run.plan.targets if sources.is_synthetic(settings, name)],
        **entries(exposure),
        KEY: terms_of(_body_name(settings.paths.body_models), made_with, run.plan.synthetic_data_sets),
    }
