"""The comparison of run folders: its numbers, its tables, and what it says where something is missing."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from scipy import stats

from experiments.cli import run_command
from experiments.commands.runs.compare import main
from experiments.comparison.assembly import open_comparison
from experiments.comparison.page import build_comparison, report_html
from experiments.comparison.tables import latex_table, markdown_table
from experiments.results.finished_runs import read_runs
from experiments.results.run_results import ComparisonError, PerPerson
from experiments.stats.bootstrap import paired_gain
from tests.support.run_folders import RECIPES, write_grid, write_images, write_run

KEY = "threedpw/lsp14_pa_mpjpe"
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "grid"
    return folder, write_grid(folder, SEEDS)


@pytest.fixture(scope="module")
def compared(grid):
    return open_comparison([grid[0]], people=3, resamples=200)


def by_recipe(values, recipe):
    levels = next(levels for levels, name in RECIPES.items() if name == recipe)
    return np.array([values[levels, seed][KEY] for seed in SEEDS])


def test_seeds_become_one_row_with_mean_and_spread(grid, compared):
    assert {one.label: one.seeds for one in compared.variants} == {name: [0, 1, 2] for name in RECIPES.values()}
    assert compared.baseline_variant.label == "none"
    for one in compared.variants:
        values = by_recipe(grid[1], one.label)
        assert one.mean(KEY) == pytest.approx(values.mean())
        assert one.spread(KEY) == pytest.approx(values.std(ddof=1))


def test_differences_are_paired_by_seed_and_their_interval_is_scipys(grid, compared):
    base, other = by_recipe(grid[1], "none"), by_recipe(grid[1], "three")
    difference = compared.differences[KEY]["three"]
    expected = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert difference.change.value == pytest.approx((other - base).mean())
    assert (difference.change.low, difference.change.high) == pytest.approx((expected.low, expected.high))
    assert difference.seeds == SEEDS and difference.shown is difference.change


def test_bootstrap_within_a_seed_draws_recordings(compared):
    variants = {one.label: one for one in compared.variants}
    one, base = (variants[name].runs[1].per_person[KEY] for name in ("two", "none"))
    expected = paired_gain(base.values, one.values, base.groups, 200)
    found = compared.gain(KEY, variants["two"], seed=1)
    assert tuple(found.difference) == pytest.approx(tuple(expected.difference)) and found.groups == 3
    pooled = compared.gain(KEY, variants["two"])
    values = np.mean([run.per_person[KEY].values for run in variants["two"].runs], axis=0)
    assert pooled.better == pytest.approx(values.mean())


def test_runs_of_other_people_are_compared_without_pairs(compared):
    variants = {one.label: one for one in compared.variants}
    run = variants["two"].runs[0]
    people = run.per_person[KEY]
    run.per_person[KEY] = PerPerson(np.char.add(people.ids, "-other"), people.values, people.groups)
    assert compared.gain(KEY, variants["two"], seed=0) is None
    run.per_person[KEY] = people


def test_effects_are_those_of_the_cells(grid, compared):
    cells = {levels: np.array([grid[1][levels, seed][KEY] for seed in SEEDS]) for levels in RECIPES}
    first = sum(cells[1, b, c] - cells[0, b, c] for b in (0, 1) for c in (0, 1)) / 4
    both = sum(cells[1, 1, c] - cells[0, 1, c] - cells[1, 0, c] + cells[0, 0, c] for c in (0, 1)) / 2
    effects = {effect.name: effect for effect in compared.effects(KEY).effects}
    # 3 main effects, 3 alone, 3 on top of the others, 3 interactions of two and 1 of three.
    assert len(effects) == 13
    assert list(effects["auxiliary=threedpw_train"].by_seed.values()) == pytest.approx(first.tolist())
    interaction = effects["auxiliary=threedpw_train x init=pose2d"]
    expected = stats.ttest_1samp(both, 0).confidence_interval(0.95)
    assert (interaction.change.low, interaction.change.high) == pytest.approx((expected.low, expected.high))


def test_page_is_complete_and_needs_nothing_else(compared, tmp_path):
    page = build_comparison(compared, tmp_path).read_text(encoding="utf-8")
    for name in ("results", "effects", "curves", "joints", "sequences", "labels", "gallery", "viewer"):
        assert f'<h2 id="{name}">' in page
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", page)
    assert not re.search(r"url\((?!#)|@import|<link|fetch\(|XMLHttpRequest|import\(", page)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert len(re.findall(r'class="person"', page)) == 3


def test_markdown_has_rectangular_tables_with_marks_and_effects(compared):
    text = markdown_table(compared)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    results, effects = rows[:10], rows[10:]
    assert len({line.count(" | ") for line in results}) == 1 and len({line.count(" | ") for line in effects}) == 1
    three = next(line for line in results if line.startswith("| three "))
    assert "3DPW-train, free body, synthetic" in three and " ± " in three
    assert "3DPW-train" not in next(line for line in results if line.startswith("| two "))
    assert any(line.startswith("| auxiliary=threedpw_train x init=pose2d | ") for line in effects)


def test_latex_is_balanced_and_carries_seeds_spread_and_marks(compared):
    text = latex_table(compared)
    assert text.count(r"\begin{tabular}") == 2
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        assert kind == "begin" or stack.pop() == name
        if kind == "begin":
            stack.append(name)
    assert not stack
    plain = re.sub(r"\\[\\{}$%&#_]", "", text)
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0
    assert not re.search(r"(?<!\\)[_#]", text) and text.isascii()
    for table in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        columns, body = table
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        widths = []
        for line in lines:
            spans = re.findall(r"\\multicolumn\{(\d+)\}", line)
            widths.append(len(re.findall(r"(?<!\\)&", line)) + 1 + sum(int(span) - 1 for span in spans))
        assert set(widths) == {len(columns)}
    assert r"\pm" in text and "seeds 0, 1, 2" in text and r"three$^\dagger$$^\ddagger$$^\ast$" in text
    assert "with help of 3DPW's training set" in text and "not SMPL" in text


def test_incomplete_grid_says_what_is_missing(grid, tmp_path):
    folder = tmp_path / "grid"
    shutil.copytree(grid[0], folder)
    shutil.rmtree(folder / "r13-seed0")
    shutil.rmtree(folder / "r13-seed1")
    shutil.rmtree(folder / "r13-seed2")
    (folder / "r3-seed2" / "summary.json").unlink()
    compared = open_comparison([folder], people=0, resamples=0)
    assert any("r3-seed2" in note for note in compared.notes)
    missing = compared.effects(KEY).missing
    assert missing == (
        "auxiliary=threedpw_train, init=random, prior=vposer", "auxiliary=none, init=random, prior=vposer of seed 2"
    )  # fmt: skip
    for text in (report_html(compared), markdown_table(compared)):
        assert missing[0] in text and 'Not all of them: "r3"' in text.replace("&#34;", '"')


def test_other_settings_are_levels_and_tell_equal_names_apart(tmp_path):
    for lr in (0.001, 0.01):
        for seed in (0, 1):
            write_run(tmp_path / f"lr{lr}" / f"two-seed{seed}", "two", seed, 100 + 1000 * lr, lr=lr)
    compared = open_comparison([tmp_path / "lr0.001", tmp_path / "lr0.01"], people=0, baseline="two (annotate.lr=0.01)")
    assert [one.label for one in compared.variants] == ["two (annotate.lr=0.001)", "two (annotate.lr=0.01)"]
    (effect,) = compared.effects(KEY).effects
    assert effect.name == "annotate.lr=0.001" and effect.change.value == pytest.approx(-9, abs=0.5)


def test_single_runs_of_one_seed_show_the_bootstrap(tmp_path):
    images = write_images(tmp_path / "images")
    for name, error in (("none", 120), ("two", 110)):
        write_run(tmp_path / name, name, 0, error, images)
    compared = open_comparison([tmp_path / "two", tmp_path / "none"], people=2, resamples=100)
    difference = compared.differences[KEY]["two"]
    assert difference.change.low is None and difference.shown is difference.people and difference.people.high < 0
    assert "One seed (0)" in report_html(compared)


def test_command_writes_all_files_and_prints_what_is_asked(grid, tmp_path, capsys):
    arguments = [str(grid[0]), "--out", str(tmp_path), "--people", "0", "--bootstrap", "0"]
    assert run_command(main, [*arguments, "--latex", "--baseline", "two"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("% Needs") and "report.html" in printed.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "table.csv", "table.md", "table.tex"]
    with (tmp_path / "table.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert len(rows) == 24 and rows["three-seed1"]["used_3dpw_train"] == "True"
    assert float(rows["three-seed1"][KEY]) == pytest.approx(by_recipe(grid[1], "three")[1])


def test_what_cannot_be_compared_is_explained(grid, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run_command(main, [str(tmp_path / "empty")]) == 1
    assert "neither a run" in capsys.readouterr().err
    with pytest.raises(ComparisonError, match="baseline 'four' is none of"):
        open_comparison([grid[0]], baseline="four", people=0, resamples=0)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "summary.json").write_text("{")
    with pytest.raises(ComparisonError, match=r"summary\.json is not valid JSON"):
        open_comparison([broken])


def test_runs_of_earlier_versions_are_read_or_refused_by_their_body(tmp_path):
    write_run(tmp_path / "run", "none", 0, 100.0)
    path = tmp_path / "run" / "summary.json"
    summary = json.loads(path.read_text())
    del summary["is_free_body"]
    path.write_text(json.dumps(summary | {"is_standin": False}))
    (run,) = read_runs([tmp_path / "run"])
    assert not run.is_free_body
    path.write_text(json.dumps(summary | {"is_standin": True}))
    with pytest.raises(ComparisonError, match=r"summary\.json is of a run on the made-up body .*: run it again"):
        read_runs([tmp_path / "run"])
