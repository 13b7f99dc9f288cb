"""The proof of the labels: a downstream regressor trained on them, and the errors of both on true bodies."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from body_models.rotations import axis_angle_to_matrix, mean_rotations, upright
from callbacks.evaluator_3dpw import ThreeDPWEvaluator
from callbacks.leakage import refuse_leaks
from callbacks.overlays import OverlayCallback
from datamodules.downstream import DownstreamDataModule
from datamodules.pseudo_gt.native import LabelError, read_labels, read_provenance
from datamodules.sources.poses import open_poses
from experiments.engine.data_hashes import label_content
from experiments.engine.pipeline import Run, Stage
from experiments.engine.processes import on_rank_zero
from experiments.evaluation.true_bodies import bodies_of, compare_with_truth
from experiments.exposure import checkpoint_exposure, combined_exposure, read_exposure
from experiments.provenance.given_labels import given_tables
from experiments.settings import plan
from experiments.settings.schema import AUXILIARY, Settings
from experiments.stages.prepare import (
    data_key,
    in_effect,
    network_key,
    overlay_people,
    people_settings,
    report_people,
    world_folder,
)
from experiments.training.trainer import fit, log_results, make_trainer, samples_of, steps_of
from experiments.training.wandb_runs import labels, stage_artifacts
from lightning_modules.mesh_regressor import MeshRegressorModule
from lightning_modules.scoring.protocols import Bodies

_FILTERS_ALWAYS = (
    "max_error_2d", "min_joints", "max_abs_beta", "max_prior_score", "max_mirror_disagreement", "max_limit_excess_deg",
    "refined_only", "max_quality_score",
)  # fmt: skip
MONITOR = "val/threedpw/lsp14_pa_mpjpe"
"""Checkpoints are chosen on 3DPW's validation split, never on its test split."""


def labels_of(run: Run) -> dict[str, Path]:
    """Target -> folder of the label table that the downstream regressor is trained on."""
    given = run.settings.labels.folders
    if given is None:
        return {name: run.record("dump").folder / table for name, table in _tables(run).items()}
    return given_tables(given)


def _trained_on(run: Run) -> dict[str, Path | None]:
    """Data set -> folder of its labels, or None where it is trained on with its own 3D ground truth."""
    return mixed_tables(run.settings, labels_of(run))


def mixed_tables(settings: Settings, tables: dict[str, Path]) -> dict[str, Path | None]:
    """The data sets that a regressor is trained on.

    Args:
        settings: of the run.
        tables: target -> folder of its label table.

    Returns:
        Data set -> folder of its labels, or None where it is trained on with its own 3D ground truth.

    Raises:
        LabelError: labels and mix do not fit together.
    """
    mix = plan.mixed(settings)
    if not mix:
        return {**tables}
    if strangers := [name for name in tables if name not in mix]:
        msg = (
            f"there are labels of {', '.join(strangers)}, which downstream.mix leaves out: add them, or leave them out"
        )
        raise LabelError(msg)
    bare = [name for name in mix if name not in tables and name not in AUXILIARY]
    if bare and tables:
        msg = f"downstream.mix names {', '.join(bare)}, which labels= has no table of: add one, or set the share to 0"
        raise LabelError(msg)
    # Without any labels what is left is the mix's 3D ground truth: the yardstick of every label set.
    chosen = {name: tables.get(name) for name in mix if name not in bare}
    if not chosen:
        msg = f"nobody to train on: there are no labels, and {', '.join(bare)} have no 3D ground truth of their own"
        raise LabelError(msg)
    return chosen


def _tables(run: Run) -> dict[str, str]:
    return run.output("dump", "tables")


def downstream_data(run: Run) -> DownstreamDataModule:
    """People with pseudo-GTs to train on; 3DPW to choose a checkpoint and to test."""
    settings, downstream = run.settings, run.settings.downstream
    world, view = world_folder(run), asdict(settings.labels.filter)
    chosen, mix = _trained_on(run), plan.mixed(settings)
    labelled: dict[str, dict[str, Any]] = {
        name: {} if folder is None else {"labels": str(folder), "label_filter": view} for name, folder in chosen.items()
    }
    return DownstreamDataModule(
        {name: plan.source(settings, world, name, **options) for name, options in labelled.items()},
        quotas={name: downstream.mix[name] for name in chosen} if mix else None,
        threedpw=plan.root_of(settings, world, "threedpw_test"),
        samples_per_epoch=samples_of(downstream.samples, downstream.batch_size),
        **people_settings(run, downstream.batch_size),
    )


def build_regressor(run: Run, init_file: str | None) -> MeshRegressorModule:
    """The untrained regressor that the run asks for, its backbone from a file, if any."""
    settings, downstream = run.settings, run.settings.downstream
    return MeshRegressorModule(
        backbone=downstream.backbone,
        input_size=settings.model.input_size,
        body_models=settings.paths.body_models,
        family=downstream.family,
        losses=asdict(downstream.losses),
        optimizer={"lr": downstream.lr},
        backbone_weights=init_file,
        min_coverage=settings.model.min_coverage,
    )


def _train(run: Run, folder: Path) -> dict[str, Any]:
    settings, downstream = run.settings, run.settings.downstream
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    module = build_regressor(run, downstream.init_file)
    data = downstream_data(run)
    evaluator = ThreeDPWEvaluator(settings.paths.body_models, settings.evaluate.protocols)
    on_rank_zero(data.prepare_data)
    data.setup("fit")
    shown = overlay_people(cast(DataLoader[Any], data.val_dataloader()))
    overlays = OverlayCallback(shown, settings.paths.body_models, folder)
    steps = steps_of(downstream.samples, downstream.batch_size)
    used = [labels(table) for table in labels_of(run).values()]
    best = fit(run, "downstream", folder, module, data, steps, [evaluator, overlays], MONITOR, used)
    report_people(data)
    people = {row["source"]: row for row in data.describe() if row["trained"]}
    return {"checkpoint": best.name, "samples": downstream.samples, "people": people}


def regressor_saw_threedpw(run: Run) -> bool | None:
    """Whether the regressor, or whoever made its labels, was trained on 3DPW's training set; None where unknown."""
    chosen = _trained_on(run)
    told = [read_exposure(read_provenance(table)["provenance"]) for table in chosen.values() if table is not None]
    start = run.settings.downstream.init_file
    # Starts are mostly published backbones, which have no run to tell of them: only a yes counts.
    told.append(start is not None and bool(checkpoint_exposure(Path(start))))
    return combined_exposure(["threedpw_train" in chosen, *told])


def downstream_key(settings: Settings) -> dict[str, Any]:
    """The settings of section ``downstream`` that a training depends on."""
    key = asdict(settings.downstream)
    return {**key, "losses": in_effect(key["losses"]), "mix": in_effect(key["mix"])}


DOWNSTREAM = Stage(
    name="downstream",
    after=("dump",),
    key=lambda run: {
        "downstream": downstream_key(run.settings),
        "labels": {
            "folders": run.settings.labels.folders,
            "filter": in_effect(asdict(run.settings.labels.filter), _FILTERS_ALWAYS),
        },
        # Where other labels came from; the run's own are told by the dump's key.
        **({"label_tables": list(map(label_content, labels_of(run).values()))} if run.settings.labels.folders else {}),
        "data": data_key(
            run,
            list(dict.fromkeys([*plan.targets(run.settings), *plan.mixed(run.settings), "threedpw_validation"])),
        ),
        **network_key(run),
    },
    make=_train,
    takes=lambda run: ["dump"] if run.settings.labels.folders is None else [],
)


def _evaluate(run: Run, folder: Path) -> dict[str, Any]:
    outputs: dict[str, Any] = {"labels": {}, "downstream": None}
    if truths := _truths(run):
        outputs["labels"] = on_rank_zero(lambda: _evaluate_labels(run, truths, folder))
    if "downstream" in run.records:
        settings = run.settings
        data = downstream_data(run)
        module = MeshRegressorModule.load_from_checkpoint(run.path("downstream", "checkpoint"), weights_only=True)
        on_rank_zero(data.prepare_data)
        data.setup("test")
        # The data may have changed since the training, or the labels come from elsewhere.
        refuse_leaks(data, ["test"])
        counted = {
            protocol: set(data.evaluation_table("test").ids()) - set(data.evaluation_table("test", protocol).ids())
            for protocol in settings.evaluate.protocols
        }
        evaluator = ThreeDPWEvaluator(
            settings.paths.body_models, settings.evaluate.protocols, folder=folder, excluded=counted
        )
        trainer = make_trainer(run, "evaluate", folder, [evaluator], logs=False)
        trainer.test(module, datamodule=data, verbose=False)
        assert evaluator.evaluation is not None
        outputs["downstream"] = {
            "file": "test_threedpw.npz",
            "metrics": evaluator.evaluation.means(),
            "people": len(evaluator.evaluation.ids),
            "excluded": evaluator.evaluation.excluded,
        }
    used = stage_artifacts(run, "dump", "downstream")
    on_rank_zero(lambda: log_results(run, "evaluate", folder, _flat(outputs), used))
    return outputs


def _flat(outputs: dict[str, Any]) -> dict[str, float]:
    """Results under split/source/metric."""
    flat = {
        f"labels/{name}/{metric}": value
        for name, part in outputs["labels"].items()
        for metric, value in part["metrics"].items()
    }
    if outputs["downstream"]:
        flat |= {f"test/threedpw/{metric}": value for metric, value in outputs["downstream"]["metrics"].items()}
    return flat


EVALUATE = Stage(
    name="evaluate",
    after=("dump", "downstream"),
    key=lambda run: {
        "protocols": run.settings.evaluate.protocols,
        "data": data_key(run, [*plan.targets(run.settings), "threedpw_test"]),
    },
    make=_evaluate,
)


def _judged(run: Run) -> dict[str, Path]:
    """Label tables that are compared with true bodies: the run's own, or else those that it trained on."""
    if "dump" in run.records:
        return {name: run.record("dump").folder / table for name, table in _tables(run).items()}
    return labels_of(run) if run.settings.labels.folders else {}


def _truths(run: Run) -> dict[str, Path]:
    """True bodies by target, known of synthetic people only; nothing but this evaluation reads them."""
    world = world_folder(run)
    if world is None:
        return {}
    names = [name for name in _judged(run) if plan.is_synthetic(run.settings, name)]
    files = {name: world / "truth" / f"{name}_train.npz" for name in names}
    return {name: file for name, file in files.items() if file.is_file()}  # of the people in the wild alone


def _evaluate_labels(run: Run, truths: dict[str, Path], folder: Path) -> dict[str, Any]:
    results = {}
    tables = _judged(run)
    for name, truth in truths.items():
        columns = read_labels(tables[name], ["id", "global_orient", "body_pose", "betas"]).columns
        body_models = run.settings.paths.body_models
        evaluation = compare_with_truth(body_models, list(columns["id"]), bodies_of(columns), truth)
        evaluation.save(folder / f"labels_{name}.npz")
        results[name] = {
            "file": f"labels_{name}.npz",
            "metrics": evaluation.means(),
            "people": len(evaluation.ids),
        }
    return results


def mean_pose_bodies(run: Run, count: int) -> Bodies:
    """The yardstick: for everyone the mean pose of the pose sequences, upright and facing the camera, mean shape."""
    root = plan.root_of(run.settings, world_folder(run), "amass")
    poses = open_poses(root, run.settings.paths.cache).body_pose
    mean: Tensor = mean_rotations(axis_angle_to_matrix(torch.tensor(np.asarray(poses))))
    body_pose = torch.eye(3).repeat(23, 1, 1)
    body_pose[: len(mean)] = mean
    return Bodies(
        upright().expand(count, 3, 3), body_pose.expand(count, 23, 3, 3), torch.zeros(count, 10),
        torch.zeros(count, dtype=torch.int64),
    )  # fmt: skip
