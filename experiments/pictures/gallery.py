"""The report's gallery: the same people with every annotator's mesh, from the front and from the side."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from body_models.bodies import BodyModels
from body_models.parameters import BodyParameters
from callbacks.overlays import person_panels
from datamodules.crops import least_reduction, read_image
from datamodules.files import image_size
from datamodules.pseudo_gt.native import Columns
from experiments.pictures.figures import mesh_color
from experiments.results.run_results import GalleryPerson, Views
from lightning_modules.scoring.metrics import pa_mpjpe

VIEW_SIZE = 256
_FEW_JOINTS = 8


def choose_people(columns: Columns, count: int) -> list[str]:
    """Ids spread evenly over a label table, of people with enough annotated joints to judge an overlay by.

    The choice looks at nobody's error, so that the gallery is not a selection of successes.
    """
    well_seen = np.flatnonzero(columns["visible_joints"] >= _FEW_JOINTS)
    candidates = well_seen if len(well_seen) >= count else np.arange(len(columns["id"]))
    count = min(count, len(candidates))
    # The middles of equal parts.
    places = ((np.arange(count) + 0.5) * len(candidates) / max(count, 1)).astype(int)
    return [str(columns["id"][candidates[place]]) for place in places]


def draw_people(
    ids: Sequence[str],
    bodies: Mapping[str, Columns],
    image_root: str | Path,
    models: BodyModels,
    colors: Mapping[str, str],
    errors: Mapping[str, Mapping[str, float]] | None = None,
    size: int = VIEW_SIZE,
) -> list[GalleryPerson]:
    """Draw people as each label table has them.

    Args:
        ids: of the people to draw.
        bodies: label columns by the name to show, in order; the first ones also tell image and box. True bodies have
            the same columns and can stand beside the labels.
        image_root: folder that the column ``image`` starts from.
        models: the bodies of all of them.
        colors: ``#rrggbb`` by the same names.
        errors: mm by name and id, as far as known.
        size: side of the pictures in pixels.

    Raises:
        KeyError: an id has no label in one of the tables.
    """
    rows = {label: {str(name): i for i, name in enumerate(columns["id"])} for label, columns in bodies.items()}
    places = next(iter(bodies.values()))
    first = next(iter(rows.values()))
    parameters = {label: BodyParameters.of_columns(columns) for label, columns in bodies.items()}
    people = []
    for name in ids:
        path = Path(image_root, places["image"][first[name]])
        whole = image_size(path)
        reduction = least_reduction(whole)
        image = read_image(path, whole, reduction)
        box = places["box"][first[name]] / reduction
        views, meshes, photo = {}, {}, image
        for label, columns in bodies.items():
            row = rows[label][name]
            one = parameters[label].select(slice(row, row + 1))
            meshes[label] = vertices = models.pose(one).vertices[0].numpy()
            camera = columns["focal"][row] / reduction, columns["princpt"][row] / reduction
            panels = person_panels(image, box, vertices, models.neutral.faces, *camera, size, mesh_color(colors[label]))
            photo, views[label] = panels.photo, Views(panels.front, panels.side)
        known = {label: float(values[name]) for label, values in (errors or {}).items() if name in values}
        people.append(GalleryPerson(name, photo, views, known, vertices=meshes))
    return people


def disagreements(tables: Sequence[Columns], models: BodyModels) -> NDArray[np.float64]:
    """(N,) mean PA-MPJPE in mm between each two tables' bodies, on their own joints; rows are the same people."""
    people = [BodyParameters.of_columns(columns).without_translation() for columns in tables]
    joints = [models.joints(one)[:, : len(models.spec.joints)] for one in people]
    pairs = [pa_mpjpe(one, other).numpy() for one, other in itertools.combinations(joints, 2)]
    return np.mean(pairs, axis=0) if pairs else np.zeros(len(joints[0]))
