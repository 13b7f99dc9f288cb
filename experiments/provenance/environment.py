"""environment.json: on what a run was made, so that its numbers can be explained, and made again.

============ ===============================================================================================
key          content
============ ===============================================================================================
commit       of the code, with "-dirty" where files differ from it; null outside a git checkout
versions     ``{package: version}``, with Python's
hardware     ``{"machine", "system", "threads", "gpus", "processes"}``
host         name of the machine
command      arguments of the process
scheduler    ``{variable: value}`` of SLURM's job, step and task, empty outside of it
body_model   ``{"free": bool, "files": {name: {"path", "sha256"}}}``
data         ``{source: {"people", "dropped", "reader", "files": [{"path", "sha256"}]}}`` of every source that is used,
             those of stages that an earlier command ran among them; of pose sequences and of the synthetic world
             see ``content`` in :func:`experiments.engine.data_hashes.content`
============ ===============================================================================================
"""

from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from datamodules.writing import write_json
from experiments.engine.data_hashes import content, people_of
from experiments.engine.pipeline import Run
from experiments.engine.processes import world_size
from experiments.provenance.records import body_model, code_commit, hardware, people_provenance, versions
from experiments.settings import sources
from experiments.settings.plan import Plan
from experiments.settings.schema import STAGES, Settings

ENVIRONMENT_FILE = "environment.json"


def write_environment(run: Run) -> Path:
    """Write what the run was made on; the people tables that it used are in the cache by then."""
    settings = run.settings
    path = run.folder / ENVIRONMENT_FILE
    scheduler = {name: value for name, value in sorted(os.environ.items()) if name.startswith("SLURM_")}
    write_json(
        path,
        {
            "commit": code_commit(),
            "versions": versions(),
            "hardware": {**hardware(), "processes": world_size()},
            "host": socket.gethostname(),
            "command": sys.argv,
            "scheduler": {name: scheduler[name] for name in scheduler if name.endswith(("_ID", "_NODELIST"))},
            "body_model": body_model(settings.paths.body_models),
            "data": {**_told_earlier(path, settings), **{name: _data(run, name) for name in run.plan.used}},
        },
    )
    return path


def _told_earlier(path: Path, settings: Settings) -> dict[str, Any]:
    """Data of the stages that an earlier command ran, which this one does not look at again."""
    told = json.loads(path.read_bytes()).get("data", {}) if path.is_file() else {}
    possible = Plan(replace(settings, stages=list(STAGES))).used
    return {name: what for name, what in told.items() if name in possible}


def _data(run: Run, name: str) -> dict[str, Any]:
    if sources.is_synthetic(run.settings, name):
        world = run.records.get("world")
        return {"synthetic": None if world is None else world.hash}
    if name == "amass":
        return {"content": content(run.settings, name)}
    return people_provenance(people_of(run.settings, name))
