"""summary.json: what a run was and what came out, in one small file that tools can compare.

=================== ========================================================================================
key                 content
=================== ========================================================================================
schema              1
label               the run's name in tables
recipe              ``{"name", "auxiliary", "init", "prior"}`` of whoever made the labels: the run's annotator, or that
                    of the label tables it was given ("several", "unknown", "no labels")
seed                int
is_free_body        whether the free body was used instead of SMPL
synthetic           whether the people were synthetic
exposure            what the run's networks, their starts and their labels were trained on: ``{"trained_on":
                    [splits such as coco-train], "complete": whether there are no others, "not_trained_on": [splits
                    that are known not to be among them]}``
used_3dpw_train     the same of 3DPW's training set alone; null where nobody told, of labels from elsewhere
samples_seen        ``{stage: people or poses seen in training}``
seconds             ``{stage: time}``
labels              what the regressor was trained on, null without one: ``{"folders": null for the run's own,
                    "filter": {name: limit}, "people": {source: {"trained": int, "dropped": {reason: int}}}}``
metrics             ``{name: {"value", "low", "high"}}``: 95 % interval, null where there is none
versions            ``{package: version}``
=================== ========================================================================================

Numbers that are not finite are written as null, so that every JSON reader takes the file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datamodules.writing import write_json

SCHEMA = 1
SUMMARY_FILE = "summary.json"
KEYS = (
    "label", "recipe", "seed", "is_free_body", "synthetic", "exposure", "used_3dpw_train", "samples_seen", "seconds",
    "labels", "metrics", "versions",
)  # fmt: skip


def write_summary(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write ``folder/summary.json`` in one step.

    Args:
        folder: of the run.
        content: plain values by the keys above, all but ``schema``.

    Raises:
        ValueError: a key is missing, or is none of the schema's.
    """
    if set(content) != set(KEYS):
        missing, unknown = sorted(set(KEYS) - set(content)), sorted(set(content) - set(KEYS))
        msg = f"{folder / SUMMARY_FILE}: missing keys {missing}, unknown keys {unknown}; see callbacks.run_summary"
        raise ValueError(msg)
    path = folder / SUMMARY_FILE
    write_json(path, {"schema": SCHEMA, **{key: _plain(content[key]) for key in KEYS}})
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
