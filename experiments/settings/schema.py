# ruff: noqa: RUF009 - option() is dataclasses.field() with help, and makes its own default factory.
"""Every setting of a run, with its type, default, limits and help: the schema that configuration is checked against.

Plain dataclasses without OmegaConf, so that any part of the project can take them. Values that depend on ``size=``
stand beside each other in one place: see :func:`experiments.settings.options.sized`.
``experiments.settings.loading`` reads files and arguments into them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from typing import TYPE_CHECKING, Any

from datamodules.benchmarks import BENCHMARKS, DEFAULT
from experiments.settings.joint_options import Lift, Slips
from experiments.settings.options import option, sized

SIZES = ("tiny", "default", "bench", "full")
TRIAL = "tiny"
"""The size that only shows that all works."""
ANNOTATOR_STAGES = ("prior", "mixture", "lift", "generic", "pose2d", "annotate", "dump")
"""Stages that make labels, or what that takes: a run on given labels has none of them."""
STAGES = ("world", *ANNOTATOR_STAGES, "downstream", "evaluate", "report")
TARGETS = ("coco", "mpii", "lspet", "crowdpose", "detections", "mpi_inf_3dhp", "human36m")
AUXILIARY = ("threedpw_train", "mpi_inf_3dhp", "human36m", "synthetic")
MIXED = tuple(dict.fromkeys((*TARGETS, *AUXILIARY)))
"""Data sets that a downstream regressor can be trained on."""
REGRESSORS = ("hmr", "pare", "cliff", "pose2pose", "i2l", "hmr2")
RESNETS = ("slim", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
BACKBONES = (*RESNETS, "vit_slim", "vit_small", "vit_small_heads12", "vit_base", "vit_large", "vit_huge")
WITHOUT_WORLD = ("lspet", "crowdpose", "detections", "human36m")
"""Data sets that the synthetic world does not have, so that paths.NAME must say where they are."""
ONLY_WORLD = ("synthetic",)
"""Sources that are always the synthetic world's, whatever paths.* say."""
LABEL_FORMATS = (
    "neuralannot", "neuralannot_mocap", "spin", "spin_fits", "cliff", "eft", "hmr2", "hmr2_tar", "bedlam", "humandata",
    "coco_smpl",
)  # fmt: skip
SKELETONS = (
    "auto", "coco_17", "openpose_25", "openpose_18", "openpose_15", "vitpose_25", "halpe_26", "halpe_68", "halpe_136",
    "wholebody_133", "mediapipe_33", "mpii_16", "human36m_17", "crowdpose_14", "lsp_14",
)  # fmt: skip
PRIORS = ("none", "l2", "gmm", "adversarial", "vposer")
CAMERAS = ("virtual", "full_image", "known")
EVIDENCE = ("image", "joints", "both")
HEADS = ("regression", "iterative", "joints", "pare", "pose2pose", "hmr2")
LOSS_SHAPES = ("l1", "l2", "robust")
SCHEDULES = ("mixed", "pretrain", "auxiliary_only")
INITS = (
    "random", "generic", "imagenet", "moco", "byol", "detcon", "dino", "pose2d_coco", "pose2d_mpii", "pose2d", "file",
)  # fmt: skip
POSE2D_LOSSES = ("integral", "heatmap", "both")
LOGGERS = ("csv", "wandb", "tensorboard")
METHODS = ("network", "smplify", "eft")
CUSTOM = "custom"
"""``recipe.name`` of a run whose recipe was changed part by part, so that no bundle describes it."""


@dataclass
class _Paths:
    """Where data is read and results are written; relative to the working directory."""

    data: str = option("data", "Folder that synthetic worlds are made in.")
    runs: str = option("runs", "Folder of the run folders.")
    cache: str = option("cache", "Folder of indexes, decoded crops and pre-trained weights; may be deleted.")
    body_models: str = option(
        "free", "Folder with the official SMPL files, a body file (.npz), or free: a real body that anyone may use."
    )
    coco: str | None = option(None, "Root of COCO; null takes the synthetic world's, if it has the data set.")
    mpii: str | None = option(None, "Root of MPII.")
    mpi_inf_3dhp: str | None = option(None, "Root of MPI-INF-3DHP.")
    amass: str | None = option(None, "Root of AMASS, or of ASF/AMC clips such as CMU's, for the pose prior.")
    human36m: str | None = option(None, "Root of Human3.6M, parsed to json; not in the synthetic world.")
    lspet: str | None = option(None, "Root of LSPET or HR-LSPET; not in the synthetic world.")
    crowdpose: str | None = option(None, "Root of CrowdPose; not in the synthetic world.")
    detections: str | None = option(
        None, "File, or folder of the files, of a 2D pose tool about own photographs; not in the synthetic world."
    )


@dataclass
class Detections:
    """What is read of a 2D pose tool's files, docs/detections.md."""

    images: str | None = option(
        None, "Folder of the photographs that the tool was run on, or the video; null is images/ beside its files."
    )
    image_list: str | None = option(
        None, "COCO-style json with the images that the numbers of COCO results mean; null takes them from the names."
    )
    skeleton: str = option(
        "auto", "Order of the joints; auto is what the files name, or the usual one of as many joints.",
        choices=SKELETONS,
    )  # fmt: skip
    min_score: float = option(
        0.3, "Score from which a joint counts for the box; with fewer than 3 such joints nobody is there.",
        at_least=0, at_most=1,
    )  # fmt: skip


def _with_benchmarks(paths: type[_Paths]) -> type[_Paths]:
    """The same with a path for the data set of each benchmark that has none yet."""
    known = {item.name for item in dataclasses.fields(paths)}
    more = [(one.name, str | None, option(None, one.root_help)) for one in BENCHMARKS.values() if one.name not in known]
    return make_dataclass("Paths", more, bases=(paths,), namespace={"__doc__": paths.__doc__})


if TYPE_CHECKING:
    Paths = _Paths
else:
    Paths = _with_benchmarks(_Paths)


@dataclass
class Human36M:
    """What is read of Human3.6M."""

    smpl: bool = option(
        True,
        "Where it helps to train, read the SMPL fits, too, if there are any beside the annotations; people "
        "without one are left out.",
    )


@dataclass
class MPIINF3DHP:
    """What is read of MPI-INF-3DHP, where paths.mpi_inf_3dhp names it; all of the synthetic world's."""

    variant: str = option(
        "annot3", "3D joints at the actor's size or at one universal size.", choices=("annot3", "univ_annot3")
    )
    frame_step: int = option(
        1, "Read every n-th frame of each camera; of videos only those are decoded and kept in the cache.", at_least=1
    )


@dataclass
class Recipe:
    """What is compared: recipe=NAME takes all parts from a bundle, recipe.PART=... changes one of them."""

    name: str = option("none", "Bundle: a name of --list, a YAML file, or custom (no bundle, the parts as they are).")
    auxiliary: dict[str, float] = option(
        {}, "Recipe 1: sources with 3D ground truth, each with its share of the auxiliary people in a batch. synthetic "
        "is the synthetic world's people in the wild with true bodies, beside real data sets too; they are not 3DPW.",
        choices=AUXILIARY, at_least=0,
    )  # fmt: skip
    schedule: str = option(
        "mixed", "Recipe 1: auxiliary people in the same batches, before the targets, or in place of them.",
        choices=SCHEDULES,
    )  # fmt: skip
    init: str = option(
        "generic",
        "Recipe 2: weights the annotator's backbone starts from. generic (this project's stand-in for ImageNet: "
        "clothes and surroundings of the pose2d stage's people) and pose2d are trained by the stages of that name; "
        "pose2d_coco and pose2d_mpii too, on that data set alone, unless recipe.init_file gives a published network; "
        "the others are read from recipe.init_file.",
        choices=INITS,
    )
    init_file: str | None = option(
        None, "Published weights, as downloaded, for recipe.init; {init} in the path stands for its value."
    )
    init_used_3dpw_train: bool | None = option(
        None, "recipe.init=file: whether the file's network was trained on 3DPW's training set, as some published mesh "
        "networks were. null takes the word of the run that it lies in, else it is unknown, and tables say so."
    )  # fmt: skip
    prior: str = option(
        "none", "Recipe 3: what keeps poses plausible: nothing, L2 from the mean pose, a Gaussian mixture, critics "
        "trained along, or VPoser, whose code the annotator then regresses.",
        choices=PRIORS,
    )  # fmt: skip
    prior_file: str | None = option(
        None, "vposer: a checkpoint, v1, v2 or own; gmm: a mixture such as gmm_08.pkl. null makes it in a stage."
    )
    longer: bool = option(
        False, "Train the annotator for pose2d.samples more, so that one without pre-training sees as many people."
    )


@dataclass
class WorldCounts:
    """People (AMASS: poses) in each set of the synthetic world; null takes the number that belongs to size."""

    coco: int | None = option(None, "People in the wild, COCO layout, 2D joints only.", at_least=1)
    mpii: int | None = option(None, "People in the wild, MPII layout, 2D joints only.", at_least=1)
    mpi_inf_3dhp: int | None = option(None, "Views of people in the studio, 3D joints.", at_least=1)
    threedpw_train: int | None = option(None, "People in the wild with true bodies, for training.", at_least=1)
    threedpw_validation: int | None = option(None, "The same, for choosing checkpoints.", at_least=1)
    threedpw_test: int | None = option(None, "The same, for the evaluation.", at_least=1)
    amass: int | None = option(None, "Poses without images.", at_least=1)


@dataclass
class World:
    """The synthetic world, which stands in for every data set whose path is null."""

    seed: int = option(0, "Seed of the people, poses and pictures; independent of the run's seed.", at_least=0)
    frontal: float = option(
        0.7, "Share of the pictures in the wild taken roughly from the front; the others are taken from all around.",
        at_least=0, at_most=1,
    )  # fmt: skip
    counts: WorldCounts = field(default_factory=WorldCounts)


@dataclass
class Augment:
    """Shares of crops with further changes, none by default; model.augmentation=0 leaves these out, too."""

    occlusion: float = option(0.0, "Share of crops with patches of one colour over them.", at_least=0, at_most=1)
    low_resolution: float = option(0.0, "Share of crops shrunk and stretched again.", at_least=0, at_most=1)
    blur: float = option(0.0, "Share of crops that are blurred.", at_least=0, at_most=1)


@dataclass
class Model:
    """The annotator's network; pose2d shares its backbone."""

    backbone: str = sized("slim", "slim", "slim", "resnet50", "Backbone of the annotator and of pose2d.",
        choices=BACKBONES, prefix="timm:",
    )  # fmt: skip
    input_size: int = sized(48, 48, 48, 256, "Side of the square crops, pixels; for every network.", at_least=32)
    augmentation: float = sized(
        0.3, 0.3, 0.3, 1.0,
        "Strength of the random changes to crops, for every network: 1 is the published code's, 0 is none.",
        at_least=0, at_most=1,
    )  # fmt: skip
    augment: Augment = field(default_factory=Augment)
    camera: str = option(
        "virtual", "Camera of the annotator: of the crop alone, of the full image (focal length its diagonal), or the "
        "data set's own where it is known; with the last two the network reads where the crop lies, as CLIFF does.",
        choices=CAMERAS,
    )  # fmt: skip
    head: str = option("joints", "Head of the annotator; joints looks at features where the joints are.",
        choices=HEADS,
    )  # fmt: skip
    min_coverage: float = option(
        0.9, "Share of the network that a file of weights must fill, by element.", at_least=0, at_most=1
    )


@dataclass
class Prior:
    """Stage prior: a variational pose prior of the VPoser type, trained on pose sequences."""

    hidden: int = sized(64, 256, 256, 512, "Width of the hidden layers.", at_least=1)
    steps: int = sized(20, 1500, 4000, 60_000, "Training steps.", at_least=1)
    batch_size: int = sized(32, 256, 256, 512, "Poses per step and process.", at_least=1)
    lr: float = option(1e-3, "Learning rate of Adam.", above=0)
    kl_weight: float = option(0.002, "Weight of the Kullback-Leibler term beside the reconstruction.", at_least=0)


@dataclass
class Generic:
    """Stage generic: a start that knows people but not poses; on the pose2d stage's data sets, with its batch size."""

    samples: int | None = option(None, "People seen in training; null takes pose2d.samples.", at_least=1)
    lr: float = option(2e-3, "Learning rate of Adam.", above=0)


@dataclass
class Pose2D:
    """Stage pose2d: the 2D pose network whose backbone recipe.init=pose2d starts from; of use by itself."""

    sources: dict[str, float] = option(
        {"coco": 1.0, "mpii": 1.0}, "Data sets to train on, each with its share of a batch.",
        choices=TARGETS, at_least=0,
    )  # fmt: skip
    samples: int = sized(64, 80_000, 240_000, 6_000_000, "People seen in training.", at_least=1)
    batch_size: int = sized(16, 64, 32, 64, "People per step and process.", at_least=1)
    lr: float = sized(2e-3, 2e-3, 2e-3, 1e-3, "Learning rate of Adam; full: that of Simple Baselines.", above=0)
    loss: str = option("integral", "What is supervised: the joints, their heatmaps, or both.", choices=POSE2D_LOSSES)
    holdout: float = option(
        0.05, "Share of the images that is not trained on, but measured on: OKS AP, PCKh.", at_least=0, at_most=0.9
    )
    init_file: str | None = option(
        None, "Weights that its backbone starts from, such as ImageNet's; null starts from random ones."
    )


@dataclass
class AnnotateLosses:
    """Weights of the annotator's loss terms; 0 leaves a term out; annotate.loss shapes the first four."""

    joints_2d: float = option(10.0, "On projected joints, in crop widths.", at_least=0)
    joints_3d: float = option(2.0, "On root-relative joints, metres, where known.", at_least=0)
    smpl_pose: float = option(0.2, "On rotation matrices, root included, where known.", at_least=0)
    smpl_betas: float = option(0.1, "On the shape, where known.", at_least=0)
    latent_l2: float = option(0.01, "recipe.prior=vposer: mean square of the code.", at_least=0)
    pose_l2: float = option(0.1, "recipe.prior=l2: mean square angle from the mean pose, radians squared.", at_least=0)
    pose_gmm: float = option(
        0.1, "recipe.prior=gmm: -log density in nats, divided by the mixture's values.", at_least=0
    )
    pose_adversarial: float = option(
        0.08, "recipe.prior=adversarial: squared distance of the critics' opinions from 1, summed over 25; as HMR's.",
        at_least=0,
    )  # fmt: skip
    betas_l2: float = option(0.1, "L2 on the shape.", at_least=0)
    map_joints_2d: float = option(10.0, "L1 on the joints of the maps of model.head=joints, crop widths.", at_least=0)


@dataclass
class Annotate:
    """Stage annotate: train the annotator on the very people it will annotate."""

    method: str = option(
        "network", "What annotates: the network; SMPLify, which fits a body to each person's 2D joints and trains "
        "nothing; or EFT, the network after it was fine-tuned to each person.",
        choices=METHODS,
    )  # fmt: skip
    evidence: str = option(
        "image", "What the network looks at: the picture; the annotated 2D joints, which needs none; or both, where "
        "the picture corrects what the joints say.",
        choices=EVIDENCE,
    )  # fmt: skip
    projections: float = option(
        0.25, "Share of a batch that are projections of recorded poses, where joints are read.", at_least=0, below=1
    )
    slips: Slips = field(default_factory=Slips)
    targets: dict[str, float] = option(
        {"coco": 1.0, "mpii": 1.0}, "Data sets to annotate, each with its share of the target people in a batch; "
        "a list of names is equal shares.",
        choices=TARGETS, at_least=0,
    )  # fmt: skip
    holdout: float = option(
        0.0, "Share of the targets' 2D joints that nothing reads or compares with; how far labels lie from them says "
        "what they are worth where no truth is known.",
        at_least=0, below=1,
    )  # fmt: skip
    target_quota: float = option(
        0.85, "Share of the targets in a batch; the rest is auxiliary. 1 where recipe.auxiliary is empty.",
        above=0, at_most=1,
    )  # fmt: skip
    pretrain_share: float = option(
        0.1, "Share of the training on the auxiliary people alone, of recipe.schedule=pretrain.", above=0, at_most=1
    )
    samples: int = sized(128, 120_000, 150_000, 4_000_000, "People seen in training.", at_least=1)
    batch_size: int = sized(16, 64, 64, 48, "People per step and process.", at_least=1)
    lr: float = sized(1e-3, 1e-3, 1e-3, 1e-4, "Learning rate of Adam.", above=0)
    critic_lr: float = option(1e-4, "recipe.prior=adversarial: learning rate of the critics.", above=0)
    losses: AnnotateLosses = field(default_factory=AnnotateLosses)
    loss: str = option(
        "l1", "Shape of the terms that compare with annotations; robust is Geman and McClure's. They agree at 0.1 crop "
        "widths, 0.1 m, 0.5 in rotation matrices and 1 in betas.",
        choices=LOSS_SHAPES,
    )  # fmt: skip
    tolerance_2d: float = option(
        0.0, "Distance within which a 2D joint gets no gradient, crop widths; 0 is none.", at_least=0
    )


@dataclass
class SMPLify:
    """Bodies fitted to 2D joints, for annotate.method=smplify and dump.refine=smplify."""

    prior: str = option("gmm", "What keeps poses plausible: a Gaussian mixture, or VPoser.", choices=("gmm", "vposer"))
    prior_file: str | None = option(None, "Checkpoint of that prior; null takes that of the stage mixture or prior.")
    iterations: int = sized(8, 50, 100, 200, "Steps of Adam in the stages of pose and shape together.", at_least=1)
    lr: float = option(0.05, "Learning rate of Adam at the beginning of each stage.", above=0)


@dataclass
class EFT:
    """The network fine-tuned to each person by itself, for annotate.method=eft and dump.refine=eft."""

    steps: int = sized(2, 10, 20, 20, "Steps of Adam for each person; the best is kept.", at_least=1)
    lr: float = sized(1e-4, 1e-4, 1e-4, 5e-6, "Learning rate of Adam.", above=0)
    parts: str = sized(
        "head",
        "head",
        "head",
        "all",
        "What is tuned: the head, of many people at once, or all, one after the other.",
        choices=("head", "all"),
    )


@dataclass
class Dump:
    """Stage dump: write the pseudo-GT of every person of the targets."""

    refine: str = option(
        "none", "Refine what the network says; accepted for people whose 2D error falls and whose pose stays as "
        "plausible. Needs annotate.method=network.",
        choices=("none", "smplify", "eft"),
    )  # fmt: skip
    refine_tolerance: float = option(
        0.0, "Nats by which -log density of a refined pose under the pose mixture may rise.", at_least=0
    )
    min_joints: int = option(0, "People with fewer annotated 2D joints get no label.", at_least=0)
    mirror: bool = option(True, "Look at each crop's mirror image too, for mirror_disagreement; doubles the time.")
    prior_score: bool = option(True, "Score each pose under the pose mixture, where pose sequences are there.")
    keep_single_views: bool = option(
        False, "MoCap: keep what the network says about each view alone, beside the labels fused over the cameras."
    )
    formats: list[str] = option(
        ["neuralannot"], "Layouts to write beside the native label table.", choices=LABEL_FORMATS
    )


@dataclass
class LabelFilter:
    """A view of the labels: limits that those trained on have to keep; null is none. Nothing is deleted."""

    max_error_2d: float | None = option(None, "Mean distance of the annotated 2D joints, in box widths.", at_least=0)
    min_joints: int | None = option(None, "Least number of annotated 2D joints.", at_least=0)
    max_abs_beta: float | None = option(None, "Largest absolute shape coefficient.", at_least=0)
    max_prior_score: float | None = option(None, "-log density of the pose under the pose mixture.")
    max_mirror_disagreement: float | None = option(
        None, "Mean joint distance to the label of the mirrored image, mm.", at_least=0
    )
    max_limit_excess_deg: float | None = option(None, "Degrees beyond anatomical joint limits, summed.", at_least=0)
    refined_only: bool = option(False, "Only labels whose refinement was accepted.")
    max_quality_score: float | None = option(
        None, "Expected MPVPE in mm from all quality columns together (docs/quality.md).", above=0
    )


@dataclass
class Labels:
    """The pseudo-GTs that the downstream stage trains on: which tables, and which of their rows."""

    folders: list[str] | None = option(
        None,
        "Label folders called <dataset>-<split>, or folders of such, a run's for example; null takes this run's own, "
        "[] none. Short: labels=A,B. A run on given labels trains no annotator, whatever its recipe.",
    )
    filter: LabelFilter = field(default_factory=LabelFilter)


@dataclass
class DownstreamLosses:
    """Weights of the downstream regressor's loss terms; 0 leaves a term out."""

    joints_2d: float = option(10.0, "L1 on projected joints, in crop widths.", at_least=0)
    joints_3d: float = option(10.0, "L1 on the pseudo-GT's root-relative joints, metres.", at_least=0)
    smpl_pose: float = option(1.0, "L1 on rotation matrices, root included.", at_least=0)
    smpl_betas: float = option(0.1, "L1 on the shape.", at_least=0)
    betas_l2: float = option(0.01, "L2 on the shape.", at_least=0)


@dataclass
class Downstream:
    """Stage downstream: train a mesh regressor on the pseudo-GTs, everything else fixed."""

    family: str = option("hmr", "Kind of regressor.", choices=REGRESSORS)
    backbone: str = sized("slim", "slim", "slim", "resnet50", "Backbone of the regressor.",
        choices=BACKBONES, prefix="timm:",
    )  # fmt: skip
    init_file: str | None = option(None, "Weights that the backbone starts from; null starts from random ones.")
    mix: dict[str, float] = option(
        {}, "Data sets to train on, each with its share of a batch: with labels where there are some, else with their "
        "own 3D ground truth. Empty takes everyone who has a label.", choices=MIXED, at_least=0,
    )  # fmt: skip
    samples: int = sized(128, 48_000, 30_000, 4_000_000, "People seen in training.", at_least=1)
    batch_size: int = sized(16, 64, 64, 64, "People per step and process.", at_least=1)
    lr: float = sized(1e-3, 1e-3, 1e-3, 1e-4, "Learning rate of Adam.", above=0)
    losses: DownstreamLosses = field(default_factory=DownstreamLosses)


@dataclass
class Evaluate:
    """Stage evaluate: labels against the true bodies (synthetic world), the regressor on benchmarks."""

    benchmarks: list[str] = option(
        [DEFAULT.name], "What the regressor is judged on, one after the other. The first that has a validation split "
        "chooses its checkpoint by it; without one the last checkpoint is taken.",
        choices=tuple(BENCHMARKS),
    )  # fmt: skip
    protocols: list[str] | None = option(
        None, "Protocols of these benchmarks; null takes the usual ones of each.",
        choices=tuple(key for one in BENCHMARKS.values() for key in one.all_protocols),
    )  # fmt: skip
    bootstrap: int = option(1000, "Resamplings behind each 95 % interval; 0 gives none.", at_least=0)


@dataclass
class Report:
    """Stage report: the comparison of an experiment's runs."""

    people: int = sized(3, 12, 16, 16, "People in the gallery, each with every annotator's mesh.", at_least=0)


@dataclass
class Trainer:
    """Machine: handed to Lightning's Trainer and to the data loaders, alike for every stage."""

    accelerator: str = option("auto", "What to train on.", choices=("auto", "cpu", "gpu", "mps"))
    devices: int = option(1, "Processes (GPUs) on each machine.", at_least=1)
    num_nodes: int = option(1, "Machines; start one torchrun on each.", at_least=1)
    strategy: str = option("auto", "Lightning's name of the strategy.")
    precision: str = option(
        "32-true", "Arithmetic of the networks; the body model always runs in fp32.",
        choices=("32-true", "bf16-mixed", "16-mixed"),
    )  # fmt: skip
    epochs: int = sized(
        1, 4, 4, 10,
        "Parts that each training is divided into; after each its state is saved, and validated where it can be.",
        at_least=1,
    )  # fmt: skip
    num_workers: int = sized(0, 2, 2, 8, "Loader processes for each process.", at_least=0)
    extra: dict[str, Any] = option(
        {}, "Further arguments of Lightning's Trainer, for every stage: trainer.extra.gradient_clip_val=1.0. With "
        "accumulate_grad_batches a training sees as many people, in fewer steps."
    )  # fmt: skip


@dataclass
class Grid:
    """The runs of a sweep, when there are several."""

    parallel: int = option(
        1, "Runs at a time, each in a process and with a log file of its own. Short: --jobs N.", at_least=1
    )


@dataclass
class Wandb:
    """Weights & Biases; offline needs neither account nor network."""

    mode: str = option("offline", "Whether and where to log.", choices=("offline", "online", "disabled"))
    project: str = option("three-recipes", "Project that runs are logged to.")
    entity: str | None = option(None, "User or team; null takes the account's default.")
    group: str | None = option(None, "Runs to compare with each other; null takes the run's name.")
    tags: list[str] = option([], "Tags beside those of the recipe and the sources.")
    artifacts: str = option(
        "reference",
        "How label tables and checkpoints are kept with the runs: by path and checksum, as uploaded files, or not.",
        choices=("none", "reference", "files"),
    )


@dataclass
class Settings:
    """The run as a whole."""

    name: str = option("", "Name of the run's folder; by default the experiment's name.")
    size: str = option("default", "Scales every stage: the values given by size below.", choices=SIZES)
    seed: int = option(0, "Seed of weights, order and augmentation.", at_least=0, at_most=2**32 - 1)
    stages: list[str] = option(list(STAGES), "Stages to run, each from what those before it left.", choices=STAGES)
    overwrite: bool = option(False, "Remove results of other settings under the same name instead of refusing.")
    skip_damaged_images: bool = option(
        False, "Decode every image before it is trained on or annotated; leave out, and count, people whose image is "
        "damaged, instead of stopping at it.",
    )  # fmt: skip
    logger: list[str] = option(
        ["csv", "wandb"], "Where trainings are logged; csv always is. tensorboard needs the package of that name.",
        choices=LOGGERS,
    )  # fmt: skip
    sweep: dict[str, list[Any]] = option(
        {}, "Values to compare: sweep.KEY=[a,b] runs once for each; several keys give all combinations."
    )
    paths: Paths = field(default_factory=Paths)
    mpi_inf_3dhp: MPIINF3DHP = field(default_factory=MPIINF3DHP)
    human36m: Human36M = field(default_factory=Human36M)
    detections: Detections = field(default_factory=Detections)
    recipe: Recipe = field(default_factory=Recipe)
    world: World = field(default_factory=World)
    model: Model = field(default_factory=Model)
    prior: Prior = field(default_factory=Prior)
    lift: Lift = field(default_factory=Lift)
    generic: Generic = field(default_factory=Generic)
    pose2d: Pose2D = field(default_factory=Pose2D)
    annotate: Annotate = field(default_factory=Annotate)
    smplify: SMPLify = field(default_factory=SMPLify)
    eft: EFT = field(default_factory=EFT)
    dump: Dump = field(default_factory=Dump)
    labels: Labels = field(default_factory=Labels)
    downstream: Downstream = field(default_factory=Downstream)
    evaluate: Evaluate = field(default_factory=Evaluate)
    report: Report = field(default_factory=Report)
    trainer: Trainer = field(default_factory=Trainer)
    grid: Grid = field(default_factory=Grid)
    wandb: Wandb = field(default_factory=Wandb)


@dataclass(frozen=True)
class Option:
    """One key of the schema.

    Attributes:
        key: dotted name.
        type: its resolved type, e.g. ``int`` or ``dict[str, float]``.
        default: the schema's default.
        help: one sentence.
        sizes: value for each size, or empty where it does not depend on it.
        limits: ``choices``, ``prefix``, ``at_least``, ``above``, ``at_most``, as far as given.
    """

    key: str
    type: Any
    default: Any
    help: str
    sizes: dict[str, Any]
    limits: dict[str, Any]

    @property
    def container(self) -> type | None:
        """``dict`` or ``list`` for settings that hold several values (null allowed or not), else None."""
        members = typing.get_args(self.type) if isinstance(self.type, types.UnionType) else (self.type,)
        return next((typing.get_origin(member) for member in members if typing.get_origin(member)), None)

    @property
    def is_path(self) -> bool:
        """Whether it holds a file or folder, or a list of them."""
        return self.key.startswith("paths.") or self.key.endswith("_file") or self.key == "labels.folders"

    @property
    def type_name(self) -> str:
        """The type as a user reads it."""
        if isinstance(self.type, type) and not typing.get_origin(self.type):
            return self.type.__name__
        return str(self.type).replace("typing.", "").replace("None", "null")


def _walk(section: type, prefix: str) -> Iterator[tuple[str, type] | Option]:
    yield prefix.removesuffix("."), section
    hints = typing.get_type_hints(section)
    for item in dataclasses.fields(section):
        kind, key = hints[item.name], prefix + item.name
        if dataclasses.is_dataclass(kind):
            yield from _walk(typing.cast(type, kind), f"{key}.")
            continue
        factory = item.default_factory
        default = item.default if factory is dataclasses.MISSING else factory()
        limits = dict(item.metadata)
        yield Option(key, kind, default, limits.pop("help"), limits.pop("sizes", {}), limits)


_SCHEMA = list(_walk(Settings, ""))
OPTIONS: dict[str, Option] = {item.key: item for item in _SCHEMA if isinstance(item, Option)}
"""Every key of the schema, in the order of its sections."""
SECTIONS: dict[str, str] = {item[0]: (item[1].__doc__ or "").strip() for item in _SCHEMA if isinstance(item, tuple)}
"""Dotted name of each section ('' for the top) and what it is about."""


def to_plain(settings: Settings) -> dict[str, Any]:
    """Settings as nested plain dicts, lists and values, for files, hyperparameters and hashes."""
    return dataclasses.asdict(settings)


def get(settings: Settings, key: str) -> Any:
    """Value of a dotted key."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value
