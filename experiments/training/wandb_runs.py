"""One Weights & Biases run for each stage of a run: grouped by grid, typed by stage, tagged by recipe and sources.

Label tables and checkpoints are artifacts, made by one stage and used by the next, so that the lineage annotator ->
labels -> downstream regressor shows. Offline all of it is written to files that ``wandb sync`` sends later.
"""

from __future__ import annotations

import os
import re
import shlex
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import wandb
from pytorch_lightning.loggers import Logger, WandbLogger

from datamodules.pseudo_gt.native import LABELS_FILE, PROVENANCE_FILE
from experiments.engine.artifacts import key_hash
from experiments.engine.pipeline import Run
from experiments.engine.processes import rank
from experiments.provenance.annotators import annotator_of_run
from experiments.settings.schema import Settings, to_plain

_ID_FILE = "wandb_run_id.txt"
STEP = "trainer/global_step"
"""The one x-axis of all curves."""
# Errors are best at their smallest, shares of correct joints at their largest. No pattern for all beside these: of
# two that fit, wandb takes either.
_SUMMARIES = {"train": "min,last", "val": "min,max,last", "test": "last", "labels": "last", "overlays": "last"}


@dataclass(frozen=True)
class Artifact:
    """Files that a stage makes and others use.

    Attributes:
        name: the same wherever these files are made or used.
        kind: model or labels.
        files: their paths.
    """

    name: str
    kind: str
    files: Sequence[Path]


def model(checkpoint: Path) -> Artifact:
    """A checkpoint, named after the stage and run whose folder it lies in, or after the folder of a shared stage."""
    stage = checkpoint.absolute().parent
    own = (stage.parent / "config.yaml").is_file()
    return Artifact(_named(stage.name, stage.parent) if own else _named(stage.name), "model", [checkpoint])


def labels(folder: Path) -> Artifact:
    """A label table, named after itself and the run in whose labels/ it lies, if it does."""
    folder = folder.absolute()
    run = [folder.parents[1]] if folder.parent.name == "labels" else []
    return Artifact(_named(folder.name, *run), "labels", [folder / LABELS_FILE, folder / PROVENANCE_FILE])


def stage_artifacts(run: Run, *stages: str) -> list[Artifact]:
    """What finished stages of a run left for others."""
    made = []
    for stage in stages:
        record = run.records.get(stage)
        outputs = (record.outputs if record else None) or {}
        if "checkpoint" in outputs:
            made.append(model(run.path(stage, "checkpoint")))
        made += [labels(run.record(stage).folder / table) for table in outputs.get("tables", {}).values()]
    return made


def _named(what: str, run: Path | None = None) -> str:
    parts = [what] if run is None else [what, run.parent.name, run.name]
    return re.sub(r"[^\w.-]", "_", "-".join(parts))


class StageLogger(WandbLogger):
    """Keeps the settings of a run where users filter them: a module's own arguments stand apart, under ``module``."""

    def log_hyperparams(self, params: Any) -> None:
        super().log_hyperparams({"module": vars(params) if isinstance(params, Namespace) else dict(params)})


def wandb_logger(run: Run, stage: str, folder: Path, resumes: bool = False) -> WandbLogger | None:
    """The logger of a stage, None where nothing is logged; only rank zero starts a run.

    Args:
        run: that the stage belongs to.
        stage: its name.
        folder: that the offline files are written to.
        resumes: whether the stage goes on where it was interrupted, in the same W&B run.
    """
    settings = run.settings
    if settings.wandb.mode == "disabled":
        return None
    if rank() != 0:
        return WandbLogger(offline=True, save_dir=str(folder))  # a dummy, as on every other rank
    folder.mkdir(parents=True, exist_ok=True)
    started = wandb.init(
        id=run_id(run, stage, folder, resumes),
        resume="allow",
        dir=str(folder),
        mode=settings.wandb.mode,  # type: ignore[arg-type]
        name="-".join(filter(None, [os.environ.get("WANDB_NAME"), run.label, stage])),
        project=settings.wandb.project,
        entity=settings.wandb.entity,
        group=settings.wandb.group or os.environ.get("WANDB_RUN_GROUP") or settings.name,
        job_type=stage,
        tags=tags_of(run),
        config={**to_plain(settings), "label": run.label, "stage": stage},
        # One that a failed run left open is not continued.
        reinit="finish_previous",
    )
    started.define_metric(STEP)
    for split, summary in _SUMMARIES.items():
        started.define_metric(f"{split}/*", step_metric=STEP, step_sync=True, summary=summary)
    return StageLogger(experiment=started, save_dir=str(folder))


def run_id(run: Run, stage: str, folder: Path, resumes: bool) -> str:
    """Id of a stage's W&B run.

    It is kept beside the stage's files, so that a training that is resumed goes on in the same W&B run. A sweep's agent
    gives one id to the whole process (WANDB_RUN_ID); each stage then has one that is made from it.

    Args:
        run: that the stage belongs to.
        stage: its name.
        folder: that the offline files are written to.
        resumes: whether the stage goes on where it was interrupted.
    """
    if given := os.environ.get("WANDB_RUN_ID"):
        return f"{given}-{stage}-{key_hash({'run': run.settings.name, 'label': run.label})}"
    file = folder / _ID_FILE
    if not (resumes and file.is_file()):
        file.write_text(f"{uuid4().hex[:16]}\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def sync_command(settings: Settings) -> str:
    """The one command that sends what lies offline: of all runs of this name, and of the stages that runs share.

    A training that was resumed lies in several folders with one id, which are sent in the order of their beginning.
    Empty where nothing lies there.
    """
    places = [(Path(settings.paths.runs) / settings.name, "*/*"), (Path(settings.paths.cache), "*")]
    found = [
        f"{shlex.quote(str(root))}/{below}/wandb/offline-run-*"
        for root, below in places
        if any(root.glob(f"{below}/wandb/offline-run-*"))
    ]
    return f"wandb sync {' '.join(found)}" if found else ""


def use_artifacts(logger: WandbLogger | None, run: Run, used: Iterable[Artifact]) -> None:
    """Say which files a stage starts from."""
    for one in used if _logs(logger, run) else ():
        # Run.use_artifact refuses without a network, though the server takes the same record when it is sent later.
        logger.experiment._log_artifact(_to_wandb(run, one), use_after_commit=True)  # type: ignore[union-attr]


def keep_artifacts(logger: WandbLogger | None, run: Run, made: Iterable[Artifact]) -> None:
    """Say which files a stage made."""
    for one in made if _logs(logger, run) else ():
        logger.experiment.log_artifact(_to_wandb(run, one))  # type: ignore[union-attr]


def close(logger: WandbLogger | None) -> None:
    """End the stage's W&B run, so that the next stage starts one of its own."""
    if logger is not None and rank() == 0:
        logger.experiment.finish()


def _logs(logger: WandbLogger | None, run: Run) -> bool:
    return logger is not None and rank() == 0 and run.settings.wandb.artifacts != "none"


def _to_wandb(run: Run, one: Artifact) -> wandb.Artifact:
    made = wandb.Artifact(one.name, one.kind, metadata={"run": run.label, "recipe": annotator_of_run(run).recipe})
    for file in one.files:
        if run.settings.wandb.artifacts == "files":
            # The files of a finished stage do not change, so no copy of them is needed until they are sent.
            made.add_file(str(file), policy="immutable", skip_cache=True)
        else:
            made.add_reference(file.resolve().as_uri())
    return made


def tags_of(run: Run) -> list[str]:
    """What runs are filtered by: the recipe of the labels, its choices, sources and training data; the user's tags."""
    made_by = annotator_of_run(run)
    facts = [("recipe", made_by.recipe), ("init", made_by.init), ("prior", made_by.prior)]
    facts += [("auxiliary", name) for name in made_by.auxiliary]
    facts += [("target", name) for name in run.plan.targets]
    facts += [("trained_on", split) for split in sorted(made_by.exposure.seen)]
    return [*(f"{kind}:{name}" for kind, name in facts if name), *run.settings.wandb.tags]


def logged(loggers: Sequence[Logger]) -> WandbLogger | None:
    """The W&B logger among those of a trainer."""
    return next((logger for logger in loggers if isinstance(logger, WandbLogger)), None)
