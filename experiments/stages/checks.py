"""What can be said against a run before any of its stages begins: files that are not there, settings that cannot work.

The dry run says all of it and more; a run that begins all the same is refused here, before anything is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import torch

from body_models.model_files import find_model_files
from datamodules.files import MissingFilesError
from datamodules.samplers import SamplingError, quota_counts
from experiments.engine.pipeline import Run
from experiments.settings import plan
from experiments.settings.schema import Settings
from experiments.stages.annotator import train_quotas
from experiments.stages.regressor import labels_of, mixed_tables
from lightning_modules.backbones import make_backbone


def refuse_wrong(run: Run) -> None:
    """Look at what a run names, as far as that is quick.

    Raises:
        MissingFilesError: weights or priors are not there, all of them at once.
        ModelFileError: the body model is not there.
        SamplingError, LabelError: of :func:`check_mixes`.
        BackboneError: timm has no such network, or is not there.
    """
    if missing := missing_files(run.settings):
        raise MissingFilesError(missing)
    if run.settings.paths.body_models != "free":
        find_model_files(run.settings.paths.body_models, "neutral")
    check_mixes(run)
    for name in _networks(run.settings):
        with torch.device("meta"):  # without memory and random numbers
            make_backbone(name)


def missing_files(settings: Settings) -> list[str]:
    """Files of weights and priors that the selected stages read and that are not there, a line each."""
    stages = settings.stages
    given = {
        "recipe.init_file": plan.init_file(settings),
        "pose2d.init_file": settings.pose2d.init_file if _trains_pose2d(settings) else None,
        "recipe.prior_file": settings.recipe.prior_file,
        "smplify.prior_file": settings.smplify.prior_file,
        "downstream.init_file": settings.downstream.init_file if "downstream" in stages else None,
    }
    return [f"{path} ({key})" for key, path in given.items() if path is not None and not Path(path).is_file()]


def check_mixes(run: Run) -> None:
    """Refuse mixes of data sets that cannot be drawn from: too small a batch, or labels that are not in the mix.

    Raises:
        SamplingError: naming the setting that is too small.
        LabelError: labels are not where the settings say, or do not fit the mix.
    """
    settings, stages = run.settings, run.settings.stages
    if "annotate" in stages and plan.trains_annotator(settings):
        quotas = train_quotas(run)
        _check_batch(settings, "annotate", settings.annotate.batch_size, quotas["quotas"])
        if "pretrain" in quotas:
            _check_batch(settings, "annotate", settings.annotate.batch_size, quotas["pretrain"][1])
    if any(stage in stages and plan.needs_start(settings, stage) for stage in ("generic", "pose2d")):
        _check_batch(settings, "pose2d", settings.pose2d.batch_size, plan.pose2d_shares(settings))
    if "downstream" in stages:
        given = settings.labels.folders is not None
        labels = labels_of(run) if given else dict.fromkeys(plan.targets(settings), run.folder)
        chosen = mixed_tables(settings, labels)
        if plan.mixed(settings):
            mix = {name: settings.downstream.mix[name] for name in chosen}
            _check_batch(settings, "downstream", settings.downstream.batch_size, mix)


def _check_batch(settings: Settings, stage: str, batch_size: int, quotas: Mapping[str, float]) -> None:
    processes, shares = settings.trainer.devices * settings.trainer.num_nodes, list(quotas.values())
    if _fits(shares, batch_size * processes):
        return
    least = next(size for size in itertools.count(batch_size + 1) if _fits(shares, size * processes))
    written = ", ".join(f"{name}: {share:.3g}" for name, share in quotas.items())
    msg = (
        f"{stage}.batch_size={batch_size} gives a data set of {{{written}}} nobody in a batch; the nearest that fits "
        f"is {least}"
    )
    raise SamplingError(msg)


def _fits(shares: list[float], batch: int) -> bool:
    try:
        return bool(quota_counts(shares, batch))
    except SamplingError:
        return False


def _trains_pose2d(settings: Settings) -> bool:
    return "pose2d" in settings.stages and plan.needs_start(settings, "pose2d")


def _networks(settings: Settings) -> list[str]:
    """Backbones that the selected stages build."""
    stages = settings.stages
    own = {"generic", "pose2d", "annotate"} & set(stages)
    names = [settings.model.backbone] if own else []
    return [*names, settings.downstream.backbone] if "downstream" in stages else names
