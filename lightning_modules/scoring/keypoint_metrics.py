"""2D keypoints against annotations: OKS average precision as COCO's own tool has it, PCKh, and distances.

[1] pycocotools' COCOeval, iouType "keypoints"; cocodataset.org/#keypoints-eval.
[2] Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from body_models.joint_sets import JointSet

AREA_OF_BOX = 0.53
"""Area of a person in shares of their box, where no segmentation is known; as crowd keypoint benchmarks take it."""
PCKH_THRESHOLD = 0.5
_NOT_IN_PCKH = ("pelvis", "thorax")
_OKS_METRICS = {"oks_ap": 0, "oks_ap50": 1, "oks_ap75": 2, "oks_ar": 5}


def oks_ap(
    pred: NDArray[Any], score: NDArray[Any], true: NDArray[Any], area: NDArray[Any], images: Sequence[str]
) -> dict[str, float]:
    """COCO's average precision and recall [1] for one detection a person, in the annotated boxes.

    Args:
        pred: (N, 17, 2) pixels.
        score: (N,) confidence of each person.
        true: (N, 17, 3) pixels and confidence; people without a labelled joint are not counted, as by [1].
        area: (N,) square pixels.
        images: (N,) name of each person's image.

    Returns:
        ``oks_ap`` (mean over OKS 0.5 to 0.95), ``oks_ap50``, ``oks_ap75``, ``oks_ar``, in [0, 1]; NaN for nobody.
    """
    # Imported here: without this metric nothing needs it.
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    counted = np.flatnonzero((true[..., 2] > 0).any(axis=1))
    if len(counted) == 0:
        return dict.fromkeys(_OKS_METRICS, float("nan"))
    numbers = {name: number + 1 for number, name in enumerate(dict.fromkeys(images))}
    annotations, detections = [], []
    for row in counted.tolist():
        labelled = true[row, :, 2] > 0
        # Visibility 2: the tool asks only whether a joint is labelled.
        keypoints = np.where(labelled[:, None], np.column_stack((true[row, :, :2], 2 * labelled)), 0.0)
        found = np.column_stack((pred[row], np.ones(len(labelled))))
        where = {"image_id": numbers[images[row]], "category_id": 1}
        person = {"area": float(area[row]), "bbox": [0.0, 0.0, 1.0, 1.0], "iscrowd": 0, "num_keypoints": labelled.sum()}
        annotations.append({"id": row + 1, "keypoints": keypoints.ravel().tolist(), **where, **person})
        detections.append({"keypoints": found.ravel().tolist(), "score": float(score[row]), **where})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {}, "images": [{"id": number} for number in numbers.values()], "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}],
        }  # fmt: skip
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(detections), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(evaluation.stats[row]) for name, row in _OKS_METRICS.items()}


def pckh(pred: NDArray[Any], true: NDArray[Any], joint_set: JointSet, threshold: float = PCKH_THRESHOLD) -> float:
    """Share of joints within half a head's length of the annotation (PCKh@0.5 [2]), pelvis and thorax left out.

    The length is the distance of head top and neck as annotated: the official one is 0.6 times the diagonal of the
    head's rectangle, which is about as long and which only the .mat file has. People without both are left out.

    Args:
        pred: (N, K, 2) pixels.
        true: (N, K, 3) pixels and confidence.
        joint_set: of the K joints; has ``head_top`` and ``neck``.
        threshold: in head lengths.
    """
    top, neck = joint_set.names.index("head_top"), joint_set.names.index("neck")
    length = np.linalg.norm(true[:, top, :2] - true[:, neck, :2], axis=-1)
    known = (true[..., 2] > 0) & (true[:, [top, neck], 2] > 0).all(axis=1, keepdims=True) & (length[:, None] > 0)
    known[:, [joint_set.names.index(name) for name in _NOT_IN_PCKH if name in joint_set.names]] = False
    distance = np.linalg.norm(pred - true[..., :2], axis=-1)
    return _mean((distance <= threshold * length[:, None])[known])


def joint_error(pred: NDArray[Any], true: NDArray[Any], box_size: NDArray[Any]) -> float:
    """Mean distance of labelled joints in shares of the person's longer box side; (N, K, 2), (N, K, 3), (N,)."""
    distance = np.linalg.norm(pred - true[..., :2], axis=-1) / box_size[:, None]
    return _mean(distance[true[..., 2] > 0])


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else float("nan")
