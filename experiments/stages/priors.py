"""The stages of recipe 3: the pose prior and the pose mixture, each with a look at what it learned."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from datamodules.pose_prior import PosePriorDataModule
from datamodules.sources.poses import open_poses
from experiments.engine.pipeline import Run, Stage, console
from experiments.engine.processes import on_rank_zero, world_size
from experiments.pictures.prior_report import describe_mixture, describe_samples, describe_vposer
from experiments.settings import sources
from experiments.stages.prepare import data_key, report_dropped, world_folder
from experiments.training.trainer import fit
from lightning_modules.priors.pose_mixture import COMPONENTS, PoseMixture
from lightning_modules.priors.pose_prior import LATENT_SIZE, PosePriorModule

_SAMPLES = 1000
_VERSION = 2
"""Raised where the same settings train another prior, or leave other results."""
_MIXTURE_VERSION = 2
"""Likewise of the mixture; 2 holds out whole sequences."""


def recorded_poses(run: Run) -> NDArray[Any]:
    """(N, K, 3) poses without images of a run, axis-angle; the first process reads them into the cache."""
    root = sources.root_of(run.settings, world_folder(run), "amass")
    on_rank_zero(lambda: len(open_poses(root, run.settings.paths.cache)[0]))
    return open_poses(root, run.settings.paths.cache)[0]


def _train_prior(run: Run, folder: Path) -> dict[str, Any]:
    settings = run.settings.prior
    pl.seed_everything(run.settings.seed, workers=True, verbose=False)
    root = sources.root_of(run.settings, world_folder(run), "amass")
    poses = settings.steps * settings.batch_size * world_size()
    data = PosePriorDataModule(
        root, batch_size=settings.batch_size, samples_per_epoch=poses, cache_dir=run.settings.paths.cache,
        seed=run.settings.seed,
    )  # fmt: skip
    module = PosePriorModule(
        settings.hidden, run.settings.paths.body_models, {"kl": settings.kl_weight}, lr=settings.lr
    )
    final = fit(run, "prior", folder, module, data, settings.steps)
    report_dropped("poses", data.dropped)
    metrics = on_rank_zero(lambda: _look_at_prior(run, module, data, folder))
    return {"checkpoint": final.name, "samples": 0, "poses": poses, "metrics": metrics}


def _look_at_prior(run: Run, module: PosePriorModule, data: PosePriorDataModule, folder: Path) -> dict[str, float]:
    module.cpu().eval()
    held_out = torch.from_numpy(np.array(data.val_data.poses[data.val_data.rows]))
    found = describe_vposer(module, held_out, folder)
    with torch.no_grad():
        latent = torch.randn(_SAMPLES, LATENT_SIZE, generator=torch.Generator().manual_seed(0))
        found |= describe_samples(module.prior.decode_body_pose(latent), folder, run.settings.paths.body_models)
    console.print(
        f"  {len(held_out):,} held-out poses are rebuilt within {found['poses/mpjpe']:.1f} mm and "
        f"{found['poses/angle']:.1f} degrees; samples have {found['samples/limit_violations']:.1f} joints beyond their "
        f"limits ({folder / 'samples.png'})"
    )
    return found


PRIOR = Stage(
    name="prior",
    after=(),
    key=lambda run: {
        "version": _VERSION,
        "prior": asdict(run.settings.prior),
        "seed": run.settings.seed,
        "data": data_key(run, ["amass"]),
        "body_models": run.settings.paths.body_models,
    },
    make=_train_prior,
    shared="cache",
)


def _fit_mixture(run: Run, folder: Path) -> dict[str, Any]:
    root = sources.root_of(run.settings, world_folder(run), "amass")
    # The split of seed 0, as the mixture is the same for all seeds.
    data = PosePriorDataModule(root, cache_dir=run.settings.paths.cache)
    data.setup()
    report_dropped("poses", data.dropped)
    learned, held_out = (part.poses[part.rows] for part in (data.train_data, data.val_data))
    folder.mkdir(parents=True, exist_ok=True)
    mixture = PoseMixture.fit(learned)
    mixture.save(folder / "mixture.npz")
    found = describe_mixture(mixture, learned, held_out, folder)
    console.print(
        f"  {len(held_out):,} held-out poses have a negative log likelihood of {found['poses/nll']:.2f} nats a value, "
        f"those that the mixture was fitted to {found['poses/nll_learned']:.2f}"
    )
    body_pose = mixture.sample(_SAMPLES, torch.Generator().manual_seed(0))
    # Drawn with the free body, because the mixture is the same for every body.
    return {"file": "mixture.npz", "metrics": found | describe_samples(body_pose, folder)}


MIXTURE = Stage(
    name="mixture",
    after=(),
    # The same for all seeds, so that the scores of their labels can be compared.
    key=lambda run: {"version": _MIXTURE_VERSION, "components": COMPONENTS, "data": data_key(run, ["amass"])},
    make=_fit_mixture,
    shared="cache",
    single_process=True,
)
