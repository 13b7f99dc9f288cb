"""The table of a comparison for the terminal, for Markdown, for LaTeX and as CSV: the same rows everywhere."""

from __future__ import annotations

import csv
import io
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.documents.markdown import table_lines
from experiments.exposure import SEEN, UNKNOWN, footnotes, mark, sentence
from experiments.results.run_results import (
    WORSE,
    Column,
    Comparison,
    RunResult,
    Variant,
    gain_text,
    interval_text,
    number,
    signed,
    signed_interval,
)
from experiments.stats.effects import Effects

_FACTS = ("annotator", "initial weights", "auxiliary 3D", "prior", "seeds", "samples seen")
_WIDE = 5
_TOLD_GAINS = 8


def _facts(one: Variant) -> list[str]:
    run = one.first
    samples = f"{run.samples:,}" if run.samples else "-"
    auxiliary = ", ".join(run.auxiliary) or "-"
    return [one.label, run.init or "-", auxiliary, run.prior or "-", str(len(one.seeds) or "-"), samples]


def rich_table(comparison: Comparison) -> Group:
    """Table, gains and caveats for the terminal; a few variants stand side by side, many below each other."""
    few = len(comparison.rows) <= _WIDE
    table = _side_by_side(comparison) if few else _below_each_other(comparison)
    gains = [
        Text(gain_text(column, one, comparison.baseline_variant, gain))
        for column, one, gain in (comparison.gains() if few else [])
    ]
    notes = [Text(f"Note: {note}", style="dim") for note in comparison.caveats()]
    warning = [Text(comparison.warning, style="bold red")] if comparison.warning else []
    return Group(*warning, table, *gains, *notes)


def _side_by_side(comparison: Comparison) -> Table:
    """A column for each variant, so that it fits into 80 characters."""
    table = Table(title=comparison.title, title_justify="left", header_style="bold", show_lines=False)
    table.add_column("")
    for one in comparison.rows:
        table.add_column(one.label, justify="right", style="dim" if one.first is comparison.yardstick else "")
    facts = [_facts(one) for one in comparison.rows]
    for i, name in enumerate(_FACTS[1:], start=1):
        table.add_row(name, *(fact[i].replace(", ", "\n") for fact in facts))
    table.add_row("marks", *("\n".join(comparison.flags(one)) or "-" for one in comparison.rows))
    best = _best(comparison)
    group = None
    for column in comparison.columns:
        if column.group != group:
            group = column.group
            table.add_section()
            table.add_row(f"[bold]{group}[/]")
        cells = []
        for one in comparison.rows:
            text = _with_spread(one, column)
            cells.append(f"[bold]{text}[/]" if best.get(column.key) == one.label else text)
        table.add_row(f"  {column.header}, {column.unit}", *cells)
    return table


def _below_each_other(comparison: Comparison) -> Table:
    """A row for each variant with the headline metrics and their change."""
    table = Table(title=comparison.title, title_justify="left", header_style="bold", show_lines=False)
    table.add_column("annotator")
    table.add_column("seeds", justify="right")
    for column in comparison.headlines:
        table.add_column(f"{column.group}\n{column.header}, {column.unit}", justify="right")
        table.add_column("change", justify="right")
    best = _best(comparison)
    for one in comparison.rows:
        cells = []
        for column in comparison.headlines:
            text = _with_spread(one, column)
            difference = comparison.differences.get(column.key, {}).get(one.label)
            cells.append(f"[bold]{text}[/]" if best.get(column.key) == one.label else text)
            cells.append("" if difference is None else signed(difference.shown.value))
        table.add_row(one.label + mark(one.exposure), str(len(one.seeds) or "-"), *cells)
    if notes := footnotes(one.exposure for one in comparison.rows):
        table.caption = "\n".join(notes)
    return table


def _with_spread(one: Variant, column: Column) -> str:
    spread = one.spread(column.key)
    return number(one.mean(column.key)) + (f" ± {number(spread)}" if spread is not None else "")


def _best(comparison: Comparison) -> dict[str, str]:
    """Label of the variant with the smallest value in each column, where there are several."""
    best = {}
    for column in comparison.columns:
        means = {one.label: mean for one in comparison.variants if (mean := one.mean(column.key)) is not None}
        if len(means) > 1:
            best[column.key] = min(means, key=lambda label: means[label])
    return best


def markdown_table(comparison: Comparison) -> str:
    """The table with its effects, gains and caveats, for a README or a pull request."""
    columns = comparison.columns
    header = [*_FACTS, "marks", *(f"{column.group}: {column.header}, {column.unit}" for column in columns)]
    lines = [
        *([f"**{comparison.warning}**", ""] if comparison.warning else []),
        f"## {comparison.title}",
        "",
        *table_lines(header, (_markdown_row(comparison, one) for one in comparison.rows), len(header) - len(columns)),
        "",
        _what_cells_are(comparison),
        "",
    ]
    for column, effects in comparison.headline_effects:
        lines += _markdown_effects(column, effects)
    gains = comparison.gains()
    if len(gains) <= _TOLD_GAINS:
        lines += [f"* {gain_text(column, one, comparison.baseline_variant, gain)}" for column, one, gain in gains]
    lines += [f"* {note}" for note in comparison.caveats()]
    return "\n".join(lines) + "\n"


def _markdown_row(comparison: Comparison, one: Variant) -> list[str]:
    cells = [_markdown_cell(comparison, one, column) for column in comparison.columns]
    return [*_facts(one), ", ".join(comparison.flags(one)) or "-", *cells]


def _markdown_cell(comparison: Comparison, one: Variant, column: Column) -> str:
    metric = one.interval(column.key)
    if metric is None:
        return "-"
    text = _with_spread(one, column)
    if one.spread(column.key) is None and interval_text(metric):
        text += f" ({interval_text(metric)})"
    difference = comparison.differences.get(column.key, {}).get(one.label)
    if difference is not None and one.first is not comparison.yardstick:
        ends = signed_interval(difference.shown)
        text += f"; {signed(difference.shown.value)}" + (f" ({ends})" if ends else "")
    return text


def _what_cells_are(comparison: Comparison) -> str:
    base = f'after the semicolon the change to "{comparison.baseline_variant.label}" with its 95 % interval'
    if len(comparison.seeds) > 1:
        return f"Mean ± standard deviation over seeds; {base} (t over the differences of equal seeds)."
    return f"In brackets 95 % intervals (bootstrap over images or sequences); {base}."


def _markdown_effects(column: Column, effects: Effects) -> list[str]:
    title = f"**{column.group}, {column.header}: effect of each setting, {column.unit}**"
    if not effects.effects:
        missing = "; ".join(effects.missing[:8]) + (" ..." if len(effects.missing) > 8 else "")
        return [f"{title}: not known, the grid lacks {len(effects.missing)} runs: {missing}.", ""]
    rows = [
        [effect.name, signed(effect.change.value), signed_interval(effect.change) or "-"] for effect in effects.effects
    ]
    seeds = ", ".join(map(str, effects.seeds))
    told = (
        f"Over seeds {seeds}. The mean over all combinations of the others, unless they are said to be off or on; "
        "A x B is how much more A changes the error with B than without."
    )
    return [title, "", *table_lines(["effect", "change", "95 % interval"], rows, 1), "", told, ""]


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "\N{MINUS SIGN}": "$-$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
_MARKS = {
    SEEN: r"$^\dagger$",
    UNKNOWN: "$^?$",
    "free body": r"$^\ddagger$",
    "synthetic": r"$^\ast$",
    WORSE: r"$^\downarrow$",
}
_MARK_TEXTS = {
    SEEN: sentence(True),
    UNKNOWN: sentence(None),
    "free body": "free body, not SMPL: not comparable with published numbers",
    "synthetic": "synthetic people",
    WORSE: WORSE,
}


def latex_table(comparison: Comparison) -> str:
    """Two tables for a paper (booktabs): the results with seeds and spread, and the effects where they are known."""
    tables = [_latex_results(comparison)]
    found = [(column, effects) for column, effects in comparison.headline_effects if effects.effects]
    if found:
        tables.append(_latex_effects(comparison, found))
    return "% Needs \\usepackage{booktabs}.\n" + "\n".join(tables)


def _latex_results(comparison: Comparison) -> str:
    columns = comparison.columns
    best = _best(comparison)
    groups: list[list[Any]] = []
    for column in columns:
        if groups and groups[-1][0] == column.group:
            groups[-1][1] += 1
        else:
            groups.append([column.group, 1])
    spans, rules, start = [], [], 6
    for group, count in groups:
        spans.append(f"\\multicolumn{{{count}}}{{c}}{{{_escape(group)}}}")
        rules.append(f"\\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    headers = [f"{column.header} ({_escape(column.unit)})" for column in columns]
    lines = [
        r"\begin{table}", r"\centering", r"\small", f"\\caption{{{_latex_caption(comparison)}}}",
        f"\\begin{{tabular}}{{llllr{'r' * len(columns)}}}", r"\toprule",
        " & ".join(["", "", "", "", "", *spans]) + r" \\", "".join(rules),
        " & ".join(["annotator", "3D data", "init", "prior", "seeds", *headers]) + r" \\", r"\midrule",
    ]  # fmt: skip
    for one in comparison.rows:
        label, init, auxiliary, prior, seeds, _ = (_escape(text) for text in _facts(one))
        cells = []
        for column in columns:
            mean, spread = one.mean(column.key), one.spread(column.key)
            text = "--" if mean is None else number(mean)
            text = f"\\textbf{{{text}}}" if best.get(column.key) == one.label else text
            cells.append(text + (f" {{\\scriptsize$\\pm${number(spread)}}}" if spread is not None else ""))
        marks = "".join(_MARKS[flag] for flag in comparison.flags(one))
        lines.append(" & ".join([label + marks, auxiliary, init, prior, seeds, *cells]) + r" \\")
        if one.first is comparison.yardstick:
            lines.append(r"\midrule")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_caption(comparison: Comparison) -> str:
    seeds = ", ".join(map(str, comparison.seeds))
    several = len(comparison.seeds) > 1
    spread = f"Mean $\\pm$ standard deviation over seeds {seeds}." if several else f"One seed ({seeds})."
    warning = f"{_escape(comparison.warning)} " if comparison.warning else ""
    return f"{warning}{_escape(comparison.title)}. {spread} {_latex_marks(comparison)}".strip()


def _latex_marks(comparison: Comparison) -> str:
    there = [flag for flag in _MARKS if any(flag in comparison.flags(one) for one in comparison.rows)]
    return " ".join(f"{_MARKS[flag]}{_escape(_MARK_TEXTS[flag])}." for flag in there)


def _latex_effects(comparison: Comparison, found: list[tuple[Column, Effects]]) -> str:
    seeds = ", ".join(map(str, found[0][1].seeds))
    marks = _latex_marks(comparison)
    lines = [
        r"\begin{table}", r"\centering", r"\small",
        "\\caption{Effect of each setting and interactions (change of the error; negative is better), with 95\\,\\% "
        f"$t$ intervals over seeds {seeds}. {marks}}}",
        f"\\begin{{tabular}}{{l{'rr' * len(found)}}}", r"\toprule",
        " & ".join(["", *(f"\\multicolumn{{2}}{{c}}{{{_escape(c.group)}: {_escape(c.header)} ({_escape(c.unit)})}}"
                          for c, _ in found)]) + r" \\", r"\midrule",
    ]  # fmt: skip
    for place, effect in enumerate(found[0][1].effects):
        cells = [_escape(effect.name).replace(" x ", r" $\times$ ")]
        for _, effects in found:
            change = effects.effects[place].change
            ends = f"[{number(change.low)}, {number(change.high)}]" if change.low is not None else "--"
            cells += [f"${number(change.value)}$", "{\\scriptsize" + f"${ends}$" + "}" if ends != "--" else ends]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def csv_table(comparison: Comparison) -> str:
    """Every metric of every run: value, low, high; one row a run, full precision."""
    runs = [*([comparison.yardstick] if comparison.yardstick else []), *comparison.runs]
    keys = sorted({key for run in runs for key in run.metrics})
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    facts = [
        "label", "variant", "recipe", "seed", "init", "auxiliary", "prior", "is_free_body", "synthetic",
        "used_3dpw_train",
    ]  # fmt: skip
    ends = ("", "/low", "/high")
    writer.writerow([*facts, "samples_seen", *(key + end for key in keys for end in ends)])
    for run in runs:
        writer.writerow([*_plain(run), *(value for key in keys for value in run.metrics.get(key, (None, None, None)))])
    return file.getvalue()


def _plain(run: RunResult) -> list[Any]:
    saw = "unknown" if run.used_3dpw_train is None else run.used_3dpw_train
    return [
        run.label, run.variant or run.label, run.recipe, run.seed, run.init, " ".join(run.auxiliary), run.prior,
        run.is_free_body, run.synthetic, saw, run.samples,
    ]  # fmt: skip
