"""The W&B comparison: planned from what the runs logged, in the sections of the offline page."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from experiments.commands.runs import dashboard
from experiments.comparison.sections import SECTIONS
from experiments.comparison.wandb_panels import DashboardError, build_workspace, make_plan, read_grid


def test_sections_are_those_of_the_offline_page(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard.main([str(tiny_run), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    titles = [line.partition(":")[0] for line in printed.splitlines() if not line.startswith(" ")]
    assert titles == [section.title for section in SECTIONS]
    for line in ("bars     test/threedpw/lsp14_pa_mpjpe", "lines    train/all/loss", "on the offline page"):
        assert f"  {line}" in printed


def test_only_what_was_logged_is_planned() -> None:
    plan = {section.name: panels for section, panels in make_plan(["stage", "step", "train/all/loss"])}
    assert [panel.metrics for panel in plan["curves"]] == [("train/all/loss",)]
    assert not plan["results"] and not plan["effects"] and not plan["viewer"]


def test_results_are_a_row_of_headlines() -> None:
    names = ["test/threedpw/lsp14_pa_mpjpe", "test/threedpw/lsp14_mpjpe", "labels/coco/reprojection_px"]
    plan = {section.name: [panel.title for panel in panels] for section, panels in make_plan(names)}
    assert (plan["results"], plan["details"]) == (names[:1], names[1:2])


def test_what_is_missing_is_said(tmp_path: Path, tiny_run: Path) -> None:
    with pytest.raises(DashboardError, match="no finished run"):
        read_grid(tmp_path)
    if importlib.util.find_spec("wandb_workspaces") is None:
        with pytest.raises(DashboardError, match=r"three-recipes\[dashboard\]"):
            dashboard.main([str(tiny_run)])


def test_workspace_takes_the_plan(tiny_run: Path) -> None:
    workspaces = pytest.importorskip("wandb_workspaces.workspaces")
    reports = pytest.importorskip("wandb_workspaces.reports.v2")
    settings, metrics = read_grid(tiny_run)
    plan = make_plan(metrics)
    workspace = build_workspace(plan, settings, "someone", reports, workspaces)
    assert [section.name for section in workspace.sections] == [section.title for section, panels in plan if panels]
    assert '"default"' in workspace._to_model().model_dump_json()
