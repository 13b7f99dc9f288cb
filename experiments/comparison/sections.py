"""The parts of a comparison of runs, in their order: the offline page and the W&B report are made of the same list."""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    """One part of a comparison.

    Attributes:
        name: anchor in the page; what programs call it.
        title: heading.
        what: one sentence for readers who see it for the first time.
    """

    name: str
    title: str
    what: str


SECTIONS: tuple[Section, ...] = (
    Section("results", "Results", "Each recipe and what came out, with the spread over seeds and 95 % intervals."),
    Section("effects", "What each recipe does", "Main effects of the recipes, and their interactions."),
    Section("curves", "Training", "Losses against people seen, grouped by recipe."),
    Section("joints", "Errors by joint", "Where on the body the errors lie."),
    Section("sequences", "Errors by sequence", "On which recordings the regressors fail."),
    Section("labels", "Quality of the labels", "What each label table says about itself, without true bodies."),
    Section("gallery", "The same people by every annotator", "Each mesh on its image and from the side."),
    Section("viewer", "Meshes in 3D", "The meshes of a person, to be turned."),
)
"""All of them; a section without content is left out."""
