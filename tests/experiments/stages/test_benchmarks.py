"""Benchmarks: what each says, a run that is judged on several, and one that a package from outside adds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from datamodules.benchmarks import BENCHMARKS, DEFAULT
from datamodules.sources import SOURCES
from datamodules.sources.threedpw import open_threedpw
from datamodules.synthetic.world import WORLD_SIZES, make_world
from experiments.results.finished_runs import read_runs
from experiments.settings import sources
from experiments.settings.loading import ConfigError, load_settings
from experiments.settings.plan import Plan
from lightning_modules.scoring.protocols import PROTOCOLS
from tests.support.repository import ROOT
from tests.support.toy_package import run_beside, write_package

TOY = '''
"""A benchmark in one file: reader, protocol and benchmark."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np

from body_models.joint_sets import SMPL24
from datamodules.benchmarks.benchmark import Benchmark
from datamodules.columns import build_or_open
from datamodules.people import PeopleBuilder, PeopleTable
from lightning_modules.scoring.protocol import LSP14_NAMES, Protocol, lsp14



def open_toy(root, split="test", cache_dir="cache"):
    file = Path(root, f"{split}.npz")
    return PeopleTable(build_or_open(cache_dir, f"toy-{split}", [file], {}, 1, partial(read, file, split)))


def read(file, split):
    people = PeopleBuilder("toy", split, SMPL24, file.parent)
    with np.load(file) as content:
        columns = {name: content[name] for name in content.files}
    for row in range(len(columns["image"])):
        person = {name: values[row] for name, values in columns.items()}
        people.add(f"take/{row}", **{**person, "image": str(person["image"])})
    return people.finish()


PROTOCOL = Protocol("toy/toy14", "toy14", "toy", lsp14, LSP14_NAMES, "pa_mpjpe")
BENCHMARK = Benchmark(
    name="toy", title="Toy", root_help="Root of the toy.", protocols=("toy14",), headline="toy14_pa_mpjpe",
    columns={"toy14": ("mpjpe", "pa_mpjpe")}, selection="dev", splits=("dev", "test"),
)
'''
POINTS = {"sources.toy": "open_toy", "protocols.toy": "PROTOCOL", "benchmarks.toy": "BENCHMARK"}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny world as the user's own 3DPW, and the same people as another benchmark."""
    root = tmp_path_factory.mktemp("downloads")
    make_world(root, WORLD_SIZES["tiny"], num_workers=0)
    for split, given in (("dev", "validation"), ("test", "test")):
        table = open_threedpw(str(root / "3dpw"), given, str(root / "cache"))
        names = ("image_size", "box", "joints_2d", "global_orient", "body_pose", "betas", "transl", "gender")
        columns = {name: table.column(name) for name in names}
        images = [f"{table.image_root}/{name.decode()}" for name in table.column("image").tolist()]
        (root / "toy").mkdir(exist_ok=True)
        np.savez(root / "toy" / f"{split}.npz", image=images, **columns)
    write_package(root / "site", TOY, POINTS)
    return root


def test_every_benchmark_has_a_reader_and_its_protocols() -> None:
    for name, one in BENCHMARKS.items():
        assert name == one.name and name in SOURCES and one.test in one.splits
        assert {PROTOCOLS[key].dataset for key in one.all_protocols} == {name}
        assert set(one.columns) <= set(one.all_protocols)
        assert one.headline.partition("_")[0] in one.protocols
    assert DEFAULT.name == "threedpw" and load_settings([])[0].evaluate.benchmarks == ["threedpw"]


def test_the_first_that_can_chooses_the_checkpoint() -> None:
    settings = load_settings(["evaluate.benchmarks=[emdb,threedpw]", "paths.emdb=x"])[0]
    chosen = Plan(settings).selection
    assert chosen is not None and chosen.selection_source == "threedpw_validation"
    assert {"emdb_emdb1", "threedpw_test", "threedpw_validation"} <= set(Plan(settings).used)
    alone = load_settings(["evaluate.benchmarks=emdb", "paths.emdb=x"])[0]
    assert Plan(alone).selection is None and "threedpw_validation" not in Plan(alone).used
    assert sources.source(alone, None, "emdb_emdb1")["body_models"] == "free"
    assert DEFAULT.monitor(["smpl24"]) == "smpl24_pa_mpjpe" and DEFAULT.monitor(["smpl24", "lsp14"]) == DEFAULT.headline


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate.benchmarks=emdbb"], r"'emdbb' is not one of threedpw, emdb, .*the nearest is emdb"),
        (["evaluate.benchmarks=emdb"], r"the synthetic world has no emdb_emdb1; paths.emdb=FOLDER"),
        (["evaluate.protocols=[p1]"], r"p1 belong to human36m, which evaluate.benchmarks does not name"),
        (["evaluate.benchmarks=[threedpw,emdb]", "paths.emdb=x", "evaluate.protocols=[lsp14]"],
         r"no protocol of emdb, which evaluate.benchmarks names; it has emdb24, emdb24neutralJ"),
        (["downstream.mix={human36m: 1}"], r"the synthetic world has no human36m; paths.human36m=FOLDER"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_said(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(arguments)


@pytest.mark.slow
def test_a_run_is_judged_on_a_benchmark_of_another_package(downloads: Path, tmp_path: Path) -> None:
    paths = [f"paths.{name}={downloads / name}" for name in ("cache", "data", "toy")]
    arguments = [
        "experiment=base", "size=tiny", "name=judged", f"paths.runs={tmp_path}", f"paths.threedpw={downloads / '3dpw'}",
        *paths, "labels=[]", "downstream.mix={threedpw_train: 1}", "evaluate.benchmarks=[toy,threedpw]",
        "evaluate.protocols=[toy14,lsp14neutral,metro14]", "stages=[downstream,evaluate]", "trainer.accelerator=cpu",
        "wandb.mode=disabled",
    ]  # fmt: skip
    done = run_beside(downloads / "site", ["-m", "experiments.run", *arguments])
    assert done.returncode == 0, done.stderr
    folder = next((tmp_path / "judged").glob("*/summary.json")).parent
    metrics = json.loads((folder / "summary.json").read_text())["metrics"]
    assert {"toy/toy14_pa_mpjpe", "threedpw/lsp14neutral_mpjpe", "threedpw/metro14_mpjpe"} <= set(metrics)
    assert "threedpw/lsp14_mpjpe" not in metrics
    rows = (folder / "downstream" / "metrics" / "version_0" / "metrics.csv").read_text()
    assert "val/toy/toy14_pa_mpjpe" in rows and "val/threedpw" not in rows
    assert (folder / "evaluate" / "test_toy.npz").is_file()
    # Without that package its numbers are still there.
    assert "threedpw/metro14_pa_mpjpe" in read_runs([folder])[0].metrics


def test_a_package_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    for number, (source, message) in enumerate(
        (("BENCHMARK = 7", "is int, not Benchmark"), ("import no_such_module", "cannot be loaded"))
    ):
        write_package(tmp_path / str(number), source, {"benchmarks.toy": "BENCHMARK"})
        done = run_beside(tmp_path / str(number), ["-c", "import datamodules.benchmarks"])
        assert done.returncode == 1 and message in done.stderr and "toy_package.parts:BENCHMARK" in done.stderr


EXEMPT = ("datamodules/sources/", "datamodules/synthetic/", "datamodules/threedpw.py")


def test_few_lines_name_the_default_benchmark() -> None:
    """Outside of its readers and of the synthetic world, which is written in its layout."""
    files = [path for top in ("body_models", "datamodules", "lightning_modules", "callbacks", "experiments")
             for path in sorted((ROOT / top).rglob("*.py"))]  # fmt: skip
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        if not str(path.relative_to(ROOT)).startswith(EXEMPT)
        for line in path.read_text(encoding="utf-8").splitlines()
        if "threedpw" in line.lower()
    ]
    assert len(found) <= 20, "\n".join(found)
