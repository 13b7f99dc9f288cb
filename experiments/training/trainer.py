"""The Trainer that every stage gets: machine settings, loggers, checkpoints and progress in one place."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy, Strategy
from pytorch_lightning.utilities.exceptions import SIGTERMException

from callbacks.batchnorm import BatchNormAverage
from callbacks.leakage import LeakageGuard
from callbacks.progress import progress_bar
from callbacks.save_on_sigterm import SaveOnSigterm
from callbacks.step_seed import StepSeed
from experiments.engine.pipeline import Run
from experiments.engine.processes import launched_outside, local_world, on_rank_zero, world_size
from experiments.training.metric_logs import METRICS
from experiments.training.wandb_runs import Artifact, close, keep_artifacts, logged, model, use_artifacts, wandb_logger

TENSORBOARD = "tensorboard"
"""Folder of a stage's TensorBoard logs: tensorboard --logdir runs/NAME shows those of all runs."""
LAST, FINAL, BEST = "last.ckpt", "final.ckpt", "best.ckpt"


def steps_of(samples: int, batch_size: int) -> int:
    """Optimiser steps in which all processes together see so many people."""
    return max(1, samples // (batch_size * world_size()))


def samples_of(samples: int, batch_size: int) -> int:
    """People in a training's one epoch: all of it, so that a position within it is a number of steps."""
    return steps_of(samples, batch_size) * batch_size * world_size()


def fit(
    run: Run,
    stage: str,
    folder: Path,
    module: pl.LightningModule,
    data: pl.LightningDataModule,
    steps: int,
    callbacks: Sequence[pl.Callback] = (),
    monitor: str | None = None,
    uses: Sequence[Artifact] = (),
) -> Path:
    """Train a module, from where an interrupted training of the same stage stopped.

    Args:
        run: that the stage belongs to.
        stage: its name.
        folder: where checkpoints and metrics go.
        module: what to train.
        data: what to train on.
        steps: optimiser steps of one batch each; with trainer.extra.accumulate_grad_batches fewer, of several.
        callbacks: beside those that every stage has.
        monitor: metric whose smallest value chooses the checkpoint; None takes the last.
        uses: what earlier stages made and this one starts from, for the lineage in Weights & Biases.

    Returns:
        The checkpoint to go on with.

    Raises:
        SystemExit: 143, after the step in which SIGTERM came; one process has saved it.
    """
    batches_a_step = run.settings.trainer.extra.get("accumulate_grad_batches", 1)
    steps = max(1, steps // batches_a_step)
    interval = max(1, steps // run.settings.trainer.epochs)
    last = ModelCheckpoint(
        folder, Path(LAST).stem, save_top_k=1, every_n_train_steps=interval, enable_version_counter=False
    )
    kept: list[pl.Callback] = [last, SaveOnSigterm(folder / LAST)]
    if monitor is not None:
        kept.append(
            ModelCheckpoint(
                folder, Path(BEST).stem, monitor, mode="min", save_weights_only=True, enable_version_counter=False
            )
        )
    trainer = make_trainer(
        run, stage, folder, [*kept, *callbacks], steps=steps,
        # Lightning counts the batches between validations, and the steps between checkpoints.
        validate_every=interval * batches_a_step if monitor is not None else None,
    )  # fmt: skip
    logger = logged(trainer.loggers)
    use_artifacts(logger, run, uses)
    resume = folder / LAST
    on_rank_zero(lambda: run.state.watch(lambda: trainer.global_step, steps))
    try:
        trainer.fit(module, datamodule=data, ckpt_path=str(resume) if resume.exists() else None)
    except SIGTERMException as end:
        # Lightning's has no exit code, so that a job ended by its scheduler would look like one that is done.
        raise SystemExit(128 + signal.SIGTERM) from end
    final = folder / FINAL
    trainer.save_checkpoint(final, weights_only=True)
    chosen = folder / BEST if monitor is not None else final
    keep_artifacts(logger, run, [model(chosen)])
    close(logger)
    return chosen


def make_trainer(
    run: Run,
    stage: str,
    folder: Path,
    callbacks: Sequence[pl.Callback] = (),
    steps: int = -1,
    validate_every: int | None = None,
    logs: bool = True,
) -> pl.Trainer:
    """A Trainer for a stage of a run; arguments as in :func:`fit`, and the steps between validations, if any."""
    settings = run.settings.trainer
    silence_tips()
    nodes = world_size() // local_world()
    flags: dict[str, Any] = {
        "limit_val_batches": 1.0,
        # Also a training of a few steps leaves a curve.
        "log_every_n_steps": max(1, min(10, steps // 10)),
        "enable_model_summary": False,
        **settings.extra,
        **({"limit_val_batches": 0} if validate_every is None else {}),
    }
    return pl.Trainer(
        accelerator=settings.accelerator,
        devices=local_world(),
        num_nodes=nodes,
        strategy=_strategy(settings.strategy),
        # A single process in a SLURM job is one, however many tasks the job has.
        plugins=None if launched_outside() else [LightningEnvironment()],
        precision=settings.precision,  # type: ignore[arg-type]
        max_steps=steps,
        max_epochs=-1,
        logger=_loggers(run, stage, folder, (folder / LAST).exists()) if logs else False,
        callbacks=[LeakageGuard(), StepSeed(), BatchNormAverage(), progress_bar(f"{run.label} {stage}"), *callbacks],
        val_check_interval=validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        # The samplers are made for the number of processes; Lightning must not wrap them.
        use_distributed_sampler=False,
        default_root_dir=folder,
        **flags,
    )


def log_results(
    run: Run,
    stage: str,
    folder: Path,
    metrics: dict[str, float],
    uses: Sequence[Artifact] = (),
    makes: Sequence[Artifact] = (),
) -> None:
    """Log the numbers that a stage ended with, where annotators are compared; called by rank zero alone.

    Args:
        run: that the stage belongs to.
        stage: its name.
        folder: where the logs go.
        metrics: name -> value.
        uses: what earlier stages made and this one starts from.
        makes: what it made.
    """
    loggers = _loggers(run, stage, folder)
    for logger in loggers if metrics else ():
        logger.log_metrics(metrics, step=0)
        logger.save()
    use_artifacts(logged(loggers), run, uses)
    keep_artifacts(logged(loggers), run, makes)
    close(logged(loggers))


def _strategy(name: str) -> str | Strategy:
    if name != "auto" or world_size() == 1:
        return name
    # SMPL's buffers are about 19 MB and constant; BatchNormAverage takes care of those that change.
    return DDPStrategy(broadcast_buffers=False)


def _loggers(run: Run, stage: str, folder: Path, resumes: bool = False) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(folder, name=METRICS)]
    if "wandb" in run.settings.logger and (to_wandb := wandb_logger(run, stage, folder, resumes)) is not None:
        loggers.append(to_wandb)
    if "tensorboard" in run.settings.logger:
        # One version for each time that a stage was started, as of the CSV's, and beside it.
        loggers.append(TensorBoardLogger(folder, name=TENSORBOARD))
    return loggers


def silence_tips() -> None:
    """Lightning's tips about hardware and workers; its warnings about faults stay."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.accelerators.cuda").setLevel(logging.WARNING)
    for text in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists.*",
        ".*Experiment logs directory .* exists.*",
        ".*Total length of `list` across ranks is zero.*",
        ".*treespec, LeafSpec.*",
        r".*module\(s\) in eval mode at the start of training.*",  # a frozen prior is meant to be
        ".*your dataloader is not resumable.*",  # its sampler starts where the training stopped
    ):
        warnings.filterwarnings("ignore", text)
