"""The annotator's stages: train it on the people it is to annotate, then write a pseudo-GT for each of them."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from body_models.bodies import BodyModels, body_spec
from callbacks.label_rows import body_quality
from callbacks.overlays import OverlayCallback
from callbacks.pseudo_gt_writer import PseudoGTWriter
from datamodules.annotation import AnnotationDataModule
from datamodules.holdout import HoldOut
from datamodules.people import PeopleTable
from datamodules.pseudo_gt.formats import FORMATS, export_labels
from datamodules.pseudo_gt.mocap import fuse_views, is_mocap
from datamodules.pseudo_gt.native import read_labels
from datamodules.pseudo_gt.shards import DumpTable
from experiments.engine.pipeline import Run, Stage, console
from experiments.engine.processes import on_rank_zero, rank
from experiments.evaluation.reprojection import PCK, held_out_errors, reprojection_errors
from experiments.provenance.records import people_provenance, provenance
from experiments.results.finished_runs import label_limits
from experiments.settings import sources
from experiments.settings.plan import Plan
from experiments.settings.schema import Settings
from experiments.stages import fitting
from experiments.stages.lift import drawn_projections
from experiments.stages.prepare import (
    data_key,
    in_effect,
    network_key,
    overlay_people,
    people_settings,
    report_people,
    world_folder,
)
from experiments.stages.priors import recorded_poses
from experiments.stages.starts import initialise_backbone
from experiments.training.trainer import fit, log_results, make_trainer, samples_of, steps_of
from experiments.training.wandb_runs import labels, stage_artifacts
from lightning_modules.annotator import PRIORS, AnnotatorModule, Starts
from lightning_modules.cameras import CROP_ALONE
from lightning_modules.networks.slips import Slips
from lightning_modules.priors.pose_mixture import PoseMixture

_SINGLE_VIEWS = "-single-views"
_WORDS = ("name", "init_used_3dpw_train")
"""Settings of a recipe that say something of it and change no weights."""


def annotation_data(run: Run) -> AnnotationDataModule:
    """The people to annotate, and those who help."""
    settings, annotate = run.settings, run.settings.annotate
    names, helpers = run.plan.targets, run.plan.auxiliary
    world = world_folder(run)
    return AnnotationDataModule(
        targets={name: sources.source(settings, world, name) for name in names},
        auxiliary={name: sources.source(settings, world, name) for name in helpers},
        **train_quotas(run),
        samples_per_epoch=samples_of(samples_seen(run), annotate.batch_size),
        target_min_joints=settings.dump.min_joints,
        pictures=not (run.plan.reads_joints and not run.plan.looks_at_images),
        hold_out=(annotate.holdout, settings.seed),
        drawn=(annotate.projections, partial(drawn_projections, run)) if run.plan.draws_projections else None,
        **people_settings(run, annotate.batch_size),
    )


def samples_seen(run: Run) -> int:
    """People that the annotator sees in training; what its start has seen is counted by the stage that made it."""
    settings = run.settings
    return settings.annotate.samples + (settings.pose2d.samples if settings.recipe.longer else 0)


def train_quotas(run: Run) -> dict[str, Any]:
    """Who is trained on when, as the DataModule takes it: shares of a batch, and those of a first phase, if any."""
    settings = run.settings
    annotated = _shares(run.plan.targets, settings.annotate.targets)
    helping = _shares(run.plan.auxiliary, settings.recipe.auxiliary)
    if not helping or not run.plan.trains_annotator:
        return {"quotas": annotated}
    if settings.recipe.schedule == "pretrain":
        return {"quotas": annotated, "pretrain": (settings.annotate.pretrain_share, helping)}
    if settings.recipe.schedule == "auxiliary_only":
        return {"quotas": helping}
    part = settings.annotate.target_quota
    # A MoCap set may be annotated and help with its 3D joints at once.
    names = [*annotated, *helping]
    return {"quotas": {name: part * annotated.get(name, 0.0) + (1 - part) * helping.get(name, 0.0) for name in names}}


def _shares(names: list[str], weights: dict[str, float]) -> dict[str, float]:
    total = sum(weights[name] for name in names)
    return {name: weights[name] / total for name in names}


def build_annotator(run: Run) -> AnnotatorModule:
    """The untrained annotator that the run's recipe asks for."""
    settings = run.settings
    recipe, annotate = settings.recipe, settings.annotate
    priors = {
        "vposer": lambda: recipe.prior_file or run.path("prior", "checkpoint"),
        "gmm": lambda: recipe.prior_file or run.path("mixture", "file"),
    }
    module = AnnotatorModule(
        backbone=settings.model.backbone,
        input_size=settings.model.input_size,
        body_models=settings.paths.body_models,
        head=settings.model.head,
        camera=settings.model.camera,
        evidence=annotate.evidence,
        prior=recipe.prior,
        prior_width=settings.prior.hidden,
        losses=asdict(annotate.losses),
        loss=annotate.loss,
        tolerance_2d=annotate.tolerance_2d,
        optimizer={"lr": annotate.lr},
        critic_lr=annotate.critic_lr,
        starts=Starts(
            prior_weights=priors[recipe.prior]() if recipe.prior in priors else None,
            prior_poses=recorded_poses(run) if recipe.prior in ("l2", "adversarial") else None,
            lift_weights=_joint_start(run),
        ),
    )
    module.network.slips = Slips(**asdict(annotate.slips)) if run.plan.reads_joints else None
    start = initialise_backbone(run, module.backbone) if run.plan.looks_at_images else None
    if start is not None:
        module.backbone_started(start)
    return module


def _joint_start(run: Run) -> str | Path | None:
    if not run.plan.reads_joints:
        return None
    return run.settings.lift.file or run.path("lift", "checkpoint")


def _train(run: Run, folder: Path) -> dict[str, Any]:
    samples, batch_size = samples_seen(run), run.settings.annotate.batch_size
    pl.seed_everything(run.settings.seed, workers=True, verbose=False)
    module, data = build_annotator(run), annotation_data(run)
    steps = steps_of(samples, batch_size)
    on_rank_zero(data.prepare_data)
    data.setup("fit")
    overlays = OverlayCallback(
        overlay_people(data.predict_dataloader()[0]), run.settings.paths.body_models, folder,
        every_n_steps=max(1, steps // run.settings.trainer.epochs),
    )  # fmt: skip
    final = fit(run, "annotate", folder, module, data, steps, [overlays], uses=stage_artifacts(run, *ANNOTATE.after))
    report_people(data)
    people = {row["source"]: row for row in data.describe()}
    outputs = {"checkpoint": final.name, "samples": samples, "people": people}
    if module.start_coverage is not None:
        outputs["map_coverage"] = module.start_coverage
        console.print(f"  the start filled {module.start_coverage:.1%} of the joint maps, beside the backbone")
    return outputs


def _data_used(run: Run) -> list[str]:
    poses = ["amass"] if run.plan.trains_on_poses else []
    return [*run.plan.targets, *run.plan.auxiliary, *poses]


def annotate_key(settings: Settings) -> dict[str, Any]:
    """The settings of section ``annotate`` that this run's training depends on."""
    key = asdict(settings.annotate)
    del key["method"]  # EFT begins with the same network
    if key["holdout"] == 0:
        del key["holdout"]
    if key["evidence"] == "image":
        for name in ("evidence", "projections", "slips"):
            del key[name]
    unused = {term for prior, terms in PRIORS.items() if prior != settings.recipe.prior for term in terms}
    key["losses"] = in_effect({name: weight for name, weight in key["losses"].items() if name not in unused})
    if not Plan(settings).auxiliary:
        del key["target_quota"]
    if not Plan(settings).auxiliary or settings.recipe.schedule != "pretrain":
        del key["pretrain_share"]
    return key


def _recipe_key(settings: Settings) -> dict[str, Any]:
    key = {name: value for name, value in asdict(settings.recipe).items() if name not in _WORDS}
    if not Plan(settings).auxiliary:
        del key["schedule"]  # of nobody
    return key


def _joint_start_key(run: Run) -> dict[str, Any]:
    """What the joint branch begins with, and what it goes on to see."""
    lift = asdict(run.settings.lift)
    return {"file": lift["file"]} if lift["file"] else {"bodies": lift["bodies"], "views": lift["views"]}


def _fitted_prior(run: Run) -> bool:
    # Other annotators do not depend on the mixture, which only scores their labels.
    return run.settings.recipe.prior == "gmm" and "mixture" in run.records


ANNOTATE = Stage(
    name="annotate",
    after=("prior", "lift", "generic", "pose2d"),
    key=lambda run: {
        "recipe": _recipe_key(run.settings),
        "annotate": annotate_key(run.settings),
        "data": data_key(run, _data_used(run)),
        **({"mixture": run.records["mixture"].hash} if _fitted_prior(run) else {}),
        **({"lift": _joint_start_key(run)} if run.plan.reads_joints else {}),
        "network": {
            "camera": run.settings.model.camera,
            "head": run.settings.model.head,
            # Networks that were trained before heads read it are others.
            **({} if run.settings.model.camera == CROP_ALONE else {"box_info": True}),
        },
        **({"pose2d_samples": run.settings.pose2d.samples} if run.settings.recipe.longer else {}),
        **network_key(run),
    },
    make=_train,
)


def _dump(run: Run, folder: Path) -> dict[str, Any]:
    data = annotation_data(run)
    on_rank_zero(data.prepare_data)
    data.setup("predict")
    module = fitting.annotator(run)
    people = {name: data.target_table(name) for name in data.targets}
    origin = provenance(run, run.path("annotate", "checkpoint") if run.plan.trains_annotator else None)
    # Whatever the rows depend on: an interrupted dump goes on only where all of it is the same.
    key = [(origin["checkpoint"] or {}).get("sha256"), origin["stages"], _dump_key(run)]
    tables = {
        name: DumpTable(
            folder / (table.name + (_SINGLE_VIEWS if is_mocap(table) else "")),
            table,
            {**origin, "data": people_provenance(table)},
            key,
            body_spec(run.settings.paths.body_models),
        )
        for name, table in people.items()
    }
    mixture = _mixture(run)
    mirror = run.settings.dump.mirror and module.mirror_tells
    writer = PseudoGTWriter(list(tables.values()), mixture, mirror, fitting.refiner(run, module), module.evidence)
    trainer = make_trainer(run, "dump", folder, [writer], logs=False)
    trainer.predict(module, datamodule=data, return_predictions=False)

    fused = on_rank_zero(
        lambda: {name: _fuse(run, table, mixture) for name, table in tables.items() if is_mocap(table.people)}
    )
    checks = on_rank_zero(lambda: {name: _export(run, folder, table) for name, table in people.items()})
    limits = on_rank_zero(lambda: {name: _limits(folder / table.name) for name, table in people.items()})
    hidden = on_rank_zero(lambda: {name: _held_out(run, folder / table.name, table) for name, table in people.items()})
    refined: dict[str, float] = {}
    if run.settings.dump.refine != "none":
        refined = on_rank_zero(lambda: {name: _refined(tables[name].folder) for name in people})
    if not run.settings.dump.keep_single_views:
        on_rank_zero(lambda: _remove([tables[name].folder for name in fused]))
    used, made = stage_artifacts(run, "annotate"), [labels(folder / table.name) for table in people.values()]
    # Beside the tables, so that labels/ holds nothing else.
    on_rank_zero(lambda: log_results(run, "dump", run.folder / "dump", _flat(checks, limits, hidden), used, made))
    return {
        "reprojection": checks,
        "limits": limits,
        "held_out": hidden,
        "refined": refined,
        "tables": {name: table.name for name, table in people.items()},
        "mocap": fused,
        "labels": sum(map(len, people.values())),
        "dropped": {name: dict(table.dropped) for name, table in people.items()},
    }


def _flat(
    checks: dict[str, dict[str, float]], limits: dict[str, dict[str, float]], hidden: dict[str, dict[str, float]]
) -> dict[str, float]:
    """What was measured of the labels, under split/source/metric."""
    flat = {f"labels/{name}/reprojection_{key}": value for name, one in checks.items() for key, value in one.items()}
    flat |= {f"labels/{name}/{key}": value for name, one in limits.items() for key, value in one.items()}
    return flat | {f"labels/{name}/held_out_{key}": value for name, one in hidden.items() for key, value in one.items()}


def _limits(table: Path) -> dict[str, float]:
    found = label_limits(table)
    console.print(
        f"  {table.name}: {found['limit_violations']:.2f} joints of a person are beyond their limits, by "
        f"{found['limit_excess_deg']:.1f} degrees together"
    )
    return found


def _refined(table: Path) -> float:
    """Share of a label table whose refinement was accepted."""
    accepted = read_labels(table, ["refinement"]).columns["refinement"] == "accepted"
    console.print(f"  {table.name}: the refinement of {accepted.mean():.0%} of the people was accepted")
    return float(accepted.mean())


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)


def _fuse(run: Run, table: DumpTable, mixture: PoseMixture | None) -> dict[str, float]:
    """Labels of a MoCap set in the world, and in each view through its extrinsics."""
    name, folder = table.people.name, table.folder.parent
    if mixture is not None:
        mixture.cpu()
    bodies = BodyModels(run.settings.paths.body_models)
    found = fuse_views(
        table.folder,
        folder / name,
        folder / f"{name}-world",
        table.people,
        bodies,
        partial(body_quality, bodies.spec, mixture=mixture),
    )
    console.print(
        f"  {name}: {found['frames']:,} frames in the world, {found['views']:.1f} views each, which lie "
        f"{found['view_disagreement_mm']:.0f} mm from their mean"
    )
    return found


def _mixture(run: Run) -> PoseMixture | None:
    if run.plan.scores_poses:
        return PoseMixture.load(run.path("mixture", "file"))
    if run.settings.dump.prior_score and rank() == 0:
        console.print("  no pose sequences (paths.amass) for real people: prior_score will be unknown (NaN)")
    return None


def _export(run: Run, folder: Path, people: PeopleTable) -> dict[str, float]:
    """Write the other layouts of a label table, each read back and compared; measure the labels on the full image.

    Returns:
        Median and 90th percentile of the labelled joints' distance to the re-projected body, in shares of the box.
    """
    body_models = run.settings.paths.body_models
    for name in run.settings.dump.formats:
        of_world = FORMATS[name].camera == "world"
        labels = folder / (f"{people.name}-world" if of_world else people.name)
        if not of_world or is_mocap(people):
            export_labels(labels, name, labels / FORMATS[name].name, body_models)
    known = reprojection_errors(folder / people.name, people, body_models)
    if len(known) == 0:
        return {}
    median, high = np.quantile(known, [0.5, 0.9]).tolist()
    console.print(
        f"  {people.name}: {len(people):,} labels; {len(known):,} labelled joints lie {median:.1%} of the box from the "
        f"re-projected body (median; 90 % within {high:.1%})"
    )
    return {"median": median, "q90": high}


def _held_out(run: Run, table: Path, people: PeopleTable) -> dict[str, float]:
    share = run.settings.annotate.holdout
    if share == 0:
        return {}
    found = held_out_errors(table, people, HoldOut(share, run.settings.seed), run.settings.paths.body_models)
    if found:
        console.print(
            f"  {table.name}: {found['joints']:,.0f} hidden joints lie {found['error']:.1%} of the box from the "
            f"re-projected body in the mean; {found['pck']:.0%} within {PCK:.0%}"
        )
    return found


def _dump_key(run: Run) -> dict[str, Any]:
    # The user's word is written into the labels. The run that a start lies in may be told of later, so it is no part.
    told = run.settings.recipe.init_used_3dpw_train
    word = {} if told is None else {"init_used_3dpw_train": told}
    return {"dump": asdict(run.settings.dump), **word, **fitting.settings_key(run)}


DUMP = Stage(
    name="dump",
    after=("prior", "annotate", "mixture"),
    key=_dump_key,
    make=_dump,
    folder="labels",
)
