"""What lies in the offline files of a run, read back: it is what ``wandb sync`` would send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wandb

from experiments.engine.pipeline import Run
from experiments.settings.schema import Settings
from experiments.training import wandb_runs
from tests.support.wandb_offline import OfflineRun, read_offline


@pytest.fixture(scope="module")
def logged(tiny_run: Path) -> dict[str, OfflineRun]:
    """The W&B runs of the run ``three`` by stage."""
    wandb.teardown()  # the service writes the end of a file a moment after a run is finished
    files = [path for path in (tiny_run / "three").rglob("run-*.wandb") if "latest-run" not in path.parts]
    runs = [read_offline(path) for path in files]
    return {one.run.job_type: one for one in runs}


def test_stages_are_grouped_typed_and_tagged(logged: dict[str, OfflineRun]) -> None:
    assert set(logged) == {"annotate", "dump", "downstream", "evaluate"}
    for stage, one in logged.items():
        assert one.run.run_group == "default" and one.run.project == "three-recipes"
        assert one.run.display_name == f"three-{stage}"
        tags = {"recipe:three", "prior:vposer", "auxiliary:threedpw_train", "target:coco", "target:mpii"}
        assert tags <= set(one.run.tags)


def test_configuration_is_nested_as_in_the_settings(logged: dict[str, OfflineRun]) -> None:
    for stage, one in logged.items():
        assert one.config["recipe"]["prior"] == "vposer" and one.config["annotate"]["samples"] == 128
        assert (one.config["label"], one.config["stage"], one.config["size"]) == ("three", stage, "tiny")
        # A module's own arguments do not stand among the settings.
        extra = {"label", "stage", "module", "_wandb"}
        assert {key for key in one.config if "/" not in key} - extra <= set(Settings.__dataclass_fields__)


def test_curves_share_one_axis_and_end_in_least_values(logged: dict[str, OfflineRun]) -> None:
    for one in logged.values():
        assert all(one.metrics[f"{split}/*"].step_metric == "trainer/global_step" for split in ("train", "val", "test"))
        assert one.metrics["train/*"].summary.min and one.metrics["val/*"].summary.max
    history = logged["annotate"].history
    steps = [row["trainer/global_step"] for row in history]
    losses = [row["train/all/loss"] for row in history if "train/all/loss" in row]
    assert steps == sorted(steps) and len(losses) >= 4
    assert logged["annotate"].summary["train/all/loss"] == {"min": min(losses), "last": losses[-1]}
    tested = logged["evaluate"].history[-1]
    assert {name.split("/")[0] for name in tested if name[0] != "_"} == {"labels", "test", "trainer"}


def test_same_people_are_drawn_while_the_networks_learn(logged: dict[str, OfflineRun], tiny_run: Path) -> None:
    for stage in ("annotate", "downstream"):
        key = "overlays/front_and_side"
        shown = [row for row in logged[stage].history if f"{key}/count" in row]
        assert shown and all(row[f"{key}/count"] == 4 for row in shown)
        assert len({tuple(row[f"{key}/captions"]) for row in shown}) == 1
        media = [path for path in (tiny_run / "three" / stage).rglob("media/images/overlays/*.png")]
        assert len(media) == 4 * len(shown)


def artifacts(one: OfflineRun, used: bool) -> dict[str, Any]:
    return {artifact.name: artifact for artifact in one.artifacts if artifact.use_after_commit == used}


def test_lineage_goes_from_annotator_over_labels_to_the_regressor(logged: dict[str, OfflineRun]) -> None:
    made = {name: found for one in logged.values() for name, found in artifacts(one, used=False).items()}
    labels = {"coco-train-default-three", "mpii-train-default-three"}
    assert set(made) == {"annotate-default-three", "downstream-default-three", *labels}
    assert {made[name].type for name in labels} == {"labels"}
    starts = {name.partition("-")[0] for name in artifacts(logged["annotate"], used=True)}
    assert {"prior", "pose2d"} <= starts
    for stage, expected in (
        ("dump", {"annotate-default-three"}),
        ("downstream", labels),
        ("evaluate", {*labels, "downstream-default-three"}),
    ):
        used = artifacts(logged[stage], used=True)
        assert set(used) == expected
        # The same content under the same name is one version for the server, which is how the lineage closes.
        assert {name: found.digest for name, found in used.items()} == {name: made[name].digest for name in used}
    table = made["coco-train-default-three"].manifest.contents
    assert {entry.path for entry in table} == {"labels-00000.parquet", "labels.json"}
    assert all(entry.ref.startswith("file://") for entry in table)


def test_artifacts_as_files_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "grid" / "lr=1" / "labels" / "coco-train"
    folder.mkdir(parents=True)
    (folder / "labels-00000.parquet").write_bytes(b"rows")
    (folder / "labels.json").write_text("{}")
    assert wandb_runs.labels(folder).name == "coco-train-grid-lr_1"
    for how, contents in (("files", 2), ("reference", 2), ("none", 0)):
        settings = Settings(name="grid")
        settings.wandb.artifacts = how
        run = Run(settings, "lr=1", tmp_path / "runs" / "grid" / "lr=1")
        logger = wandb_runs.wandb_logger(run, "dump", tmp_path / how)
        wandb_runs.keep_artifacts(logger, run, [wandb_runs.labels(folder)])
        wandb_runs.close(logger)
        wandb.teardown()
        (file,) = (path for path in (tmp_path / how).rglob("run-*.wandb") if "latest-run" not in path.parts)
        found = read_offline(file).artifacts
        assert sum(len(artifact.manifest.contents) for artifact in found) == contents
        if how == "files":
            assert {entry.local_path for entry in found[0].manifest.contents} == {str(p) for p in folder.iterdir()}


def started(run: Run, stage: str, folder: Path, resumes: bool = False) -> wandb.Run:
    """The W&B run that a stage logs to, ended."""
    logger = wandb_runs.wandb_logger(run, stage, folder, resumes)
    assert logger is not None
    found: wandb.Run = logger.experiment
    wandb_runs.close(logger)
    return found


def test_a_resumed_training_goes_on_in_its_run(tmp_path: Path) -> None:
    run = Run(Settings(name="grid"), "none", tmp_path)
    first = started(run, "annotate", tmp_path / "annotate")
    assert started(run, "annotate", tmp_path / "annotate", resumes=True).id == first.id
    assert started(run, "annotate", tmp_path / "annotate").id != first.id
    assert started(run, "downstream", tmp_path / "downstream", resumes=True).id != first.id


def test_an_agents_variables_are_shared_out_to_the_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ID", "abc"), ("GROUP", "mine")):
        monkeypatch.setenv(f"WANDB_RUN_{name}", value)
    monkeypatch.setenv("WANDB_NAME", "eager-sweep-1")
    monkeypatch.setenv("WANDB_RESUME", "must")
    runs = [
        started(Run(Settings(name="grid"), label, tmp_path / label), stage, tmp_path / label / stage)
        for label in ("none", "three")
        for stage in ("annotate", "dump")
    ]
    assert len({one.id for one in runs}) == 4 and all(one.id.startswith("abc-") for one in runs)
    assert [one.name for one in runs[:2]] == ["eager-sweep-1-none-annotate", "eager-sweep-1-none-dump"]
    assert {one.group for one in runs} == {"mine"}
    # A job that is started again with the same id goes on in the same runs.
    again = started(Run(Settings(name="grid"), "none", tmp_path / "none"), "annotate", tmp_path / "none" / "annotate")
    assert again.id == runs[0].id


def test_one_command_sends_a_grid(tmp_path: Path) -> None:
    settings = Settings(name="grid")
    settings.paths.runs, settings.paths.cache = str(tmp_path / "my runs"), str(tmp_path / "cache")
    assert wandb_runs.sync_command(settings) == ""
    (tmp_path / "my runs" / "grid" / "none" / "dump" / "wandb" / "offline-run-1").mkdir(parents=True)
    runs = f"'{tmp_path / 'my runs' / 'grid'}'/*/*/wandb/offline-run-*"
    assert wandb_runs.sync_command(settings) == f"wandb sync {runs}"
    (tmp_path / "cache" / "prior-abc" / "wandb" / "offline-run-2").mkdir(parents=True)
    assert wandb_runs.sync_command(settings).endswith(f"{runs} {tmp_path / 'cache'}/*/wandb/offline-run-*")


def test_nothing_is_logged_where_it_is_disabled(tmp_path: Path) -> None:
    settings = Settings(name="quiet")
    settings.wandb.mode = "disabled"
    assert wandb_runs.wandb_logger(Run(settings, "none", tmp_path), "dump", tmp_path / "dump") is None
    assert not list(tmp_path.iterdir())


def test_a_cut_file_is_read_up_to_its_end(tiny_run: Path, tmp_path: Path) -> None:
    (whole,) = (p for p in (tiny_run / "three" / "dump").rglob("run-*.wandb") if "latest-run" not in p.parts)
    cut = tmp_path / "run-cut.wandb"
    cut.write_bytes(whole.read_bytes()[:-200])
    assert json.dumps(read_offline(cut).config) == json.dumps(read_offline(whole).config)
