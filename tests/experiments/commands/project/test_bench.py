"""Benches run on small data, and their tables are kept section by section."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.benches import images, people_table
from experiments.benches.rows import Row, best_seconds, process_mib
from experiments.commands.project import bench


@pytest.fixture
def little_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures with two people each, in COCO's layout, in place of the synthetic world."""
    root = tmp_path / "world"
    (root / "coco/annotations").mkdir(parents=True)
    (root / "coco/train2017").mkdir()
    content: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    for number, (width, height) in enumerate(((64, 48), (48, 64))):
        name = f"{number:012d}.jpg"
        cv2.imwrite(str(root / "coco/train2017" / name), np.full((height, width, 3), 90, np.uint8))
        content["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        for person in range(2):
            content["annotations"].append(
                {"id": 10 * number + person, "image_id": number, "bbox": [4, 5, 20, 30], "iscrowd": 0,
                 "category_id": 1, "keypoints": [8, 9, 2] * 17, "num_keypoints": 17, "segmentation": []}
            )  # fmt: skip
    (root / "coco/annotations/person_keypoints_train2017.json").write_text(json.dumps(content))
    monkeypatch.setattr(people_table, "bench_world", lambda folder: root)
    monkeypatch.setattr(images, "bench_world", lambda folder: root)
    # New processes import everything, which takes seconds.
    monkeypatch.setattr(people_table, "in_new_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(people_table, "PEOPLE", 300)
    monkeypatch.setattr(people_table, "IMAGES", 70)
    monkeypatch.setattr(images, "_SAMPLES", 4)
    monkeypatch.setattr(images, "_PICTURES", ((640, 480),))
    return tmp_path / "bench"


def test_benches_print_their_tables_and_keep_them_on_request(
    little_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    docs = tmp_path / "benchmarks.md"
    assert bench.main(["people_table", "decode", "--folder", str(little_world)]) == 0
    printed = capsys.readouterr().out
    assert "| build, 300 people, one core |" in printed and "| private memory a worker adds |" in printed
    assert "decoded at 1/1" in printed and "commit" in printed and not docs.exists()
    assert bench.main(["samples", "--folder", str(little_world), "--write", "--docs", str(docs)]) == 0
    assert bench.main(["decode", "--folder", str(little_world), "--write", "--docs", str(docs)]) == 0
    kept = docs.read_text()
    assert kept.index("## samples") < kept.index("## decode")
    assert "48 px, augmented, from cached crops" in kept


def test_a_section_replaces_its_own_and_no_other() -> None:
    text = "# Benchmarks\n\nWords.\n\n## a\n\nold\n\n## ab\n\nother\n"
    new = bench.with_section(text, "a", "## a\n\nnew\n")
    assert new == text.replace("old", "new")
    assert bench.with_section(new, "c", "## c\n\nlast\n") == new + "\n## c\n\nlast\n"


def test_rows_become_a_table() -> None:
    text = bench.section("x", [Row("speed", 12.345678, "m/s", "bare", 0.5), Row("size", 3, "MiB")], "here")
    assert text.startswith("## x\n\nhere.\n\n")
    assert ", load 0.2; python" in bench.measured_on(0.25) and "; commit " in bench.measured_on(0.25)
    assert "| speed | 12.35 | m/s | bare | 0.5 |\n| size | 3 | MiB |  |  |\n" in text


def test_a_gpu_has_sections_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_gpus", lambda: "")
    assert bench.heading("dump") == "dump" and ", no GPU, load" in bench.measured_on(1)
    monkeypatch.setattr(bench, "_gpus", lambda: "NVIDIA H100")
    assert bench.heading("dump") == "dump on NVIDIA H100" and ", NVIDIA H100, load" in bench.measured_on(1)


def test_figures_are_written_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(folder: Path) -> list[Row]:
        raise KeyboardInterrupt

    rows = [Row("speed", 12.5, "m/s", "bare", 0.5), Row("size", 3, "MiB")]
    monkeypatch.setattr(bench, "_benches", lambda: {"first": lambda folder: rows, "second": stopped})
    # What was measured before an interruption is there.
    with pytest.raises(KeyboardInterrupt):
        bench.main(["--json", str(tmp_path / "figures.json")])
    (first,) = json.loads((tmp_path / "figures.json").read_text())
    assert first["bench"] == "first" and "; commit " in first["measured_on"]
    assert [Row(**row) for row in first["rows"]] == rows


def test_measures() -> None:
    assert best_seconds(lambda: None, 2) < 0.1
    assert process_mib("Pss") > 1 and process_mib("nothing") == 0


def test_an_unknown_bench_is_refused(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        bench.main(["fast"])
    assert stop.value.code == 2
    assert "no bench fast; there are people_table, decode, samples" in capsys.readouterr().err
