"""Precedence, errors and sweeps of the configuration."""

from pathlib import Path

import pytest
import yaml

from experiments.settings import sources
from experiments.settings.describing import config_text, help_text
from experiments.settings.loading import (
    COMMAND_LINE,
    CONFIGS,
    DEFAULT,
    ConfigError,
    descriptions,
    expand_sweep,
    load_settings,
)
from experiments.settings.plan import Plan
from experiments.settings.schema import CUSTOM, OPTIONS, SIZES, Settings, get, to_plain


def settings_of(*argv: str) -> Settings:
    return load_settings(argv)[0]


def errors_of(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(argv)
    assert all("\n" not in message for message in caught.value.messages)
    return caught.value.messages


def test_a_schedule_needs_somebody_to_schedule_in_one_run_of_a_grid() -> None:
    for argv in (["recipe=two"], ["sweep.recipe=[none,two]"]):
        (message,) = errors_of(*argv, "recipe.schedule=pretrain")
        assert "recipe.schedule=pretrain needs auxiliary data" in message and message.startswith(COMMAND_LINE)
    runs = dict(expand_sweep(*load_settings(["sweep.recipe=[none,three]", "recipe.schedule=pretrain"])))
    assert [run.recipe.schedule for run in runs.values()] == ["pretrain", "pretrain"]


def test_the_same_people_are_not_named_twice() -> None:
    both = "recipe.auxiliary=[synthetic,threedpw_train]"
    (message,) = errors_of(both)
    assert "are the same people while paths.threedpw is null" in message
    assert load_settings([both, "paths.threedpw=somewhere"])[0].recipe.auxiliary == dict.fromkeys(
        ["synthetic", "threedpw_train"], 1.0
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    parent = write(tmp_path / "parent.yaml", "extends: base\nannotate: {samples: 1, batch_size: 2}\nseed: 7\n")
    child = write(
        tmp_path / "child.yaml", "extends: parent\nannotate.batch_size: 3\nrecipe: {prior: none, name: two}\n"
    )
    child.write_text(child.read_text().replace("prior: none, ", ""))
    settings, origins = load_settings(
        [f"experiment={child}", "size=tiny", "seed=9", "recipe.auxiliary.threedpw_train=1"]
    )
    assert settings.prior.lr == 1e-3 and origins["prior.lr"] == DEFAULT
    assert settings.pose2d.samples == 64 and origins["pose2d.samples"] == "size=tiny"
    assert settings.annotate.samples == 1 and origins["annotate.samples"] == str(parent)
    assert settings.annotate.batch_size == 3 and origins["annotate.batch_size"] == str(child)
    assert settings.recipe.prior == "vposer" and origins["recipe.prior"].endswith("two.yaml")
    assert settings.seed == 9 and origins["seed"] == COMMAND_LINE
    assert settings.recipe.auxiliary == {"threedpw_train": 1.0} and origins["recipe.auxiliary"] == COMMAND_LINE
    assert settings.name == "child"


def test_bundle_wins_over_the_experiment_file_and_loses_to_arguments(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", "recipe: {prior: none, init: random}\n")
    assert settings_of(f"experiment={file}").recipe.prior == "none"
    assert settings_of(f"experiment={file}", "recipe=three").recipe.prior == "vposer"
    settings = settings_of(f"experiment={file}", "recipe.prior=none", "recipe=three")
    assert (settings.recipe.prior, settings.recipe.init) == ("none", "pose2d")


def test_recipe_may_be_a_file(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", "# Mine.\nauxiliary: {mpi_inf_3dhp: 1}\ninit: random\nprior: vposer\n")
    recipe = settings_of(f"recipe={file}").recipe
    assert recipe.auxiliary == {"mpi_inf_3dhp": 1.0} and recipe.name == str(file)
    write(file, "init: random\n")
    assert "auxiliary, prior missing" in errors_of(f"recipe={file}")[0]


def test_a_recipe_changed_by_hand_is_not_called_by_the_bundles_name() -> None:
    assert settings_of("recipe=three").recipe.name == "three"
    assert settings_of("recipe=three", "recipe.prior=vposer").recipe.name == "three"
    assert settings_of("recipe=three", "recipe.auxiliary.mpi_inf_3dhp=0").recipe.name == CUSTOM


def test_a_file_that_contradicts_its_own_bundle_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", "recipe: {name: three, prior: none}\n")
    (message,) = errors_of(f"experiment={file}")
    assert str(file) in message and "recipe.prior" in message and "three.yaml" in message


def test_mappings_are_replaced_whole_and_changed_by_entry() -> None:
    assert settings_of("annotate.targets={mpii: 2}").annotate.targets == {"mpii": 2.0}
    assert settings_of("annotate.targets.mpii=2").annotate.targets == {"coco": 1.0, "mpii": 2.0}
    assert settings_of("annotate.targets.mpii=0").annotate.targets == {"coco": 1.0}


def test_size_scales_every_training_stage() -> None:
    sizes = [settings_of(f"size={size}") for size in SIZES]
    for key in ("prior.steps", "pose2d.samples", "annotate.samples", "downstream.samples"):
        values = [get(settings, key) for settings in sizes]
        if key == "downstream.samples":
            # bench has tables of many regressors: one of them is shorter than the main job's.
            values[1], values[2] = values[2], values[1]
        assert values == sorted(set(values)), key


def test_experiments_do_not_hide_sizes() -> None:
    # MPII has a fifth of COCO's people: its header says so.
    allowed = {(f"annotate_mpii{level}", "annotate.samples") for level in ("", "_none", "_two", "_three")}
    # Published rates, batches and backbones of single families: their headers say so.
    allowed |= {("downstream_pare", "downstream.lr"), ("downstream_i2l", "downstream.batch_size")}
    allowed |= {("downstream_hmr2", f"downstream.{key}") for key in ("backbone", "batch_size", "lr")}
    for name in descriptions("experiments"):
        _, origins = load_settings([f"experiment={name}", "size=tiny"])
        hidden = {
            (name, option.key) for option in OPTIONS.values() if option.sizes and origins[option.key] != "size=tiny"
        }
        assert hidden <= allowed


def test_schema_stands_for_the_default_size_and_no_recipe() -> None:
    for option in OPTIONS.values():
        assert option.help.endswith(".")
        assert not option.sizes or option.default == option.sizes["default"]
    recipe = settings_of("recipe=none").recipe
    assert recipe == Settings().recipe


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIGS / "experiments").glob("*.yaml")))
def test_every_experiment_loads_and_states_its_command(name: str, size: str) -> None:
    settings, origins = load_settings([f"experiment={name}", f"size={size}"])
    assert settings.name == name and origins.keys() == OPTIONS.keys()
    header = (CONFIGS / "experiments" / f"{name}.yaml").read_text()
    assert header.startswith("# ") and "#   python -m experiments.run" in header


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIGS / "recipes").glob("*.yaml")))
def test_every_recipe_loads_and_states_its_command(name: str) -> None:
    assert settings_of(f"recipe={name}").recipe.name == name
    assert f"#   python -m experiments.run recipe={name}" in (CONFIGS / "recipes" / f"{name}.yaml").read_text()


def test_numbers_as_users_write_them() -> None:
    settings = settings_of("annotate.samples=1e5", "annotate.lr=1e-4", "stages=report,annotate", "dump.min_joints=3")
    assert (settings.annotate.samples, settings.annotate.lr) == (100_000, 1e-4)
    assert isinstance(settings.annotate.samples, int)
    assert settings.stages == ["annotate", "report"]


def test_labels_is_short_for_their_folders() -> None:
    settings = settings_of("labels=runs/a/coco-train,runs/a/mpii-train", "labels.filter.max_abs_beta=3")
    assert settings.labels.folders == ["runs/a/coco-train", "runs/a/mpii-train"]
    assert settings.labels.filter.max_abs_beta == 3.0 and settings.labels.filter.min_joints is None
    (message,) = errors_of("labels.filter.max_eror_2d=1")
    assert "the nearest is labels.filter.max_error_2d" in message


def test_given_labels_leave_nobody_to_annotate() -> None:
    """Else each recipe of the default experiment would be trained, and the same regressor twice."""
    runs = expand_sweep(*load_settings(["labels=runs/a/three", "downstream.family=cliff"]))
    assert [label for label, _ in runs] == ["labels=three"]
    assert runs[0][1].stages == ["world", "downstream", "evaluate", "report"]
    runs = expand_sweep(*load_settings(["sweep.labels=[[a/coco-train],[b/coco-train],[]]"]))
    assert [one.labels.folders for _, one in runs] == [["a/coco-train"], ["b/coco-train"], []]
    assert not any("annotate" in one.stages for _, one in runs)
    # Beside the run's own labels, which its recipe makes.
    runs = expand_sweep(*load_settings(["sweep.labels=[null,[b/coco-train]]"]))
    assert [(label, one.recipe.name) for label, one in runs] == [
        ("labels=None", "three"),
        ("labels=b-coco-train", "three"),
    ]
    assert ["annotate" in one.stages for _, one in runs] == [True, False]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("sweep.recipe=[none,two]", "argument sweep.recipe: labels= leaves nobody to annotate"),
        ("stages=annotate,downstream", "leave out annotate"),
    ],
)
def test_nor_may_one_ask_for_annotation_beside_them(argument: str, expected: str) -> None:
    assert expected in errors_of("labels=runs/a/three", argument)[0]


def test_environment_variables_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_DATA", "/somewhere")
    assert settings_of("paths.coco=${oc.env:MY_DATA}/coco").paths.coco == "/somewhere/coco"
    (message,) = errors_of("paths.mpii=${oc.env:NOT_SET_ANYWHERE}")
    assert "argument paths.mpii=" in message and "NOT_SET_ANYWHERE" in message


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("annotate.smaples=3", "the nearest is annotate.samples"),
        ("backbone=slim", "that is one of model.backbone, downstream.backbone"),
        ("annotate.learning_rate=1", "unknown key; that is annotate.lr"),
        ("weight_decay=0", "no such setting: annotators and regressors are trained by Adam without weight decay"),
        ("annotate.epochs=3", "that is annotate.samples (a training is told in people seen"),
        ("gpus=2", "that is trainer.devices"),
        ("trainer.logger=false", "that is logger (csv, wandb, tensorboard"),
        ("workers=2", "that is trainer.num_workers"),
        (
            "batch=3",
            "that is one of prior.batch_size, lift.batch_size, pose2d.batch_size, annotate.batch_size, downstream",
        ),
        ("annotate.frobnicate=1", "unknown key; --help lists all"),
        ("+annotate.lr=1", "there is no + and ~ as in Hydra"),
        ("hydra.run.dir=x", "paths.runs and name say where results go"),
        ("seed=1,2", "sweep.seed=[1,2] runs once for each"),
        ("seed=4294967296", "above the largest allowed value 4294967295"),
        ("annotate=3", "a section, not a key"),
        ("annotate.samples=abc", "'abc' is not int"),
        ("prior.steps=2.5", "the nearest is 2"),
        ("prior.steps=null", "None is not int"),
        ("overwrite=ture", "the nearest is true"),
        ("annotate.lr=0", "0.0 is not above the limit 0"),
        ("annotate.lr=nan", "nan is not finite"),
        ("annotate.target_quota=2", "above the largest allowed value 1"),
        ("pose2d.batch_size=0", "below the least allowed value 1"),
        ("recipe.init=pose3d", "the nearest is pose2d"),
        ("stages=[annotate,dmp]", "the nearest is dump"),
        ("stages=[]", "no stage"),
        ("recipe.auxiliary.threedpw=1", "the nearest is threedpw_train"),
        ("recipe.auxiliary={threedpw_train: x}", "does not give each name a number"),
        ("annotate.targets={}", "no data set to annotate"),
        ("recipe.init=file", "needs recipe.init_file"),
        ("recipe=thre", "the nearest is three"),
        ("experiment=coco_mni", "the nearest is coco_mini"),
        ("size=defualt", "the nearest is default"),
        ("wandb.tags={a: 1}", "is not list[str]"),
        ("paths.coco={a: 1", "the bracket is not closed"),
        ("paths.coco", "expected KEY=VALUE"),
        ("name=a/b", "no folder name"),
        ("sweep.sed=[1]", "the nearest is seed"),
        ("sweep.recipe.init=[random,pose3d]", "the nearest is pose2d"),
        ("sweep.recipe=[none,thre]", "the nearest is three"),
        ("sweep.size=[tiny,larg]", "is not one of tiny"),
        ("sweep.seed=[]", "no values"),
        ("sweep.seed=[1,1]", "1 is given twice"),
        ("sweep.name=[a]", "cannot be swept"),
    ],
)
def test_wrong_argument_is_one_line_with_argument_key_and_remedy(argument: str, expected: str) -> None:
    (message,) = errors_of(argument)
    assert expected in message
    assert f"argument {argument}" in message or message.startswith(f"{COMMAND_LINE}: sweep")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "annotate:\n  smaples: 3\n",
            "annotate.smaples: unknown key; the nearest is annotate.samples",
        ),
        ("annotate:\n  samples: 3\n  samples: 4\n", "line 3"),
        ("annotate: 3\n", "annotate: a section"),
        ("- a\n- b\n", "found a list"),
        ("seed: [1\n", "line 2"),
        ("extends: bsae\n", "the nearest is base"),
        ("extends: mine\n", "goes round in a circle"),
        ("recipe: four\n", "recipe: no file"),
        ("sweep: {seed: 3}\n", "the nearest is [3]"),
    ],
)
def test_wrong_file_is_named_with_key_and_remedy(tmp_path: Path, text: str, expected: str) -> None:
    file = write(tmp_path / "mine.yaml", text)
    (message,) = errors_of(f"experiment={file}")
    assert message.startswith(f"{file}: ") and expected in message


def test_a_mapping_that_the_shell_took_apart_is_to_be_quoted() -> None:
    words = "recipe.auxiliary={threedpw_train: 1, mpi_inf_3dhp: 1} seed=1".split()
    (message,) = errors_of(*words)
    assert message.endswith("quote it: 'recipe.auxiliary={threedpw_train: 1, mpi_inf_3dhp: 1}'")


def test_the_home_folder_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line, in files, in lists and in sweeps; the names of files, too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "mine.yaml", "extends: base\npaths:\n  mpii: ~/mpii\npose2d: {init_file: ~/start.pth}\n")
    argv = ["experiment=~/mine.yaml", "paths.coco=~/coco", "labels=[~/a,~/b]"]
    settings = settings_of(*argv)
    assert (settings.paths.coco, settings.paths.mpii) == (f"{tmp_path}/coco", f"{tmp_path}/mpii")
    assert settings.labels.folders == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert settings.pose2d.init_file == f"{tmp_path}/start.pth"
    swept = load_settings(["experiment=base", "sweep.labels.folders=[[~/a],[~/b]]"])
    assert [run.labels.folders for _, run in expand_sweep(*swept)] == [[f"{tmp_path}/a"], [f"{tmp_path}/b"]]


def test_undecodable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"name: \xff\xfe\x00")
    assert "cannot be read" in errors_of(f"experiment={tmp_path / 'mine.yaml'}")[0]


def test_all_errors_are_reported_at_once() -> None:
    assert len(errors_of("annotate.smaples=3", "size=larg", "prior.steps=x", "sweep.sed=[1]")) == 4


@pytest.mark.parametrize(
    ("written", "targets"),
    [
        ("coco", {"coco": 1.0}), ("[coco]", {"coco": 1.0}), ("[mpii,coco]", {"mpii": 1.0, "coco": 1.0}),
        ("{coco: 1, mpii: 1}", {"coco": 1.0, "mpii": 1.0}),
    ],
)  # fmt: skip
def test_names_alone_are_equal_shares(tmp_path: Path, written: str, targets: dict[str, float]) -> None:
    """On the command line, in a file and in a sweep; the mapping is what is printed."""
    file = write(tmp_path / "mine.yaml", f"annotate:\n  targets: {written}\n")
    for argv in ([f"annotate.targets={written}"], [f"experiment={file}"]):
        settings, origins = load_settings(argv)
        assert settings.annotate.targets == targets
        assert list(settings.annotate.targets) == list(targets)
        printed = yaml.safe_load(config_text(settings, origins))
        assert printed["annotate"]["targets"] == targets
    (run,) = (
        run for _, run in expand_sweep(*load_settings(["experiment=base", f"sweep.annotate.targets=[{written}]"]))
    )
    assert run.annotate.targets == targets


def test_other_mappings_of_shares_take_names_too_and_wrong_ones_are_refused() -> None:
    assert settings_of("recipe.auxiliary=[mpi_inf_3dhp]").recipe.auxiliary == {"mpi_inf_3dhp": 1.0}
    for wrong in ("[coc]", "coc", "{coc: 1}"):
        assert "the nearest is coco" in errors_of(f"annotate.targets={wrong}")[0]
    for wrong in ("[coco,coco]", "[coco,1]", "3"):
        assert "does not give each name a number" in errors_of(f"annotate.targets={wrong}")[0]
    assert errors_of("annotate.targets=[]")


def test_synthetic_auxiliary_people_are_the_worlds_whatever_paths_say(tmp_path: Path) -> None:
    settings = settings_of("experiment=coco_mini", f"paths.coco={tmp_path}", f"paths.threedpw={tmp_path}")
    assert settings.recipe.auxiliary == {"synthetic": 1.0, "mpi_inf_3dhp": 1.0}
    assert sources.is_synthetic(settings, "synthetic") and Plan(settings).exposure.saw_training_of() is False
    assert "synthetic" in Plan(settings).used and Plan(settings).without_path == []
    expected = {"kind": "threedpw", "root": str(Path("world/3dpw")), "split": "train"}
    assert sources.source(settings, Path("world"), "synthetic") == expected
    assert sources.root_of(settings, Path("world"), "threedpw_train") == str(tmp_path)


def test_data_sets_that_the_synthetic_world_lacks_need_a_path(tmp_path: Path) -> None:
    argv = ["annotate.targets={lspet: 1, crowdpose: 1}", "recipe.auxiliary.human36m=1"]
    messages = errors_of(*argv)
    assert len(messages) == 3
    for message, name in zip(messages, ("lspet", "crowdpose", "human36m"), strict=True):
        assert f"paths.{name}=FOLDER" in message
    settings = settings_of(*argv, *(f"paths.{name}={tmp_path / name}" for name in ("lspet", "crowdpose", "human36m")))
    assert not any(sources.is_synthetic(settings, name) for name in ("lspet", "crowdpose", "human36m"))
    assert sources.source(settings, None, "lspet") == {
        "kind": "lspet",
        "root": str(tmp_path / "lspet"),
        "split": "train",
    }


def test_what_is_read_of_a_pose_tools_files(tmp_path: Path) -> None:
    assert "paths.detections=FOLDER" in errors_of("annotate.targets=[detections]")[0]
    options = ["detections.min_score=0.5", "detections.skeleton=halpe_26"]
    settings = settings_of("experiment=annotate_detections", f"paths.detections={tmp_path}", *options)
    assert sources.source(settings, None, "detections") == {
        "kind": "detections", "root": str(tmp_path), "split": "train", "images": None, "image_list": None,
        "skeleton": "halpe_26", "min_score": 0.5,
    }  # fmt: skip


def test_default_experiment_compares_two_recipes() -> None:
    settings, origins = load_settings([])
    runs = dict(expand_sweep(settings, origins))
    assert list(runs) == ["none", "three"]
    assert runs["none"].recipe.name == "none" and runs["three"].recipe.name == "three"
    assert runs["none"].sweep == {}
    plain = [to_plain(run) for run in runs.values()]
    for run in plain:
        del run["recipe"]
    assert plain[0] == plain[1], "all else equal"


def test_without_sweep_one_run_named_after_its_recipe() -> None:
    assert [label for label, _ in expand_sweep(*load_settings(["recipe=two"]))] == ["two"]


def test_argument_replaces_the_files_sweep_over_it() -> None:
    settings, origins = load_settings(["recipe=two", "sweep.seed=[0,1]"])
    assert [(label, run.seed) for label, run in expand_sweep(settings, origins)] == [("seed0", 0), ("seed1", 1)]
    assert "give one of the two" in errors_of("seed=1", "sweep.seed=0,1")[0]


def test_grid_keeps_arguments_and_has_plain_labels() -> None:
    settings, origins = load_settings(
        ["sweep.seed=0,1", "recipe.prior=none", "annotate.samples=5", "sweep.size=tiny,full"]
    )
    runs = dict(expand_sweep(settings, origins))
    assert list(runs) == ["seed0-size=tiny", "seed0-size=full", "seed1-size=tiny", "seed1-size=full"]
    run = runs["seed1-size=full"]
    assert (run.recipe.init, run.recipe.prior, run.recipe.name) == ("pose2d", "none", CUSTOM)
    assert (run.annotate.samples, run.model.backbone, run.seed) == (5, "resnet50", 1)


def test_a_sweep_without_an_experiment_is_the_whole_sweep() -> None:
    """It is not multiplied by the recipes that the main job compares; that of a named experiment gets more keys."""
    for argv, recipes in (([], ["three"]), (["experiment=default"], ["none", "three"])):
        runs = expand_sweep(*load_settings([*argv, "sweep.seed=[0,1]"]))
        assert [(run.recipe.name, run.seed) for _, run in runs] == [(name, i) for name in recipes for i in (0, 1)]


def test_sweep_over_parts_and_mappings() -> None:
    argv = ["experiment=base", "sweep.recipe.auxiliary=[{}, {threedpw_train: 1}]", "sweep.annotate.lr=[1e-3, 1e-4]"]
    labels = [label for label, _ in expand_sweep(*load_settings(argv))]
    assert labels[0] == "auxiliary=none-lr=0.001" and labels[-1] == "auxiliary=threedpw_train1-lr=0.0001"


@pytest.mark.parametrize("argv", [[], ["size=full", "recipe.prior=none"], ["experiment=coco_mini", "paths.coco=a b#c"]])
def test_printed_configuration_reads_back(tmp_path: Path, argv: list[str]) -> None:
    settings, origins = load_settings(argv)
    file = write(tmp_path / "config.yaml", config_text(settings, origins))
    assert to_plain(settings_of(f"experiment={file}")) == to_plain(settings)


def test_runs_of_a_sweep_read_back(tmp_path: Path) -> None:
    for label, run in expand_sweep(*load_settings(["sweep.recipe.prior=none,vposer"])):
        file = write(tmp_path / f"{label}.yaml", config_text(run))
        assert to_plain(settings_of(f"experiment={file}")) == to_plain(run)


def test_help_has_every_key_with_its_help() -> None:
    text = help_text(100)
    assert max(map(len, text.splitlines())) <= 120
    words = " ".join(text.split())
    for key, option in OPTIONS.items():
        assert f"  {key} " in text and option.help in words, key


def test_a_bundle_may_go_beyond_the_recipes(tmp_path: Path) -> None:
    """What else it sets is part of it: changed, the recipe has another name; the other recipe of a sweep has it not."""
    settings = settings_of("recipe=joints")
    assert (settings.recipe.name, settings.annotate.evidence) == ("joints", "both")
    changed = settings_of("recipe=joints", "annotate.evidence=joints")
    assert (changed.recipe.name, changed.annotate.evidence) == (CUSTOM, "joints")
    runs = dict(expand_sweep(*load_settings(["sweep.recipe=[three,joints]"])))
    assert [run.annotate.evidence for run in runs.values()] == ["image", "both"]
    parts = "auxiliary: {}\ninit: random\nprior: none\n"
    write(tmp_path / "far.yaml", parts + "beyond: {trainer: {epochs: 1}, dump: {mirror: false}}\n")
    (message,) = errors_of(f"recipe={tmp_path / 'far.yaml'}")
    assert "beyond sets trainer; a bundle may set annotate, model, dump there" in message
