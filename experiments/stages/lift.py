"""Stage lift: what reads 2D joints, trained on projections of recorded poses, without pictures.

Nothing here knows the synthetic world: poses, views and slips are settings, wider than the people to annotate.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from body_models.bodies import body_spec, open_body
from body_models.joint_sets import COCO17, MPII16, JointSet
from datamodules.lift import LiftDataModule, joints_seen
from datamodules.projections import Projections, Views, pose_bodies
from experiments.engine.pipeline import Run, Stage, console
from experiments.engine.processes import on_rank_zero, world_size
from experiments.settings import sources
from experiments.settings.plan import Plan
from experiments.settings.schema import Settings
from experiments.stages.prepare import data_key, report_dropped, world_folder
from experiments.stages.priors import recorded_poses
from experiments.training.trainer import fit
from lightning_modules.annotator import LIFT_LOSSES, AnnotatorModule, Starts
from lightning_modules.networks.slips import Slips
from lightning_modules.scoring.metrics import pa_mpjpe

_VERSION = 1
"""Raised where the same settings train another network."""
_JOINT_COUNTS = (6, 10, 14)
_FRONTAL_DEG = 60.0


def joint_sets(settings: Settings) -> list[JointSet]:
    """What the people to annotate may be annotated with."""
    own = {"coco": COCO17, "mpii": MPII16}
    return list(dict.fromkeys(own.get(name, COCO17) for name in Plan(settings).targets))


def joint_prior(settings: Settings) -> str:
    """The prior whose code is regressed, if one is; the others are terms of the loss, which projections do not need."""
    return settings.recipe.prior if settings.recipe.prior == "vposer" else "none"


def joint_annotator(run: Run) -> AnnotatorModule:
    """The untrained network of joints alone."""
    settings = run.settings
    prior = joint_prior(settings)
    weights = (settings.recipe.prior_file or run.path("prior", "checkpoint")) if prior == "vposer" else None
    module = AnnotatorModule(
        backbone=settings.model.backbone,
        input_size=settings.model.input_size,
        body_models=settings.paths.body_models,
        camera=settings.model.camera,
        head="regression",
        evidence="joints",
        prior=prior,
        prior_width=settings.prior.hidden,
        losses=LIFT_LOSSES,
        optimizer={"lr": settings.lift.lr},
        starts=Starts(prior_weights=weights),
    )
    module.network.slips = Slips(**asdict(settings.annotate.slips))
    return module


def drawn_projections(run: Run) -> Projections:
    """What stays in the mix when people are annotated, so that 2D supervision does not bend poses."""
    settings = run.settings
    body = open_body(settings.paths.body_models)
    views = Views(**asdict(settings.lift.views))
    bodies = pose_bodies(body, recorded_poses(run), settings.lift.bodies, views.shape, settings.seed)
    return Projections(
        bodies, body.spec, joints_seen(joint_sets(settings), body.spec), settings.model.input_size, views
    )


def _train(run: Run, folder: Path) -> dict[str, Any]:
    settings, lift = run.settings, run.settings.lift
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    people = lift.steps * lift.batch_size * world_size()
    data = LiftDataModule(
        sources.root_of(settings, world_folder(run), "amass"),
        joint_sets(settings),
        settings.paths.body_models,
        settings.model.input_size,
        lift.batch_size,
        people,
        lift.bodies,
        asdict(lift.views),
        val_bodies=min(lift.bodies, 2000),
        cache_dir=settings.paths.cache,
        seed=settings.seed,
    )
    module = joint_annotator(run)
    final = fit(run, "lift", folder, module, data, lift.steps)
    report_dropped("poses", data.dropped)
    metrics = on_rank_zero(lambda: _look(module, data))
    return {"checkpoint": final.name, "samples": 0, "projections": people, "metrics": metrics}


def _look(module: AnnotatorModule, data: LiftDataModule) -> dict[str, float]:
    """Held-out errors in mm: by number of joints seen, by yaw, and from views that nothing was trained on."""
    module.cpu().eval()
    found: dict[str, float] = {}
    for name, projections in data.val_data.items():
        errors, turned, yaw = _errors(module, projections, None)
        found |= {f"{name}/pa_mpjpe": float(errors.mean()), f"{name}/turned": 100 * float(turned.mean())}
        if name == "held_out":
            frontal = yaw < _FRONTAL_DEG
            found |= {
                "frontal/pa_mpjpe": float(errors[frontal].mean()),
                "turned_away/pa_mpjpe": float(errors[~frontal].mean()),
            }
            for count in _JOINT_COUNTS:
                some, _, _ = _errors(module, projections, count)
                found[f"joints_{count}/pa_mpjpe"] = float(some.mean())
    console.print(
        f"  {len(data.val_data['held_out']):,} held-out bodies: {found['held_out/pa_mpjpe']:.0f} mm PA-MPJPE from "
        f"their joints alone, {found['elsewhere/pa_mpjpe']:.0f} mm from views that nothing was trained on"
    )
    return found


def _errors(
    module: AnnotatorModule, projections: Projections, count: int | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """PA-MPJPE in mm, whether the root is turned by more than 60 degrees, and the yaw in degrees, of each body."""
    own = slice(len(projections.spec.joints))
    generator = torch.Generator().manual_seed(0)
    parts = []
    for first in range(0, len(projections), 256):
        rows = range(first, min(first + 256, len(projections)))
        batch: Any = projections.__getitems__([(row, row) for row in rows])
        if count is not None:
            batch["joints_2d_conf"] = _keep(batch["joints_2d_conf"], count, generator)
        with torch.no_grad():
            prediction = module(batch)
        true = batch["global_orient"]
        angle = torch.linalg.matrix_norm(prediction.global_orient - true) / 2**0.5  # 2 sin(angle / 2)
        facing = torch.rad2deg(torch.acos((-true[:, 2, 2]).clamp(-1, 1)))
        parts.append((pa_mpjpe(prediction.joints_3d[:, own], batch["joints_3d"][:, own]), angle > 1.0, facing))
    errors, turned, yaw = (torch.cat(part).float().numpy() for part in zip(*parts, strict=True))
    return errors, turned, np.asarray(yaw)


def _keep(confidence: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """The confidences of so many joints of each person, drawn; of the others 0."""
    drawn = torch.rand(confidence.shape, generator=generator) * (confidence > 0)
    least = drawn.topk(count, dim=1).values[:, -1:]
    return confidence * (drawn >= least) * (drawn > 0)


LIFT = Stage(
    name="lift",
    after=("prior",),
    key=lambda run: {
        "version": _VERSION,
        "lift": {name: value for name, value in asdict(run.settings.lift).items() if name != "file"},
        "slips": asdict(run.settings.annotate.slips),
        "joints": [one.name for one in joint_sets(run.settings)],
        "prior": joint_prior(run.settings),
        "model": {name: getattr(run.settings.model, name) for name in ("input_size", "camera")},
        "seed": run.settings.seed,
        "data": data_key(run, ["amass"]),
        "body_models": run.settings.paths.body_models,
        "body": body_spec(run.settings.paths.body_models).kind,
    },
    make=_train,
    shared="cache",
)
