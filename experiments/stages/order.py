"""The stages in their order, and the runs that go through them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from experiments.engine.pipeline import Run, Stage
from experiments.settings.loading import expand_sweep
from experiments.settings.schema import Settings
from experiments.stages.annotator import ANNOTATE, DUMP
from experiments.stages.lift import LIFT
from experiments.stages.prepare import WORLD
from experiments.stages.priors import MIXTURE, PRIOR
from experiments.stages.regressor import DOWNSTREAM, EVALUATE
from experiments.stages.starts import GENERIC, POSE2D

ORDER: tuple[Stage, ...] = (WORLD, PRIOR, MIXTURE, LIFT, GENERIC, POSE2D, ANNOTATE, DUMP, DOWNSTREAM, EVALUATE)


def runs_of(settings: Settings, origins: Mapping[str, str]) -> list[Run]:
    """The runs of an experiment, each with its folder; nothing is made yet."""
    root = Path(settings.paths.runs) / settings.name
    return [Run(one, label, root / label) for label, one in expand_sweep(settings, origins)]
