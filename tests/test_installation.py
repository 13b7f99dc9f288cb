"""Ways to install besides the README's: uv.lock holds what setup.cfg asks for, and the Dockerfile's lines run."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import ROOT

REMEDY = "run .ci/lock, which needs uv and the network"


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def requirements_of(text: str, extra: str = "") -> Iterator[tuple[str, str, str]]:
    """(extra, name, versions) of the lines of a list in setup.cfg."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement = Requirement(line)
            yield extra, canonicalize_name(requirement.name), str(requirement.specifier)


def lock() -> dict[str, Any]:
    return tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))


def test_the_lock_is_of_the_requirements_of_setup_cfg() -> None:
    config = setup_cfg()
    wanted = set(requirements_of(config["options"]["install_requires"]))
    for extra, text in config["options.extras_require"].items():
        wanted |= set(requirements_of(text, extra))
    (project,) = (package for package in lock()["package"] if package["name"] == config["metadata"]["name"])
    held = {
        (
            "".join(re.findall(r"extra == '(\w+)'", entry.get("marker", ""))),
            entry["name"],
            str(Requirement(f"x{entry.get('specifier', '')}").specifier),
        )
        for entry in project["metadata"]["requires-dist"]
    }
    assert held == wanted, REMEDY


def test_the_lock_has_the_versions_of_the_constraints() -> None:
    versions: dict[str, set[str]] = {}
    for package in lock()["package"]:
        versions.setdefault(package["name"], set()).add(package.get("version", ""))
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines if line)}
    assert {name: versions.get(name) for name in pins} == {name: {version} for name, version in pins.items()}, REMEDY


def test_the_lock_names_no_place_but_pypi() -> None:
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    assert set(re.findall(r'registry = "([^"]+)"', text)) == {"https://pypi.org/simple"}
    assert set(re.findall(r'url = "(https://[^/"]+)', text)) == {"https://files.pythonhosted.org"}


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
def test_uv_agrees() -> None:
    asked = ["uv", "export", "--frozen", "--offline", "--no-emit-project", "--no-hashes", "--extra", "dev"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pytorch-lightning==" in done.stdout


def dockerfile(instruction: str) -> list[str]:
    """What stands behind an instruction, each time that it is given."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{instruction} (.+)$", text, re.MULTILINE)


def copy_of_the_tree(folder: Path) -> None:
    """What ``COPY . .`` takes of a fresh clone."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def has_the_constraints_torch() -> bool:
    pinned = re.findall(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return metadata.version("torch").partition("+")[0] == pinned[0]


@pytest.mark.slow
@pytest.mark.skipif(not has_the_constraints_torch(), reason="another torch than constraints.txt would be downloaded")
def test_the_lines_of_the_dockerfile_run_in_an_empty_folder(tmp_path: Path) -> None:
    """As written, one after the other, without the network: pip finds what is needed in this environment."""
    assert dockerfile("COPY") == [". ."]
    copy_of_the_tree(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {name: default for name, default in (line.split("=", 1) for line in dockerfile("ARG"))}
    # setuptools is taken from here, too, as nothing can be downloaded for a build of its own.
    environment |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for line in dockerfile("RUN"):
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        libraries = tmp_path / ".venv/lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        if not (libraries / "here.pth").exists():
            # The setuptools that Python 3.11 brings is older than what pyproject.toml, and torch, ask for.
            for place in libraries.glob("setuptools*"):
                shutil.rmtree(place)
            (libraries / "here.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    (entry,) = dockerfile("ENTRYPOINT")
    script = tmp_path / entry.strip('["]').removeprefix("/app/")
    done = subprocess.run([script, "--help"], cwd=tmp_path / "docs", capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "export" in done.stdout
    place = subprocess.run(
        [script.with_name("python"), "-c", "import experiments; print(experiments.__file__)"],
        cwd=tmp_path / "docs", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(place.stdout.strip()).is_relative_to(tmp_path / ".venv")


def test_docker_gets_no_data_and_no_runs() -> None:
    """Whatever git ignores may be large, or licensed; the image takes the tree without it."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    left = {name for name in ignored if not name.startswith(("*", "__", "."))}
    assert left <= set((ROOT / ".dockerignore").read_text().split())
