"""The report is one file that says what was measured, on whom, and how sure it is."""

import csv
import dataclasses
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from experiments.comparison.page import build_comparison, report_html
from experiments.comparison.tables import latex_table, markdown_table, rich_table
from experiments.results.run_results import WORSE, Comparison, signed
from experiments.stats.bootstrap import Interval
from tests.support.comparisons import comparison, run_result


@pytest.fixture(scope="module")
def compared():
    return comparison(gallery=1, size=64)


class Balanced(HTMLParser):
    """Checks that each element is closed where it should be."""

    VOID = frozenset(("meta", "img", "br", "path", "use", "rect", "line", "circle"))

    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_self_contained(compared, tmp_path):
    path = build_comparison(compared, tmp_path)
    page = path.read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert all(source.startswith(("data:", "#")) for source in parser.sources)
    assert not re.search(r"url\((?!#)|@import|<script[^>]*src", page)
    # One photo, and two views for each of two annotators and the true body.
    assert sum(source.startswith("data:image/webp") for source in parser.sources) == 7
    assert page.count("<svg") == 4
    assert sorted(file.name for file in tmp_path.iterdir()) == ["report.html", "table.csv", "table.md", "table.tex"]


def test_page_is_the_same_every_time(compared):
    assert report_html(compared) == report_html(compared)


def test_places_in_figures_are_given_to_a_hundredth_of_a_point(compared):
    page = report_html(compared)
    assert re.search(r' d="[^"]*\d\.\d\d ', page) and not re.search(r' d="[^"]*\d\.\d{3}', page)


def test_labels_are_escaped():
    assert "<b>x" not in report_html(Comparison("t", [run_result("<b>x</b>", 100.0, 1)]))


def test_caveats_are_told_everywhere(compared, tmp_path):
    build_comparison(compared, tmp_path)
    console = Console(width=100, record=True, file=open("/dev/null", "w"))
    console.print(rich_table(compared))
    terminal = " ".join(console.export_text().split())
    for text in ((tmp_path / "report.html").read_text(), (tmp_path / "table.md").read_text(), terminal):
        text = text.replace("&#34;", '"').replace("&#39;", "'")
        for part in ("free body", "synthetic", "One seed (0)", 'judged on 3DPW\'s test set: "three"', "random weights"):
            assert part in text


def test_gain_is_paired_and_told_with_its_interval(compared):
    (column, run, gain), (_, _, downstream) = compared.gains()
    assert (column.key, run.label, gain.people, gain.groups) == ("pseudo_gt/smpl24_pa_mpjpe", "three", 600, 200)
    assert gain.percent.low < gain.percent.value < gain.percent.high
    assert downstream.people == 300


def test_csv_holds_every_metric_in_full(compared, tmp_path):
    build_comparison(compared, tmp_path)
    with (tmp_path / "table.csv").open() as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["mean pose", "none", "three"]
    metric = compared.runs[1].metrics["pseudo_gt/smpl24_pa_mpjpe"]
    assert float(rows["three"]["pseudo_gt/smpl24_pa_mpjpe"]) == metric.value
    assert float(rows["three"]["pseudo_gt/smpl24_pa_mpjpe/low"]) == metric.low
    assert rows["mean pose"]["threedpw/lsp14_mpjpe"] == ""
    assert rows["three"]["samples_seen"] == "520000"


@pytest.mark.parametrize(
    ("value", "text"), [(-0.04, "+0.0"), (-0.06, "\N{MINUS SIGN}0.1"), (2.0, "+2.0"), (np.nan, "-")]
)
def test_changes_have_a_sign_and_no_negative_zero(value, text):
    assert signed(value) == text


def test_the_page_leads_to_its_sections_and_says_what_words_mean():
    page = report_html(comparison(gallery=2))
    targets = re.findall(r'href="#([\w-]+)"', page.partition("<nav")[2].partition("</nav>")[0])
    assert targets[0] == "results" and targets[-1] == "words" and "gallery" in targets
    assert all(f'id="{target}"' in page for target in targets)
    assert "<dt>PA-MPJPE</dt>" in page and "<dt>lsp14</dt>" in page
    # The headline columns first; all of them below.
    assert page.index("<summary>All ") > page.index('id="results"')
    texts = re.findall(r'alt="([^"]+)"', page)
    assert len(set(texts)) == len(texts)


def test_two_runs_that_are_no_grid_are_not_reproached_for_it():
    made = comparison()
    for run, levels in zip(
        made.runs, (("none", "generic", "none"), ("threedpw_train", "pose2d", "vposer")), strict=True
    ):
        run.levels = dict(zip(("auxiliary", "init", "prior"), levels, strict=True))
    assert made.effects("pseudo_gt/smpl24_pa_mpjpe").missing and made.headline_effects == []
    assert "missing" not in report_html(made).partition("<style>")[0] + markdown_table(made)
    assert "the grid" not in report_html(made)


def test_an_incomplete_grid_tells_once_what_it_lacks():
    made = comparison()
    third = dataclasses.replace(made.runs[0], label="third", variant="third")
    made = dataclasses.replace(made, runs=[*made.runs, third])
    for run, levels in zip(made.runs, (("a", "b"), ("x", "b"), ("a", "y")), strict=True):
        run.levels = dict(zip(("init", "prior"), levels, strict=True))
    page = report_html(made)
    assert page.count("init=x, prior=y") == 1
    assert "Pseudo-GT against true bodies (smpl24), PA-MPJPE; Downstream, 3DPW test (lsp14), PA-MPJPE: the grid" in page


def test_a_run_with_one_number_is_enough():
    only = run_result("coco", 100.0, 1)
    only.per_person, only.curves, only.metrics = {}, {}, {"pseudo_gt/error_2d": Interval(3.2)}
    page = report_html(Comparison("COCO", [only]))
    assert "2D error" in page and "3.2" in page and "MPJPE" not in page


def test_doubled_and_unknown_labels_are_refused():
    run = run_result("none", 100.0, 1)
    with pytest.raises(ValueError, match="distinct"):
        Comparison("t", [run, run])
    with pytest.raises(ValueError, match="'three'"):
        Comparison("t", [run], baseline="three")


def test_a_run_that_learns_nothing_says_so_first_and_nothing_is_green():
    found = comparison()
    for run in found.runs:
        run.is_trial = True
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(rich_table(found))
    page = report_html(found)
    for text in (markdown_table(found), console.export_text(), page.partition("<body>")[2], latex_caption_of(found)):
        assert "This proves nothing: size=tiny" in text.strip().splitlines()[0]
    assert 'class="sure"' not in page and 'class="change better"' not in page
    assert 'class="sure"' in report_html(comparison())
    found.runs[0].is_trial = False
    assert found.warning.endswith('No number of "three" is a result.')
    assert not comparison().warning


def latex_caption_of(found):
    return latex_table(found).partition("\\caption{")[2]


def test_a_row_that_is_worse_than_the_mean_pose_says_so():
    found = comparison()
    yardstick = found.yardstick.metrics
    for key, value in (("pseudo_gt/smpl24_pa_mpjpe", 100.0),):
        assert key in yardstick
        yardstick[key] = Interval(value, None, None)
    none, three = found.variants
    assert WORSE in found.flags(none) and WORSE not in found.flags(three) and WORSE not in found.flags(found.rows[0])
    (caveat,) = (text for text in found.caveats() if text.startswith("No better than the mean pose"))
    assert caveat.endswith(': "none".')
    row = next(line for line in markdown_table(found).splitlines() if line.startswith("| none"))
    assert WORSE in row and WORSE in report_html(found) and "downarrow" in latex_table(found)
