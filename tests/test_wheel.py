"""The wheel holds all that a run needs: its packages and data files are listed by hand, and each can be forgotten."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.repository import ROOT


def _call(*command: str | Path, folder: Path) -> str:
    # Nothing of this repository on the path: what runs is what was installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("tree")
    # Built from what git knows, as an sdist would be: a folder that was not added is missing here, too.
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, "."]
    _call(*pip, folder=copy)
    (built,) = folder.glob("three_recipes-*.whl")
    return built


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    packages = ("body_models", "datamodules", "lightning_modules", "callbacks", "experiments")
    names = subprocess.run(["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in names.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.mark.slow
def test_the_wheel_runs_the_loop_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own that takes this one's dependencies, but not this repository."""
    venv.create(tmp_path / "env", with_pip=False)
    binaries = tmp_path / "env" / "bin"
    libraries = tmp_path / "env" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    # Paths of a .pth file are added as they are: the links in them to this repository are not followed.
    (libraries / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python", "install", "-q", "--no-deps", wheel]
    _call(*pip, folder=tmp_path)
    place = _call(binaries / "python", "-c", "import experiments; print(experiments.__file__)", folder=tmp_path)
    assert Path(place.strip()).is_relative_to(libraries)
    work = tmp_path / "work"
    work.mkdir()
    _call(binaries / "three-recipes", "run", "size=tiny", "recipe=random", "trainer.accelerator=cpu", folder=work)
    assert (work / "runs" / "default" / "random" / "summary.json").is_file()
    assert (work / "runs" / "default" / "report.html").stat().st_size > 10_000
