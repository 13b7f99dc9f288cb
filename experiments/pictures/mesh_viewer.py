"""Meshes for the page's 3D viewer: small enough for one file, and a still picture of each for readers without WebGL."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.render import AMBIENT, LIGHT, VIEW_METRES, side_view
from experiments.pictures.figures import mesh_color
from experiments.results.run_results import Comparison

UNIT = 1e-4
"""Metres of one step of the stored coordinates; 16 bits then span 6.5 m, which no body leaves."""
VIEWER_PEOPLE = 4
STILL_SIZE = 200
_STILL_ANGLE = 35.0


def quantise(vertices: NDArray[Any]) -> NDArray[np.int16]:
    """(V, 3) steps of :data:`UNIT` from the middle of the mesh's bounding box, camera axes."""
    centred = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    limits = np.iinfo(np.int16)
    return np.clip(np.round(centred / UNIT), limits.min, limits.max).astype("<i2")


def viewer_data(comparison: Comparison, colors: Mapping[str, str], count: int = VIEWER_PEOPLE) -> dict[str, Any] | None:
    """What the page's script draws, as plain values; None where nobody has a mesh.

    Args:
        comparison: with the people and their meshes.
        colors: ``#rrggbb`` by label.
        count: people at most.
    """
    people = [person for person in comparison.people if person.vertices][:count]
    if not people or comparison.faces is None:
        return None
    return {
        "faces": _base64(comparison.faces.astype("<u2")),
        "unit": UNIT,
        "angle": _STILL_ANGLE,
        "height": VIEW_METRES,
        "light": list(LIGHT),
        "ambient": AMBIENT,
        "people": [
            {
                "id": person.id,
                "meshes": [
                    {"label": label, "color": list(mesh_color(colors[label])), "vertices": _base64(quantise(vertices))}
                    for label, vertices in person.vertices.items()
                ],
            }
            for person in people
        ],
    }


def viewer_stills(comparison: Comparison, colors: Mapping[str, str]) -> dict[str, NDArray[np.uint8]]:
    """A picture of each mesh of the first person, by label, in the viewer's first pose."""
    person = next((person for person in comparison.people if person.vertices), None)
    if person is None or comparison.faces is None:
        return {}
    size = (STILL_SIZE, STILL_SIZE)
    return {
        label: side_view(vertices, comparison.faces, size, mesh_color(colors[label]), _STILL_ANGLE)
        for label, vertices in person.vertices.items()
    }


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
