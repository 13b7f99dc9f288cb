"""The evaluator of 3DPW, on which everything is judged."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from callbacks.evaluator import MeshEvaluator
from lightning_modules.scoring.protocols import PROTOCOLS, THREEDPW_PROTOCOLS, find_protocols


class ThreeDPWEvaluator(MeshEvaluator):
    """Logs ``val/threedpw/lsp14_pa_mpjpe`` and the like, and keeps each person's errors.

    Args:
        body_models: folder of model files with both genders, or "free".
        protocols: of 3DPW.
        name: source in the metrics' names.
        folder: as of :class:`MeshEvaluator`.
        excluded: as of :class:`MeshEvaluator`.

    Raises:
        ValueError: a protocol that is unknown, or of another data set.
    """

    def __init__(
        self,
        body_models: str = "free",
        protocols: Sequence[str] = THREEDPW_PROTOCOLS,
        name: str = "threedpw",
        folder: str | Path | None = None,
        excluded: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        others = [one.name for one in find_protocols(protocols) if one.dataset != PROTOCOLS["lsp14"].dataset]
        if others:
            msg = f"protocols {', '.join(others)} are not 3DPW's: use MeshEvaluator for other data sets"
            raise ValueError(msg)
        super().__init__(name, protocols, body_models, folder, excluded)
