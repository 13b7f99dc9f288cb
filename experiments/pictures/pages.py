"""Pages made of a template: one HTML file that needs no other file and no network."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from experiments.results.run_results import interval_text, number, signed, signed_interval

REPORT_FILE = "report.html"
# Pictures of this quality are half as large as JPEG's that look the same.
_WEBP_QUALITY = 85


def render_page(template: str, **values: Any) -> str:
    """A page of the templates folder as text."""
    environment = Environment(
        loader=PackageLoader("experiments"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, interval=interval_text, signed_interval=signed_interval, signed=signed, picture=_picture
    )
    return environment.get_template(template).render(**values)


def _picture(rgb: NDArray[np.uint8]) -> str:
    """An image as a data URL."""
    done, data = cv2.imencode(".webp", rgb[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])
    if not done:
        msg = f"a picture of shape {rgb.shape} and type {rgb.dtype} cannot be written as WebP"
        raise ValueError(msg)
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode("ascii")
