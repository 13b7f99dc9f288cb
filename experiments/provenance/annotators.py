"""Which annotator made labels, as their provenance tells: its recipe, and what it was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.exposure import NOTHING, Exposure, combined, read_exposure
from datamodules.pseudo_gt.native import read_provenance
from experiments.engine.pipeline import Run
from experiments.provenance.given_labels import given_tables

SEVERAL, UNKNOWN, NO_LABELS = "several", "unknown", "no labels"


class Annotator(NamedTuple):
    """The facts of an annotator that stand in tables.

    Attributes:
        recipe: name of its bundle.
        auxiliary: source of 3D supervision -> weight; None for the weight of what is no source but a word.
        init: initial weights; empty where nothing was trained.
        prior: pose prior; empty where there was none to choose.
        exposure: what it, its start or its labels were trained on.
    """

    recipe: str
    auxiliary: dict[str, float | None]
    init: str
    prior: str
    exposure: Exposure


def annotator_of(provenance: Mapping[str, Any]) -> Annotator:
    """Who made a label table, from the provenance in its labels.json."""
    saw = read_exposure(provenance)
    settings = provenance.get("settings") or {}
    recipe = settings.get("recipe")
    if recipe is None:
        # True bodies have no annotator; imported labels have one that their file does not tell of.
        made_by = provenance.get("made_by")
        if made_by is not None:
            return Annotator(str(made_by), {}, "", "", saw)
        return Annotator(UNKNOWN, {UNKNOWN: None}, UNKNOWN, UNKNOWN, saw)
    if settings.get("annotate", {}).get("method") == "smplify":
        prior = settings.get("smplify", {}).get("prior", UNKNOWN)
        return Annotator(recipe.get("name", UNKNOWN), {}, "", prior, saw)
    auxiliary = {name: weight for name, weight in recipe.get("auxiliary", {}).items() if weight > 0}
    init, prior = (recipe.get(part, UNKNOWN) for part in ("init", "prior"))
    return Annotator(recipe.get("name", UNKNOWN), auxiliary, init, prior, saw)


def annotator_of_tables(tables: Iterable[Path]) -> Annotator:
    """Who made some label tables; "several" where they do not agree.

    Raises:
        LabelError: a table is damaged.
    """
    told = [annotator_of(read_provenance(table)["provenance"]) for table in tables]
    if not told:
        return Annotator(NO_LABELS, {}, "", "", NOTHING)
    first, saw = told[0], combined(one.exposure for one in told)

    def agreed(part: str) -> bool:
        return all(getattr(one, part) == getattr(first, part) for one in told)

    return Annotator(
        first.recipe if agreed("recipe") else SEVERAL,
        first.auxiliary if agreed("auxiliary") else {SEVERAL: None},
        first.init if agreed("init") else SEVERAL,
        first.prior if agreed("prior") else SEVERAL,
        saw,
    )


def annotator_of_run(run: Run) -> Annotator:
    """Who made the labels that a run's numbers are about: not its own recipe where it was given labels.

    Raises:
        LabelError: the labels that it was given are not there, or damaged.
    """
    settings, recipe = run.settings, run.settings.recipe
    if settings.labels.folders is not None:
        return annotator_of_tables(given_tables(settings.labels.folders).values())
    trained = run.plan.trains_annotator
    # A recipe says what an annotator would see; a run of other stages alone has none.
    annotates = not {"annotate", "dump"}.isdisjoint(run.records)
    return Annotator(
        recipe.name,
        {name: recipe.auxiliary[name] for name in run.plan.auxiliary},
        recipe.init if trained else "",
        recipe.prior if trained else settings.smplify.prior,
        run.plan.exposure if annotates else NOTHING,
    )
