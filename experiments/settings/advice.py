"""What is said of a key or an option that does not exist: what this project calls it, or the nearest name.

Users bring the words of Lightning, of Hydra and of their last project.
"""

from __future__ import annotations

from collections.abc import Sequence

from body_models.names import guess
from experiments.settings.schema import OPTIONS
from experiments.settings.trainer_flags import free_flags

_SAME = {
    "lr": ("learning_rate", "lrate", "base_lr", "init_lr"),
    "batch_size": ("batch", "bs", "batchsize", "train_batch_size", "images_per_gpu", "samples_per_gpu"),
    "samples": ("epoch", "epochs", "max_epochs", "num_epochs", "n_epochs", "max_steps", "num_steps", "iterations"),
    "losses": ("loss_weights", "loss_weight"),
    "seed": ("random_seed", "manual_seed", "rng"),
    "name": ("run_name", "exp_name", "experiment_name", "exp"),
    "overwrite": ("force", "clean"),
    "model.backbone": ("arch", "architecture", "net", "network", "encoder"),
    "model.input_size": ("image_size", "img_size", "crop_size", "resolution", "img_res"),
    "annotate.targets": ("dataset", "datasets", "target", "train_dataset"),
    "recipe.init_file": ("pretrained", "weights", "checkpoint", "ckpt", "ckpt_path", "pretrained_path"),
    "paths.coco, paths.mpii and the other paths": ("data_dir", "data_root", "dataset_dir", "root", "data_path"),
    "paths.runs": ("output", "out", "output_dir", "out_dir", "save_dir", "log_dir", "logdir", "work_dir", "dir"),
    "trainer.devices": ("gpus", "num_gpus", "n_gpus", "gpu", "ngpu", "nproc", "world_size"),
    "trainer.accelerator": ("device", "cuda", "cpu", "tpu"),
    "trainer.num_nodes": ("nodes", "nnodes", "machines"),
    "trainer.num_workers": ("workers", "n_workers", "nworkers", "num_worker", "dataloader_workers", "threads"),
    "trainer.precision": ("fp16", "bf16", "amp", "use_amp", "half", "mixed_precision"),
    "logger": ("log", "logging", "loggers", "tensorboard", "tracker"),
    "wandb.mode": ("use_wandb",),
    "trainer.extra.gradient_clip_val": ("grad_clip", "clip_grad", "gradient_clip", "max_grad_norm", "clip_grad_norm"),
    "trainer.extra.accumulate_grad_batches": ("accumulate", "grad_accumulation", "gradient_accumulation_steps"),
    "wandb.project": ("wandb_project", "project_name"),
    "grid.parallel": ("jobs", "n_jobs"),
}
"""Key, or last part of keys -> what others call it."""
_REMARKS = {
    "samples": " (a training is told in people seen, not in epochs or steps)",
    "logger": " (csv, wandb, tensorboard; a CSV is always written)",
    "wandb.mode": " (Weights & Biases, offline or not)",
}
_WITHOUT = {
    "weight_decay": "annotators and regressors are trained by Adam without weight decay",
    "wd": "annotators and regressors are trained by Adam without weight decay",
    "momentum": "every network is trained by Adam",
    "betas": "every network is trained by Adam with torch's betas",
    "optimizer": "every network is trained by Adam",
    "optim": "every network is trained by Adam",
    "scheduler": "the learning rate of every training falls in steps near its end",
    "lr_scheduler": "the learning rate of every training falls in steps near its end",
    "warmup": "the learning rate of every training falls in steps near its end, without a warm-up",
    "warmup_steps": "the learning rate of every training falls in steps near its end, without a warm-up",
    "dropout": "the networks are as published",
    "resume": "an interrupted run goes on when it is started again",
    "resume_from": "an interrupted run goes on when it is started again",
    "config": "experiment=FILE.yaml reads settings from a file",
    "cfg": "experiment=FILE.yaml reads settings from a file",
    "config_name": "experiment=NAME, or experiment=FILE.yaml, reads settings from a file",
}
"""What has no key -> what is so instead."""
_OPTIONS = {
    "--config-name": "experiment=NAME, or experiment=FILE.yaml",
    "-cn": "experiment=NAME, or experiment=FILE.yaml",
    "--config-path": "experiment=FILE.yaml",
    "--config-dir": "experiment=FILE.yaml",
    "--config": "experiment=FILE.yaml",
    "-cd": "experiment=FILE.yaml",
    "-cp": "experiment=FILE.yaml",
    "--cfg": "--print-config",
    "-c": "--print-config",
    "--info": "--print-config",
    "--resolve": "--print-config",
    "--multirun": "sweep.KEY=[a,b]",
    "-m": "sweep.KEY=[a,b]",
    "--run": "nothing: a run is what is started without an option",
    "-r": "nothing: a run is what is started without an option",
    "--resume": "nothing: an interrupted run goes on when it is started again",
    "--experimental-rerun": "experiment=runs/NAME/RUN/config.yaml",
}
"""Options of Hydra, and such as many scripts have -> what is written here instead."""


def key_advice(key: str, known: Sequence[str]) -> str:
    """The end of a message about an unknown key; empty where there is nothing to be said.

    Args:
        key: as it was written.
        known: all keys.
    """
    if key.startswith("hydra."):
        return "; this is no Hydra program: paths.runs and name say where results go, sweep.KEY=[a,b] runs several"
    if key[:1] in "+~" and key.lstrip("+~") in known:
        return "; there is no + and ~ as in Hydra: write KEY=VALUE, a value of 0 or null leaves a thing out"
    section, _, last = key.lower().replace("-", "_").rpartition(".")
    if last in _WITHOUT and key not in known:
        return f"; there is no such setting: {_WITHOUT[last]}"
    target = next((target for target, words in _SAME.items() if last in words), last)
    if found := _with_name(section, target):
        return f"; that is {'' if len(found) == 1 else 'one of '}{', '.join(found)}{_REMARKS.get(target, '')}"
    if target != last:
        return f"; that is {target}{_REMARKS.get(target, '')}"
    if section == "trainer" and last in free_flags():
        return f"; that is trainer.extra.{last}"
    return guess(key, known) or "; --help lists all"


def option_advice(word: str, options: Sequence[str], keys: Sequence[str]) -> str:
    """The same for an option, such as ``--config-name=x``.

    Args:
        word: as it was written.
        options: all options.
        keys: all keys.
    """
    name, equals, _ = word.partition("=")
    if name in _OPTIONS:
        return f"; write {_OPTIONS[name]}"
    bare = name.lstrip("-")
    if bare in keys:
        return f"; the nearest is {word.lstrip('-') if equals else f'{bare}=VALUE'}"
    return guess(name, options) or key_advice(bare, keys)


def _with_name(section: str, name: str) -> list[str]:
    """Keys of that name: the one of that section if there is one, else all that have it as their last part."""
    if name in OPTIONS:
        return [name]
    found = [key for key in OPTIONS if key.endswith(f".{name}")]
    return [own] if (own := f"{section}.{name}") in found else found
