"""What a run is about, made of its settings once: who is annotated and trained on, which stages that takes, and why."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from datamodules.benchmarks import BENCHMARKS
from datamodules.benchmarks.benchmark import Benchmark
from datamodules.exposure import NOTHING, UNKNOWN, Exposure, training_split
from datamodules.ids import dataset_of_table
from experiments.exposure import checkpoint_exposure
from experiments.settings import sources
from experiments.settings.schema import Settings

# recipe.init -> the one data set that its 2D pose network is trained on.
_POSE2D_ON = {"pose2d_coco": "coco", "pose2d_mpii": "mpii"}
# What published backbones are trained on.
_IMAGES = Exposure.of("imagenet-train")
# Prior -> the stage that makes it where no file is given.
_PRIOR_STAGES = {"vposer": "prior", "gmm": "mixture"}


class Plan:
    """What follows from the settings of a run, each worked out once and only where it is asked for.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # People.

    @cached_property
    def targets(self) -> list[str]:
        """Data sets that get pseudo-GTs."""
        return [name for name, weight in self.settings.annotate.targets.items() if weight > 0]

    @cached_property
    def auxiliary(self) -> list[str]:
        """Data sets with 3D ground truth that help the annotator (recipe 1)."""
        if not self.trains_annotator:
            return []
        return [name for name, weight in self.settings.recipe.auxiliary.items() if weight > 0]

    @cached_property
    def pose2d(self) -> list[str]:
        """Data sets that the 2D pose network, and the generic start, are trained on."""
        alone = _POSE2D_ON.get(self.settings.recipe.init)
        return [alone] if alone else [name for name, weight in self.settings.pose2d.sources.items() if weight > 0]

    @cached_property
    def pose2d_shares(self) -> dict[str, float]:
        """Share of each of them in a batch."""
        return {name: self.settings.pose2d.sources.get(name) or 1.0 for name in self.pose2d}

    @cached_property
    def mixed(self) -> list[str]:
        """Data sets that the downstream regressor's mix names; empty where it takes whatever has labels."""
        return [name for name, weight in self.settings.downstream.mix.items() if weight > 0]

    @cached_property
    def benchmarks(self) -> list[Benchmark]:
        """What the downstream regressor is judged on."""
        return [BENCHMARKS[name] for name in self.settings.evaluate.benchmarks if name in BENCHMARKS]

    @cached_property
    def selection(self) -> Benchmark | None:
        """The benchmark whose validation split checkpoints are chosen on; None where the last one is taken."""
        return next((one for one in self.benchmarks if one.selection is not None), None)

    @cached_property
    def used(self) -> list[str]:
        """All sources that the selected stages read."""
        return list(dict.fromkeys(name for stage in self.settings.stages for name in self.sources_of(stage)))

    def sources_of(self, stage: str) -> list[str]:
        """The sources that a stage reads, where the run needs it."""
        if stage in ("prior", "mixture", "lift"):
            return ["amass"] if stage in self._reasons else []
        if stage in ("generic", "pose2d"):
            return self.pose2d if stage in self._reasons else []
        people = {"annotate", "dump", "downstream", "evaluate", "report"}
        names = list(self.targets) if stage in people else []
        if stage == "annotate":
            names += [*(["amass"] if self.trains_on_poses else []), *self.auxiliary]
        if stage == "downstream":
            names += [*self.mixed, *([self.selection.selection_source] if self.selection else [])]  # type: ignore[list-item]
        if stage in ("downstream", "evaluate"):
            names += [one.test_source for one in self.benchmarks]
        return list(dict.fromkeys(names))

    @cached_property
    def without_path(self) -> list[str]:
        """Sources of the selected stages that the synthetic world does not have, and that no path is given for."""
        return [name for name in self.used if sources.needs_path(name) and not sources.has_path(self.settings, name)]

    @cached_property
    def synthetic_data_sets(self) -> set[str]:
        """Data sets of which an annotator takes the synthetic world's."""
        names = {*self.targets, *self.auxiliary, *self.pose2d, "amass"}
        return {dataset_of_table(sources.split_of(name)) for name in names if sources.is_synthetic(self.settings, name)}

    @cached_property
    def same_people(self) -> list[tuple[str, str]]:
        """(source, its path's key) of auxiliary sources that are the people of the source ``synthetic``, too."""
        helpers = [name for name in self.auxiliary if sources.is_source(name)]
        if "synthetic" not in helpers:
            return []
        twins = [name for name in helpers if name != "synthetic" and sources.same_data(name, "synthetic")]
        return [(name, sources.path_key(name)) for name in twins if sources.is_synthetic(self.settings, name)]

    # The annotator.

    @cached_property
    def trains_annotator(self) -> bool:
        """Whether there is a network to train: SMPLify looks at nothing but 2D joints."""
        return self.settings.annotate.method != "smplify"

    @cached_property
    def looks_at_images(self) -> bool:
        """Whether what annotates is a network that looks at pictures, so that its backbone starts from somewhere."""
        return self.trains_annotator and self.settings.annotate.evidence != "joints"

    @cached_property
    def reads_joints(self) -> bool:
        """Whether a network is trained that looks at 2D joints."""
        return self.trains_annotator and self.settings.annotate.evidence != "image"

    @cached_property
    def draws_projections(self) -> bool:
        """Whether projections of recorded poses stay in the mix when people are annotated."""
        return self.reads_joints and self.settings.annotate.projections > 0

    @cached_property
    def start_stage(self) -> str | None:
        """The stage that trains what the annotator's backbone starts from; None where it is random or in a file."""
        init = self.settings.recipe.init
        if not self.looks_at_images:
            return None
        if init in ("generic", "pose2d"):
            return init
        return "pose2d" if init in _POSE2D_ON and self.settings.recipe.init_file is None else None

    @cached_property
    def init_file(self) -> str | None:
        """File that the annotator's backbone starts from, if any."""
        recipe = self.settings.recipe
        if recipe.init_file is None or recipe.init in ("random", "generic", "pose2d") or not self.trains_annotator:
            return None
        return recipe.init_file.replace("{init}", recipe.init)

    @cached_property
    def generic_samples(self) -> int:
        """People that the generic start sees in training."""
        return self.settings.generic.samples or self.settings.pose2d.samples

    @cached_property
    def trains_on_poses(self) -> bool:
        """Whether the annotator's training itself looks at recorded poses."""
        of_prior = self.settings.recipe.prior in ("l2", "adversarial") and self.trains_annotator
        return of_prior or self.draws_projections

    @cached_property
    def scores_poses(self) -> bool:
        """Whether labels get a prior score: real people are not judged by the synthetic world's poses."""
        synthetic = any(sources.is_synthetic(self.settings, name) for name in self.targets)
        return self.settings.dump.prior_score and (synthetic or self.settings.paths.amass is not None)

    @cached_property
    def fits_bodies(self) -> bool:
        """Whether SMPLify is part of the run: as the annotator, or to refine what the network says."""
        return "smplify" in (self.settings.annotate.method, self.settings.dump.refine)

    @cached_property
    def exposure(self) -> Exposure:
        """What the annotator, what it starts from and its priors are trained on.

        Every table of a run that saw a benchmark's people must say so.
        """
        prior_stages = {*self.annotator_takes, *self.labels_take} & {"prior", "mixture", "lift"}
        names = ["amass"] if prior_stages or self.trains_on_poses else []
        if not self.trains_annotator:
            return Exposure.of(*map(sources.split_of, names))
        alone = self.settings.recipe.schedule == "auxiliary_only" and self.auxiliary
        names += [*([] if alone else self.targets), *self.auxiliary]
        return Exposure.of(*map(sources.split_of, names)) | self._start_exposure()

    def _start_exposure(self) -> Exposure:
        recipe, path = self.settings.recipe, self.init_file
        if self.start_stage is not None:
            own = self.settings.pose2d.init_file if self.start_stage == "pose2d" else None
            before = NOTHING if own is None else _told_by_run(own) or _IMAGES
            return Exposure.of(*map(sources.split_of, self.pose2d)) | before
        if path is None:
            return NOTHING
        # For a network of this project its run knows better than the choice that names it.
        if (told := _told_by_run(path)) is not None:
            return told
        if recipe.init == "file":
            return Exposure.told(training_split(), recipe.init_used_3dpw_train)
        own_set = _POSE2D_ON.get(recipe.init)
        return _IMAGES if own_set is None else Exposure.of(sources.split_of(own_set)) | _IMAGES

    # Stages.

    @cached_property
    def annotator_takes(self) -> list[str]:
        """Stages whose results the annotator's training starts from: of its backbone, its prior, its joint branch."""
        if not self.trains_annotator:
            return []
        recipe = self.settings.recipe
        lift = ["lift"] if self.reads_joints and self.settings.lift.file is None else []
        start = [self.start_stage] if self.start_stage else []
        return [*start, *_prior_stage(recipe.prior, recipe.prior_file), *lift]

    @cached_property
    def labels_take(self) -> list[str]:
        """Stages whose results labels are made with: the annotator, SMPLify's prior, the mixture that scores."""
        names = ["annotate"] if self.trains_annotator else []
        if self.fits_bodies:
            names += _prior_stage(self.settings.smplify.prior, self.settings.smplify.prior_file)
        if self.settings.dump.refine != "none" or self.scores_poses:
            names.append("mixture")
        return names

    @cached_property
    def reasons(self) -> dict[str, str]:
        """The stages that this run needs, selected or not, in their order, each with what it is needed for."""
        made_up = [name for name in self.used if sources.is_synthetic(self.settings, name)]
        world = {"world": f"holds {', '.join(made_up)}, which no path is given for"} if made_up else {}
        return world | self._reasons

    def takes(self, stage: str) -> list[str]:
        """The stages that one cannot be made without."""
        of_labels = ["dump"] if self.settings.labels.folders is None else []
        recipe = self.settings.recipe
        code = _prior_stage(recipe.prior, recipe.prior_file) if recipe.prior == "vposer" else []
        known = {"annotate": self.annotator_takes, "lift": code, "dump": self.labels_take, "downstream": of_labels}
        return known.get(stage, [])

    @cached_property
    def _reasons(self) -> dict[str, str]:
        found = {stage: self._prior_reason(stage) for stage in ("prior", "mixture")}
        found["lift"] = self._lift_reason()
        found |= {stage: self._start_reason(stage) for stage in ("generic", "pose2d")}
        if self.trains_annotator:
            with_help = f", with the help of {', '.join(self.auxiliary)}" if self.auxiliary else ""
            found["annotate"] = f"trains the network that annotates {', '.join(self.targets)}{with_help}"
        found["dump"] = f"writes labels of {', '.join(self.targets)} by annotate.method={self.settings.annotate.method}"
        found["downstream"] = f"trains downstream.family={self.settings.downstream.family} on {self._trained_on()}"
        judged = ", ".join(one.name for one in self.benchmarks) or "no benchmark"
        found["evaluate"] = f"labels against true bodies where these are known, the regressor on {judged}"
        return {stage: reason for stage, reason in found.items() if reason}

    def _prior_reason(self, stage: str) -> str:
        reasons = []
        recipe, smplify, dump = self.settings.recipe, self.settings.smplify, self.settings.dump
        if stage in self.annotator_takes:
            reasons.append(f"recipe.prior={recipe.prior}")
        if self.fits_bodies and stage in _prior_stage(smplify.prior, smplify.prior_file):
            reasons.append(f"smplify.prior={smplify.prior}")
        if stage == "mixture" and dump.refine != "none":
            reasons.append(f"dump.refine={dump.refine} judges poses by it")
        if stage == "mixture" and self.scores_poses:
            reasons.append("dump.prior_score=true scores labels by it")
        return "; ".join(reasons)

    def _lift_reason(self) -> str:
        evidence = self.settings.annotate.evidence
        if "lift" in self.annotator_takes:
            return f"trains what reads joints, on projections (annotate.evidence={evidence})"
        return ""

    def _start_reason(self, stage: str) -> str:
        if self.start_stage == stage:
            return f"the annotator's backbone starts from it (recipe.init={self.settings.recipe.init})"
        alone = "annotate" not in self.settings.stages and stage in self.settings.stages
        return "asked for by itself" if alone else ""

    def _trained_on(self) -> str:
        if self.mixed:
            return f"downstream.mix of {', '.join(self.mixed)}"
        given = self.settings.labels.folders
        return "the labels of this run" if given is None else f"labels={','.join(given) or '[]'}"


def _told_by_run(path: str) -> Exposure | None:
    told = checkpoint_exposure(Path(path))
    return None if told == UNKNOWN else told


def _prior_stage(prior: str, file: str | None) -> list[str]:
    return [_PRIOR_STAGES[prior]] if prior in _PRIOR_STAGES and file is None else []
