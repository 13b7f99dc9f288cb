"""What can be said against a run before any of its stages begins: files that are not there, settings that cannot work.

The dry run says all of it and more; a run that begins all the same is refused here, before anything is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch

from body_models.bodies import body_files
from callbacks.leakage import refuse_exposure
from datamodules.exposure import read_exposure
from datamodules.files import MissingFilesError
from datamodules.pseudo_gt.native import read_provenance
from datamodules.samplers import SamplingError, quota_counts
from experiments.engine.pipeline import Run
from experiments.exposure import checkpoint_exposure
from experiments.settings.plan import Plan
from experiments.settings.schema import Settings
from experiments.stages.annotator import train_quotas
from experiments.stages.regressor import labels_of, mixed_tables
from lightning_modules.backbones import make_backbone


class MissingPackageError(RuntimeError):
    """A setting asks for a package that is not installed."""


def refuse_wrong(run: Run) -> None:
    """Look at what a run names, as far as that is quick.

    Raises:
        MissingFilesError: weights or priors are not there, all of them at once.
        ModelFileError: the body model is not there.
        SamplingError, LabelError: of :func:`check_mixes`.
        LeakageError: of :func:`check_exposure`.
        MissingPackageError: of :func:`check_loggers`.
        BackboneError: timm has no such network, or is not there.
    """
    if missing := missing_files(run.settings):
        raise MissingFilesError(missing)
    body_files(run.settings.paths.body_models)
    check_mixes(run)
    check_exposure(run)
    check_loggers(run.settings)
    for name in _networks(run.settings):
        with torch.device("meta"):  # without memory and random numbers
            make_backbone(name)


def check_exposure(run: Run) -> None:
    """Refuse starts and labels of networks that were trained on people who are kept for an evaluation.

    Raises:
        LeakageError: naming them.
    """
    settings = run.settings
    given = {"recipe.init_file": run.plan.init_file, "downstream.init_file": settings.downstream.init_file}
    for key, path in given.items():
        if path is not None:
            refuse_exposure(checkpoint_exposure(Path(path)), f"the weights of {key}={path}")
    for table in labels_of(run).values() if settings.labels.folders is not None else ():
        refuse_exposure(read_exposure(read_provenance(table)["provenance"]), f"the labels in {table}")


def check_loggers(settings: Settings) -> None:
    """Refuse a logger whose package is not there, before anything is trained.

    Raises:
        MissingPackageError: naming it, and how to get it.
    """
    if "tensorboard" in settings.logger and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
        msg = "logger=tensorboard needs the package tensorboard, which is not installed: pip install tensorboard"
        raise MissingPackageError(msg)


def missing_files(settings: Settings) -> list[str]:
    """Files of weights and priors that the selected stages read and that are not there, a line each."""
    stages = settings.stages
    given = {
        "recipe.init_file": Plan(settings).init_file,
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
    if "annotate" in stages and run.plan.trains_annotator:
        quotas = train_quotas(run)
        _check_batch(settings, "annotate", settings.annotate.batch_size, quotas["quotas"])
        if "pretrain" in quotas:
            _check_batch(settings, "annotate", settings.annotate.batch_size, quotas["pretrain"][1])
    if any(stage in stages and stage in run.plan.reasons for stage in ("generic", "pose2d")):
        _check_batch(settings, "pose2d", settings.pose2d.batch_size, run.plan.pose2d_shares)
    if "downstream" in stages:
        given = settings.labels.folders is not None
        labels = labels_of(run) if given else dict.fromkeys(run.plan.targets, run.folder)
        chosen = mixed_tables(settings, labels)
        if run.plan.mixed:
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
    return "pose2d" in settings.stages and "pose2d" in Plan(settings).reasons


def _networks(settings: Settings) -> list[str]:
    """Backbones that the selected stages build."""
    stages = settings.stages
    own = {"generic", "pose2d", "annotate"} & set(stages)
    names = [settings.model.backbone] if own else []
    return [*names, settings.downstream.backbone] if "downstream" in stages else names
