"""Lightning's own flags: checked against its Trainer, handed to it, in the keys of what depends on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.profilers import SimpleProfiler

from experiments.engine.artifacts import StageRecord
from experiments.engine.pipeline import Run
from experiments.settings.loading import ConfigError, load_settings
from experiments.settings.trainer_flags import result_flags
from experiments.stages import checks
from experiments.stages.annotator import ANNOTATE
from experiments.training import trainer
from experiments.training.trainer import make_trainer

GOOD = ["gradient_clip_val=1.0", "gradient_clip_val=1", "accumulate_grad_batches=2", "limit_train_batches=0.5",
        "limit_val_batches=3", "deterministic=true", "deterministic=warn", "profiler=simple", "detect_anomaly=true",
        "gradient_clip_val=null", "sync_batchnorm=true"]  # fmt: skip


@pytest.mark.parametrize("flag", GOOD)
def test_what_the_trainer_takes_is_taken(flag: str) -> None:
    name = flag.partition("=")[0]
    assert name in load_settings([f"trainer.extra.{flag}"])[0].trainer.extra


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("gradient_clip=1", r"argument trainer.extra.gradient_clip=1: 'gradient_clip' is no argument of Lightning's "
                            r"Trainer; the nearest is gradient_clip_val"),
        ("gradient_clip_val=much", "'much' is not what .* takes for gradient_clip_val: float or int or null"),
        ("accumulate_grad_batches=1.5", "1.5 is not what .* accumulate_grad_batches: int"),
        ("accumulate_grad_batches=true", "True is not what .* accumulate_grad_batches: int"),
        ("deterministic=always", "'always' is not what .* deterministic: bool or 'warn' or null"),
        ("devices=2", "devices has a setting of its own: trainer.devices=2"),
        ("max_epochs=2", "max_epochs is set by this project: a training is told in people"),
        ("callbacks=x", "callbacks is set by this project"),
    ],
)  # fmt: skip
def test_what_it_does_not_take_is_refused(flag: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings([f"trainer.extra.{flag}"])


def test_all_errors_come_at_once_with_the_others() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(["trainer.extra={gradient_clip: 1, fast_dev_run: true}", "sed=1"])
    parts = ("sed=1", "'gradient_clip'", "fast_dev_run")
    assert all(part in message for part, message in zip(parts, caught.value.messages, strict=True))


def test_a_flag_in_the_wrong_place_is_told_the_right_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown key; that is trainer.extra.detect_anomaly"):
        load_settings(["trainer.detect_anomaly=true"])


def run_of(tmp_path: Path, *arguments: str) -> Run:
    settings = load_settings(["size=tiny", "wandb.mode=disabled", "trainer.accelerator=cpu", *arguments])[0]
    run = Run(settings, "run", tmp_path / "run")
    run.records["world"] = StageRecord(tmp_path / "world", {})
    return run


def test_they_reach_the_trainer(tmp_path: Path) -> None:
    flags = ["gradient_clip_val=0.5", "profiler=simple", "limit_val_batches=3", "log_every_n_steps=7"]
    run = run_of(tmp_path, *(f"trainer.extra.{flag}" for flag in flags))
    made = make_trainer(run, "annotate", tmp_path, steps=10, validate_every=5)
    assert made.gradient_clip_val == 0.5 and made.log_every_n_steps == 7 and made.limit_val_batches == 3
    assert isinstance(made.profiler, SimpleProfiler)
    assert make_trainer(run, "annotate", tmp_path, steps=10).limit_val_batches == 0  # no validation at all
    assert make_trainer(run_of(tmp_path), "annotate", tmp_path, steps=1000).log_every_n_steps == 10


def test_accumulated_batches_see_as_many_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def make(*_: Any, **options: Any) -> Trainer:
        made.append(options)
        raise InterruptedError

    monkeypatch.setattr(trainer, "make_trainer", make)
    run = run_of(tmp_path, "trainer.extra.accumulate_grad_batches=4", "trainer.epochs=2")
    with pytest.raises(InterruptedError):
        trainer.fit(run, "downstream", tmp_path, None, None, 80, monitor="val/x")  # type: ignore[arg-type]
    assert made == [{"steps": 20, "validate_every": 40}]


def test_keys_hold_what_results_depend_on(tmp_path: Path) -> None:
    plain = ANNOTATE.key(run_of(tmp_path))
    assert "trainer" not in plain
    assert ANNOTATE.key(run_of(tmp_path, "trainer.extra.profiler=simple")) == plain
    clipped = ANNOTATE.key(run_of(tmp_path, "trainer.extra={gradient_clip_val: 1.0, benchmark: true}"))
    assert clipped == {**plain, "trainer": {"gradient_clip_val": 1.0}}
    assert result_flags({"deterministic": True}) == {}


def test_loggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def names(*arguments: str) -> list[str]:
        return [type(one).__name__ for one in make_trainer(run_of(tmp_path, *arguments), "annotate", tmp_path).loggers]

    monkeypatch.setattr(trainer, "TensorBoardLogger", type("TensorBoardLogger", (trainer.CSVLogger,), {}))
    assert names() == names("logger=[]") == names("logger=wandb") == ["CSVLogger"]  # W&B is disabled here
    assert names("logger=tensorboard") == ["CSVLogger", "TensorBoardLogger"]
    assert "StageLogger" in names("logger=[wandb]", "wandb.mode=offline")
    assert "StageLogger" not in names("logger=[csv]", "wandb.mode=offline")
    with pytest.raises(ConfigError, match=r"'tensorbord' is not one of csv, wandb, .*the nearest is tensorboard"):
        load_settings(["logger=tensorbord"])
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    with pytest.raises(checks.MissingPackageError, match="pip install tensorboard"):
        checks.check_loggers(load_settings(["logger=tensorboard"])[0])
    checks.check_loggers(load_settings([])[0])
