"""The comparison of a grid as panels of Weights & Biases: a workspace and a report, section by section."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.comparison.sections import SECTIONS, Section
from experiments.settings.loading import load_settings
from experiments.settings.schema import Settings

_METRICS_FILE, _CONFIG_FILE = "metrics.csv", "config.yaml"
_STEP = "trainer/global_step"
_OVERLAYS = "overlays/front_and_side"
_BY_RECIPE, _BY_START, _BY_PRIOR = "recipe.name", "recipe.init", "recipe.prior"
_HEADLINE = "pa_mpjpe"
_OFFLINE = "on the offline page: report.html"


class DashboardError(RuntimeError):
    """The comparison cannot be written to W&B; the message says what to do."""


@dataclass(frozen=True)
class Panel:
    """One panel, by what it shows.

    Attributes:
        kind: bars (one value a run), lines (against the step) or pictures.
        title: of the panel.
        metrics: keys as they are logged.
        group: configuration key whose values are averaged over seeds.
    """

    kind: str
    title: str
    metrics: tuple[str, ...]
    group: str = _BY_RECIPE


Plan = list[tuple[Section, list[Panel]]]


def read_grid(folder: Path) -> tuple[Settings, list[str]]:
    """Settings of a grid's first run, and the metrics that its runs logged.

    Raises:
        DashboardError: there is no finished run.
    """
    logs = sorted(folder.glob(f"*/{_METRICS_FILE}"))
    if not logs:
        msg = f"no finished run in {folder}: a grid's folder holds run folders with {_METRICS_FILE}"
        raise DashboardError(msg)
    names: dict[str, None] = {}
    for log in logs:
        with log.open(newline="", encoding="utf-8") as file:
            names.update(dict.fromkeys(next(csv.reader(file), [])))
    settings, _ = load_settings([f"experiment={logs[0].parent / _CONFIG_FILE}"])
    return settings, list(names)


def make_plan(metrics: Sequence[str]) -> Plan:
    """The panels of each section, out of the metrics that there are; sections without any say so in the report."""

    def named(*beginnings: str, ending: str = "") -> list[str]:
        return [name for name in metrics if name.startswith(beginnings) and name.endswith(ending)]

    headlines = tuple(named("labels/", "test/", ending=_HEADLINE))
    effects = [
        Panel("bars", f"{_HEADLINE} by {group}", headlines, group)
        for group in (_BY_RECIPE, _BY_START, _BY_PRIOR)
        if headlines
    ]
    measured = [name for name in named("test/", "labels/") if "reprojection" not in name]
    panels = {
        # What everybody looks for, and nothing else: a run has dozens of numbers.
        "results": [Panel("bars", name, (name,)) for name in headlines],
        "details": [Panel("bars", name, (name,)) for name in measured if name not in headlines],
        "effects": effects,
        "curves": [Panel("lines", name, (name,)) for name in named("train/", "val/")],
        "labels": [Panel("bars", name, (name,)) for name in named("labels/") if "reprojection" in name],
        "gallery": [Panel("pictures", "The same people during the training", (_OVERLAYS,))],
    }
    return [(section, panels.get(section.name, [])) for section in SECTIONS]


def plan_text(plan: Plan) -> str:
    """The plan as text, a line each panel."""
    lines = []
    for section, panels in plan:
        lines.append(f"{section.title}: {section.what}")
        lines += [f"  {panel.kind:<8} {panel.title}" for panel in panels] or [f"  {_OFFLINE}"]
    return "\n".join(lines)


def write_dashboard(plan: Plan, settings: Settings, entity: str | None) -> list[str]:
    """Write the report and the workspace to W&B.

    Returns:
        Their addresses.

    Raises:
        DashboardError: there is no account, no network, or no wandb-workspaces.
    """
    try:
        import wandb
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        msg = f"the dashboard needs wandb-workspaces ({error}): pip install 'three-recipes[dashboard]'"
        raise DashboardError(msg) from error

    try:
        account = wandb.Api()
        entity = entity or account.default_entity or ""
        report = build_report(plan, settings, entity, reports)
        report.save()
        workspace = build_workspace(plan, settings, entity, reports, workspaces)
        workspace.save()
    except (wandb.Error, OSError) as error:
        msg = f"W&B did not take the dashboard ({error}): is there a network, and an account (wandb login)?"
        raise DashboardError(msg) from error
    return [report.url, workspace.url]


def build_report(plan: Plan, settings: Settings, entity: str, reports: Any) -> Any:
    """The report, not yet saved; ``reports`` is wandb_workspaces.reports.v2."""
    from wandb_workspaces import expr

    blocks: list[Any] = [reports.TableOfContents()]
    for section, panels in plan:
        blocks += [reports.H2(text=section.title), reports.P(text=section.what)]
        if not panels:
            blocks.append(reports.P(text=f"This is {_OFFLINE}."))
            continue
        runs = reports.Runset(entity=entity, project=settings.wandb.project, filters=[_in_grid(settings, expr)])
        blocks.append(reports.PanelGrid(runsets=[runs], panels=[_panel(panel, reports) for panel in panels]))
    return reports.Report(
        entity=entity, project=settings.wandb.project, title=f"{settings.name}: recipes compared", blocks=blocks
    )


def build_workspace(plan: Plan, settings: Settings, entity: str, reports: Any, workspaces: Any) -> Any:
    """The workspace, not yet saved; the modules are wandb_workspaces' own."""
    from wandb_workspaces import expr

    return workspaces.Workspace(
        entity=entity,
        project=settings.wandb.project,
        name=f"{settings.name}: recipes compared",
        sections=[
            workspaces.Section(name=section.title, panels=[_panel(panel, reports) for panel in panels], is_open=True)
            for section, panels in plan
            if panels
        ],
        settings=workspaces.WorkspaceSettings(x_axis=_STEP),
        runset_settings=workspaces.RunsetSettings(filters=[_in_grid(settings, expr)]),
    )


def _in_grid(settings: Settings, expr: Any) -> Any:
    return expr.Metric("Group") == (settings.wandb.group or settings.name)


def _panel(panel: Panel, reports: Any) -> Any:
    if panel.kind == "pictures":
        return reports.MediaBrowser(title=panel.title, media_keys=list(panel.metrics), num_columns=4)
    # Shown with the spread over the seeds of a group.
    spread = {
        "groupby": reports.Config(panel.group),
        "groupby_aggfunc": "mean",
        "groupby_rangefunc": "stddev",
        "title": panel.title,
    }
    if panel.kind == "lines":
        return reports.LinePlot(x=_STEP, y=list(panel.metrics), **spread)
    return reports.BarPlot(metrics=[reports.SummaryMetric(name) for name in panel.metrics], **spread)
