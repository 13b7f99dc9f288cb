"""Lightning's own flags under ``trainer.extra``: checked against the signature of its Trainer, so none is listed."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from body_models.names import guess

_PEOPLE = "a training is told in people: see samples of its section"
_SAVED = "every training is saved"
_OWN = {
    "callbacks": "every stage has its own", "logger": "see logger=", "plugins": "every process is a torchrun process",
    "default_root_dir": "see paths.runs", "enable_checkpointing": _SAVED, "barebones": _SAVED,
    "use_distributed_sampler": "the samplers are made for the number of processes",
    "max_steps": _PEOPLE, "min_steps": _PEOPLE, "max_epochs": _PEOPLE, "min_epochs": _PEOPLE,
    "max_time": "an interrupted training goes on when it is started again",
    "val_check_interval": "see trainer.epochs", "check_val_every_n_epoch": "see trainer.epochs",
    "num_sanity_val_steps": "--dry-run reads a batch of everything", "fast_dev_run": "see size=tiny and --dry-run",
    "overfit_batches": "its sampler would replace the mixture's",
    "reload_dataloaders_every_n_epochs": "data does not change",
    "limit_predict_batches": "labels are written of everyone; see annotate.targets",
}  # fmt: skip
"""Flags that the project sets itself -> what is there instead."""
_NO_RESULT = (
    "profiler", "detect_anomaly", "enable_progress_bar", "enable_model_summary", "enable_autolog_hparams",
    "log_every_n_steps", "benchmark", "deterministic", "inference_mode", "model_registry",
)  # fmt: skip
"""Flags that change no result but by rounding, so that they are in no stage's key."""


def flag_problems(extra: Mapping[str, Any], named: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``trainer.extra``, a line each.

    Args:
        extra: flag -> value.
        named: settings of section ``trainer`` that are flags of the Trainer, too.
    """
    hints, problems = _hints(), []
    for name, value in extra.items():
        if name in named:
            problems.append(f"{name} has a setting of its own: trainer.{name}={value}")
        elif name in _OWN:
            problems.append(f"{name} is set by this project: {_OWN[name]}")
        elif name not in hints:
            free = [flag for flag in hints if flag not in _OWN and flag not in named]
            problems.append(f"{name!r} is no argument of Lightning's Trainer{guess(name, free)} (of {', '.join(free)})")
        elif not _fits(value, hints[name]):
            problems.append(f"{value!r} is not what Lightning's Trainer takes for {name}: {_shown(hints[name])}")
    return problems


def free_flags() -> set[str]:
    """Arguments of Lightning's Trainer that are not set by this project."""
    return set(_hints()) - set(_OWN)


def result_flags(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that results depend on."""
    return {name: value for name, value in extra.items() if name not in _NO_RESULT}


def _hints() -> dict[str, Any]:
    """Type of each argument of Lightning's Trainer."""
    from pytorch_lightning import Trainer  # here, so that settings without flags are quick

    # Trainer's __init__ is wrapped, and keeps its signature.
    hints = {name: item.annotation for name, item in inspect.signature(Trainer.__init__).parameters.items()}
    del hints["self"]
    return hints


def _members(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is one of those that a type names."""
    return any(_is_one(value, member) for member in _members(hint))


def _is_one(value: Any, member: Any) -> bool:
    if typing.get_origin(member) is typing.Literal:
        return value in typing.get_args(member)
    if member is float:
        return isinstance(value, float)
    # True is an int for Python, and not for whoever writes it.
    return isinstance(member, type) and type(value) is member


def _shown(hint: Any) -> str:
    names = []
    # Sorted, as typing hands out a union in the order in which somebody wrote it first.
    for member in sorted(_members(hint), key=str):
        plain = member in (int, float, str, bool)
        if plain or typing.get_origin(member) is typing.Literal:
            names += [member.__name__] if plain else [repr(value) for value in typing.get_args(member)]
    return " or ".join([*names, *(["null"] if type(None) in _members(hint) else [])])
