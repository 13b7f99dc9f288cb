"""Where each data set of a run comes from: a path given by the user, or the synthetic world's folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from datamodules.benchmarks import BENCHMARKS
from datamodules.benchmarks.benchmark import Benchmark
from datamodules.exposure import NOTHING, UNKNOWN, Exposure, training_split
from datamodules.ids import dataset_of_table
from experiments.exposure import checkpoint_exposure
from experiments.settings.schema import ONLY_WORLD, WITHOUT_WORLD, Settings

# Name in the settings -> (paths key, if any, and folder in the synthetic world, kind of source, split).
_SOURCES = {
    "coco": ("coco", "coco", "train"),
    "mpii": ("mpii", "mpii", "train"),
    "mpi_inf_3dhp": ("mpi_inf_3dhp", "mpi_inf_3dhp", "train"),
    "threedpw_train": ("threedpw", "threedpw", "train"),
    "amass": ("amass", "amass", "train"),
    "human36m": ("human36m", "human36m", "train"),
    "lspet": ("lspet", "lspet", "train"),
    "crowdpose": ("crowdpose", "crowdpose", "train"),
    "detections": ("detections", "detections", "train"),
    # The world's people in the wild with true bodies lie in 3DPW's layout. By this name they are not taken for 3DPW.
    "synthetic": ("synthetic", "threedpw", "train"),
    **{f"{one.name}_{split}": (one.name, one.name, split) for one in BENCHMARKS.values() for split in one.kept_splits},
}
_BENCHMARK_OF = {f"{one.name}_{split}": one for one in BENCHMARKS.values() for split in one.kept_splits}
EVALUATED = tuple(_BENCHMARK_OF)
"""Sources that are only evaluated on, whose people are never left out for their images."""
# recipe.init -> the one data set that its 2D pose network is trained on.
_POSE2D_ON = {"pose2d_coco": "coco", "pose2d_mpii": "mpii"}
# What published backbones are trained on.
_IMAGES = Exposure.of("imagenet-train")
# Prior -> the stage that makes it where no file is given.
_PRIOR_STAGES = {"vposer": "prior", "gmm": "mixture"}
_WORLD_FOLDERS = {one.name: one.world for one in BENCHMARKS.values() if one.world} | {"synthetic": "3dpw"}


def targets(settings: Settings) -> list[str]:
    """Data sets that get pseudo-GTs."""
    return [name for name, weight in settings.annotate.targets.items() if weight > 0]


def pose2d(settings: Settings) -> list[str]:
    """Data sets that the 2D pose network, and the generic start, are trained on."""
    alone = _POSE2D_ON.get(settings.recipe.init)
    return [alone] if alone else [name for name, weight in settings.pose2d.sources.items() if weight > 0]


def pose2d_shares(settings: Settings) -> dict[str, float]:
    """Share of each of them in a batch."""
    return {name: settings.pose2d.sources.get(name) or 1.0 for name in pose2d(settings)}


def trains_annotator(settings: Settings) -> bool:
    """Whether there is a network to train: SMPLify looks at nothing but 2D joints."""
    return settings.annotate.method != "smplify"


def start_stage(settings: Settings) -> str | None:
    """The stage that trains what the annotator's backbone starts from; None where it is random or in a file."""
    init = settings.recipe.init
    if not trains_annotator(settings) or not looks_at_images(settings):
        return None
    if init in ("generic", "pose2d"):
        return init
    return "pose2d" if init in _POSE2D_ON and settings.recipe.init_file is None else None


def init_file(settings: Settings) -> str | None:
    """File that the annotator's backbone starts from, if any."""
    recipe = settings.recipe
    if recipe.init_file is None or recipe.init in ("random", "generic", "pose2d") or not trains_annotator(settings):
        return None
    return recipe.init_file.replace("{init}", recipe.init)


def needs_start(settings: Settings, stage: str) -> bool:
    """Whether the run needs what a stage of recipe 2 trains, or was told to train it for its own sake."""
    alone = "annotate" not in settings.stages and stage in settings.stages
    return alone or start_stage(settings) == stage


def generic_samples(settings: Settings) -> int:
    """People that the generic start sees in training."""
    return settings.generic.samples or settings.pose2d.samples


def auxiliary(settings: Settings) -> list[str]:
    """Data sets with 3D ground truth that help the annotator (recipe 1)."""
    if not trains_annotator(settings):
        return []
    return [name for name, weight in settings.recipe.auxiliary.items() if weight > 0]


def mixed(settings: Settings) -> list[str]:
    """Data sets that the downstream regressor's mix names; empty where it takes whatever has labels."""
    return [name for name, weight in settings.downstream.mix.items() if weight > 0]


def benchmarks(settings: Settings) -> list[Benchmark]:
    """What the downstream regressor is judged on."""
    return [BENCHMARKS[name] for name in settings.evaluate.benchmarks if name in BENCHMARKS]


def selection(settings: Settings) -> Benchmark | None:
    """The benchmark whose validation split checkpoints are chosen on; None where the last one is taken."""
    return next((one for one in benchmarks(settings) if one.selection is not None), None)


def split_of(name: str) -> str:
    """Split of a data set that a source is, e.g. ``coco-train``; the world's own people are not taken for 3DPW."""
    _, kind, split = _SOURCES[name]
    return f"{name if name in ONLY_WORLD else kind}-{split}"


def synthetic_data_sets(settings: Settings) -> set[str]:
    """Data sets of which an annotator takes the synthetic world's."""
    names = {*targets(settings), *auxiliary(settings), *pose2d(settings), "amass"}
    return {dataset_of_table(split_of(name)) for name in names if is_synthetic(settings, name)}


def annotator_exposure(settings: Settings) -> Exposure:
    """What the annotator, what it starts from and its priors are trained on.

    Every table of a run that saw a benchmark's people must say so.
    """
    prior_stages = {*annotator_takes(settings), *labels_take(settings)} & {"prior", "mixture"}
    names = ["amass"] if prior_stages or trains_on_poses(settings) else []
    if not trains_annotator(settings):
        return Exposure.of(*map(split_of, names))
    alone = settings.recipe.schedule == "auxiliary_only" and auxiliary(settings)
    names += [*([] if alone else targets(settings)), *auxiliary(settings)]
    return Exposure.of(*map(split_of, names)) | _start_exposure(settings)


def _start_exposure(settings: Settings) -> Exposure:
    recipe, path = settings.recipe, init_file(settings)
    if start_stage(settings) is not None:
        own = settings.pose2d.init_file if start_stage(settings) == "pose2d" else None
        before = NOTHING if own is None else _told_by_run(own) or _IMAGES
        return Exposure.of(*map(split_of, pose2d(settings))) | before
    if path is None:
        return NOTHING
    # For a network of this project its run knows better than the choice that names it.
    if (told := _told_by_run(path)) is not None:
        return told
    if recipe.init == "file":
        return Exposure.told(training_split(), recipe.init_used_3dpw_train)
    return Exposure.of(split_of(_POSE2D_ON[recipe.init])) | _IMAGES if recipe.init in _POSE2D_ON else _IMAGES


def _told_by_run(path: str) -> Exposure | None:
    told = checkpoint_exposure(Path(path))
    return None if told == UNKNOWN else told


def is_synthetic(settings: Settings, name: str) -> bool:
    """Whether a source comes from the synthetic world."""
    return not _needs_path(name) and _given_root(settings, name) is None


def without_path(settings: Settings) -> list[str]:
    """Sources of the selected stages that the synthetic world does not have, and that no path is given for."""
    return [name for name in used(settings) if _needs_path(name) and _given_root(settings, name) is None]


def _needs_path(name: str) -> bool:
    """Whether the synthetic world does not have a source."""
    return name in WITHOUT_WORLD or (name in _BENCHMARK_OF and _BENCHMARK_OF[name].world is None)


def same_people(settings: Settings) -> list[tuple[str, str]]:
    """(source, its path's key) of auxiliary sources that are the people of the source ``synthetic``, too."""
    helpers = [name for name in auxiliary(settings) if name in _SOURCES]
    if "synthetic" not in helpers:
        return []
    world = _SOURCES["synthetic"][1:]
    twins = [name for name in helpers if name != "synthetic" and _SOURCES[name][1:] == world]
    return [(name, path_key(name)) for name in twins if is_synthetic(settings, name)]


def path_key(name: str) -> str:
    """The setting that says where a source lies, e.g. ``paths.coco``."""
    return f"paths.{_SOURCES[name][0]}"


def reads_joints(settings: Settings) -> bool:
    """Whether a network is trained that looks at 2D joints."""
    return settings.annotate.evidence != "image" and trains_annotator(settings)


def lifts(settings: Settings) -> bool:
    """Whether the run trains what reads joints, or was told to for its own sake."""
    alone = "annotate" not in settings.stages and "lift" in settings.stages and settings.annotate.evidence != "image"
    return alone or (reads_joints(settings) and settings.lift.file is None)


def looks_at_images(settings: Settings) -> bool:
    """Whether the annotator looks at pictures, and has a backbone that starts from somewhere."""
    return settings.annotate.evidence != "joints"


def scores_poses(settings: Settings) -> bool:
    """Whether labels get a prior score: real people are not judged by the synthetic world's poses."""
    synthetic = any(is_synthetic(settings, name) for name in targets(settings))
    return settings.dump.prior_score and (synthetic or settings.paths.amass is not None)


def fits_bodies(settings: Settings) -> bool:
    """Whether SMPLify is part of the run: as the annotator, or to refine what the network says."""
    return "smplify" in (settings.annotate.method, settings.dump.refine)


def annotator_takes(settings: Settings) -> list[str]:
    """Stages whose results the annotator's training starts from: that of its backbone, and that of its prior."""
    if not trains_annotator(settings):
        return []
    start = start_stage(settings)
    return [
        *([start] if start else []),
        *_prior_stage(settings.recipe.prior, settings.recipe.prior_file),
        *(["lift"] if lifts(settings) else []),
    ]


def labels_take(settings: Settings) -> list[str]:
    """Stages whose results the labels are made with: the annotator, SMPLify's prior, and the mixture that scores."""
    names = ["annotate"] if trains_annotator(settings) else []
    if fits_bodies(settings):
        names += _prior_stage(settings.smplify.prior, settings.smplify.prior_file)
    if settings.dump.refine != "none" or scores_poses(settings):
        names.append("mixture")
    return names


def _prior_stage(prior: str, file: str | None) -> list[str]:
    return [_PRIOR_STAGES[prior]] if prior in _PRIOR_STAGES and file is None else []


def learns_prior(settings: Settings) -> bool:
    """Whether the stage prior is part of the run: for the annotator, or for SMPLify."""
    return "prior" in (*annotator_takes(settings), *labels_take(settings))


def fits_mixture(settings: Settings) -> bool:
    """Whether the stage mixture is part of the run: to score labels and refinements, or as a prior."""
    return "mixture" in (*annotator_takes(settings), *labels_take(settings))


def trains_on_poses(settings: Settings) -> bool:
    """Whether the annotator's training itself looks at recorded poses."""
    return trains_annotator(settings) and (
        settings.recipe.prior in ("l2", "adversarial") or (reads_joints(settings) and settings.annotate.projections > 0)
    )


def used(settings: Settings) -> list[str]:
    """All sources that the selected stages read."""
    stages = settings.stages
    names: list[str] = []
    if "prior" in stages and learns_prior(settings):
        names.append("amass")
    if "mixture" in stages and fits_mixture(settings):
        names.append("amass")
    if ("annotate" in stages and trains_on_poses(settings)) or ("lift" in stages and lifts(settings)):
        names.append("amass")
    if any(stage in stages and needs_start(settings, stage) for stage in ("generic", "pose2d")):
        names += pose2d(settings)
    if {"annotate", "dump", "downstream", "evaluate", "report"} & set(stages):
        names += targets(settings)
    if "annotate" in stages:
        names += auxiliary(settings)
    if "downstream" in stages:
        chosen = selection(settings)
        names += [*mixed(settings), *([chosen.selection_source] if chosen and chosen.selection_source else [])]
    if {"downstream", "evaluate"} & set(stages):
        names += [one.test_source for one in benchmarks(settings)]
    return list(dict.fromkeys(names))


def root_of(settings: Settings, world: Path | None, name: str) -> str:
    """Folder of a source's data set.

    Args:
        settings: of the run.
        world: folder of the synthetic world, or None if no source needs it.
        name: of the source.
    """
    given = _given_root(settings, name)
    if given is not None:
        return str(given)
    assert world is not None
    dataset = _SOURCES[name][0]
    return str(world / _WORLD_FOLDERS.get(dataset, dataset))


def _given_root(settings: Settings, name: str) -> str | None:
    """The path that the user gives for a source; None where it is the synthetic world's."""
    # A wrong name is explained with the other errors of the configuration, which asks here before it is complete.
    return None if name in ONLY_WORLD or name not in _SOURCES else getattr(settings.paths, _SOURCES[name][0])


def source(settings: Settings, world: Path | None, name: str, **options: Any) -> dict[str, Any]:
    """A source as the DataModules take it."""
    _, kind, split = _SOURCES[name]
    root = root_of(settings, world, name)
    return {"kind": kind, "root": root, "split": split, **reading(settings, name), **options}


def reading(settings: Settings, name: str) -> dict[str, Any]:
    """Settings of a user's data set that its reader takes."""
    root = _given_root(settings, name)
    if root is None:
        return {}
    if name == "human36m" and settings.human36m.smpl and name not in targets(settings):
        from datamodules.sources.human36m import has_fits  # here, so that --help is quick

        return {"body_models": settings.paths.body_models} if has_fits(root) else {}
    if name in _BENCHMARK_OF and _BENCHMARK_OF[name].needs_body_models:
        return {"body_models": settings.paths.body_models}
    if name == "mpi_inf_3dhp":
        return {"variant": settings.mpi_inf_3dhp.variant, "frame_step": settings.mpi_inf_3dhp.frame_step}
    if name == "detections":
        return dataclasses.asdict(settings.detections)
    return {}
