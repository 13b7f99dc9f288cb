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
    Section("details", "All other metrics", "Every number that a run has, each by itself."),
)
"""All of them; a section without content is left out."""

WORDS = {
    "annotator": "the network that estimated the labels; it was trained on the very people that it labels",
    "pseudo-GT, label": "an estimated body and camera of a person, used as if it had been measured",
    "recipe": "what the annotator was trained with: 3D data beside 2D (1, auxiliary 3D), a start from a 2D pose "
    "network (2, starts from), a pose prior (3, prior). none has none of them, three all, r12 the first two",
    "downstream": "a second network, a mesh regressor, trained on the labels and judged on 3DPW",
    "mean pose": "the error of a body in the average pose, put where the person is; no better is no gain",
    "95 % interval": "where the number would lie in 95 % of repetitions, with other people or, with seeds, trainings",
}
"""What the page's words mean, for readers who meet them for the first time."""

METRIC_WORDS = {
    "MPJPE": "mean distance of the joints from the true ones, after the roots were put on each other",
    "PA-MPJPE": "the same after the body was turned, scaled and shifted as a whole onto the true one: the pose alone",
    "MPVPE": "MPJPE of all vertices of the mesh, shape included",
    "lsp14": "the 14 joints of LSP, which most papers report on 3DPW",
    "smpl24": "SMPL's own 24 joints",
}
"""The same of what stands in the heads of columns."""
