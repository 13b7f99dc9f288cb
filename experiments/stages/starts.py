"""What an annotator's backbone starts from (recipe 2): the stages that train a start, and the files of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch import nn

from datamodules.people import PeopleTable
from datamodules.pose2d import Pose2DDataModule
from datamodules.writing import write_json
from experiments.engine.pipeline import Run, Stage, console
from experiments.engine.processes import gather, on_rank_zero, rank
from experiments.settings import sources
from experiments.stages.prepare import data_key, network_key, people_settings, report_people, world_folder
from experiments.training.trainer import fit, make_trainer, samples_of, steps_of
from lightning_modules.scoring.keypoint_metrics import AREA_OF_BOX, joint_error, oks_ap, pckh
from lightning_modules.starts.generic import GenericModule
from lightning_modules.starts.pose2d import POSE2D_JOINTS, PoseNet2DModule
from lightning_modules.weights.initial_weights import load_initial_weights

_METRICS_FILE = "metrics.json"


def initialise_backbone(run: Run, backbone: nn.Module) -> Path | None:
    """Fill the annotator's backbone as ``recipe.init`` says, say how much of it was filled, and return from where."""
    recipe, stage = run.settings.recipe, run.plan.start_stage
    if recipe.init == "random":
        return None
    if stage is not None:
        path, kind = run.path(stage, "checkpoint"), "file"
    else:
        path, kind = Path(str(run.plan.init_file)), recipe.init
    _fill(run, backbone, path, kind)
    return path


def _fill(run: Run, backbone: nn.Module, path: Path, kind: str) -> None:
    start = load_initial_weights(backbone, path, kind, run.settings.model.min_coverage)
    if rank() == 0:
        console.print(f"  start: {start.text(path)}")


def _data(run: Run, samples: int) -> Pose2DDataModule:
    settings = run.settings.pose2d
    names = run.plan.pose2d
    return Pose2DDataModule(
        {name: sources.source(run.settings, world_folder(run), name) for name in names},
        run.plan.pose2d_shares,
        holdout=settings.holdout,
        # What is hidden from the annotator must not come to it by way of its start.
        hold_out=(run.settings.annotate.holdout, run.settings.seed),
        samples_per_epoch=samples_of(samples, settings.batch_size),
        **people_settings(run, settings.batch_size),
    )


def _train_generic(run: Run, folder: Path) -> dict[str, Any]:
    settings, model = run.settings.generic, run.settings.model
    pl.seed_everything(run.settings.seed, workers=True, verbose=False)
    samples = run.plan.generic_samples
    data = _data(run, samples)
    module = GenericModule(model.backbone, model.input_size, lr=settings.lr)
    final = fit(run, "generic", folder, module, data, steps_of(samples, run.settings.pose2d.batch_size))
    report_people(data)
    return {"checkpoint": final.name, "samples": samples}


def _train_pose2d(run: Run, folder: Path) -> dict[str, Any]:
    settings, model = run.settings.pose2d, run.settings.model
    pl.seed_everything(run.settings.seed, workers=True, verbose=False)
    data = _data(run, settings.samples)
    module = PoseNet2DModule(model.backbone, model.input_size, loss=settings.loss, lr=settings.lr)
    if settings.init_file is not None:
        _fill(run, module.backbone, Path(settings.init_file), "file")
    final = fit(run, "pose2d", folder, module, data, steps_of(settings.samples, settings.batch_size))
    report_people(data)
    metrics = _evaluate_pose2d(run, folder, module, data)
    return {"checkpoint": final.name, "samples": settings.samples, "metrics": metrics}


def _evaluate_pose2d(
    run: Run, folder: Path, module: PoseNet2DModule, data: Pose2DDataModule
) -> dict[str, dict[str, float]]:
    """Judge the network on the people that it has not seen, data set by data set; printed and written by rank zero."""
    data.setup("predict")
    tables = {name: data.target_table(name) for name in data.targets}
    data.targets = [name for name in data.targets if len(tables[name])]
    found: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    if data.targets:
        trainer = make_trainer(run, "pose2d", folder, logs=False)
        for part in gather(_rows(trainer.predict(module, datamodule=data) or [])):
            found |= part
    metrics = {name: _judge(tables[name], found) for name in data.targets}
    on_rank_zero(lambda: write_json(folder / _METRICS_FILE, metrics))
    if rank() == 0:
        for name, values in metrics.items():
            text = ", ".join(f"{key} {value:.1%}" for key, value in values.items() if key != "people")
            console.print(f"  {name}: {values['people']:,} people held out: {text}")
    return metrics


def _rows(batches: list[Any]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Id -> (K, 2) image pixels and (K,) scores."""
    # One loader's batches come as a plain list, several loaders' as a list of lists.
    flat = [batch for part in batches for batch in (part if isinstance(part, list) else [part])]
    return {
        name: (joints, score)
        for batch in flat
        for name, joints, score in zip(
            batch["id"], batch["image_joints_2d"].cpu().numpy(), batch["score"].cpu().numpy(), strict=True
        )
    }


def _judge(table: PeopleTable, found: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> dict[str, float]:
    """Metrics of the joints that both the data set and the network have."""
    own: dict[str | None, int] = {name: i for i, name in enumerate(POSE2D_JOINTS)}
    index = np.array([own.get(name, -1) for name in table.joint_set.body])
    rows = [found[name] for name in table.ids()]
    pred = np.stack([joints for joints, _ in rows])[:, index]
    score = np.stack([scores for _, scores in rows])[:, index[index >= 0]].mean(axis=1)
    true, box = table.column("joints_2d"), table.column("box").astype(np.float64)
    true[:, index < 0, 2] = 0
    values: dict[str, float] = {"people": len(rows), "joint_error": joint_error(pred, true, box[:, 2:].max(axis=1))}
    if table.joint_set.name == "coco17":
        area = AREA_OF_BOX * box[:, 2] * box[:, 3]
        values |= oks_ap(pred, score, true, area, [image.decode() for image in table.column("image").tolist()])
    if {"head_top", "neck"} <= set(table.joint_set.names):
        values["pckh"] = pckh(pred, true, table.joint_set)
    return values


def _pose2d_key(run: Run) -> dict[str, Any]:
    key = {**asdict(run.settings.pose2d), "sources": run.plan.pose2d_shares}
    if key["init_file"] is None:  # as before there was such a setting, so that random starts are used again
        del key["init_file"]
    return key


def _hidden_key(run: Run) -> dict[str, Any]:
    share = run.settings.annotate.holdout
    return {"hidden_joints": [share, run.settings.seed]} if share > 0 else {}


GENERIC = Stage(
    name="generic",
    after=(),
    key=lambda run: {
        "generic": {"samples": run.plan.generic_samples, "lr": run.settings.generic.lr},
        "batch_size": run.settings.pose2d.batch_size,
        "holdout": run.settings.pose2d.holdout,
        "sources": run.plan.pose2d_shares,
        "data": data_key(run, run.plan.pose2d),
        **_hidden_key(run),
        **network_key(run),
    },
    make=_train_generic,
    shared="cache",
)

POSE2D = Stage(
    name="pose2d",
    after=(),
    key=lambda run: {
        "pose2d": _pose2d_key(run),
        "data": data_key(run, run.plan.pose2d),
        **_hidden_key(run),
        **network_key(run),
    },
    make=_train_pose2d,
    shared="cache",
)
