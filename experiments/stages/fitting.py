"""The annotators that optimise: SMPLify and EFT, by themselves or to refine what the network says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from experiments.engine.pipeline import Run
from experiments.stages.prepare import data_key
from lightning_modules.annotator import AnnotatorModule
from lightning_modules.fitting.eft import EFT
from lightning_modules.fitting.refinement import Refiner
from lightning_modules.fitting.smplify import SMPLify
from lightning_modules.priors.pose_mixture import PoseMixture
from lightning_modules.priors.pose_prior import PoseCoder
from lightning_modules.priors.vposer import load_vposer

Annotator = AnnotatorModule | EFT | SMPLify
"""Whatever annotates. What its dump needs to know (``mirror_tells``, ``evidence``, ``predict_step``) it says itself."""


def annotator(run: Run) -> Annotator:
    """The trained network, what fine-tunes it to each person, or SMPLify."""
    if not run.plan.trains_annotator:
        return smplify(run)
    network = AnnotatorModule.load_from_checkpoint(run.path("annotate", "checkpoint"), weights_only=True)
    return _eft(run, network) if run.settings.annotate.method == "eft" else network


def refiner(run: Run, network: Annotator) -> Refiner | None:
    """What refines the network's labels, None where nothing does."""
    dump = run.settings.dump
    if dump.refine == "none":
        return None
    optimiser = smplify(run) if dump.refine == "smplify" else _eft(run, network)
    # A mixture of its own: that of the scores may be another, and moves between devices.
    return Refiner(optimiser, PoseMixture.load(run.path("mixture", "file")), dump.refine_tolerance)


def settings_key(run: Run) -> dict[str, Any]:
    """What labels depend on beside the network and the settings of the dump."""
    settings = run.settings
    key: dict[str, Any] = {"method": settings.annotate.method}
    if run.plan.fits_bodies:
        key["smplify"] = asdict(settings.smplify)
    if "eft" in (settings.annotate.method, settings.dump.refine):
        key["eft"] = asdict(settings.eft)
    if not run.plan.trains_annotator:
        # Nothing trained says them.
        key["data"] = data_key(run, run.plan.targets)
        key["model"] = {name: getattr(settings.model, name) for name in ("input_size", "camera")}
        key["body_models"] = settings.paths.body_models
    return key


def smplify(run: Run) -> SMPLify:
    """SMPLify with the prior that its settings name: of a file, or of the stage that made it."""
    settings, model = run.settings.smplify, run.settings.model
    prior: PoseMixture | PoseCoder
    if settings.prior == "gmm":
        prior = PoseMixture.load(settings.prior_file or run.path("mixture", "file"))
    else:
        prior, _, _ = load_vposer(settings.prior_file or run.path("prior", "checkpoint"), model.min_coverage)
    return SMPLify(prior, run.settings.paths.body_models, model.camera, settings.iterations, settings.lr)


def _eft(run: Run, network: Annotator) -> EFT:
    settings = run.settings.eft
    assert isinstance(network, AnnotatorModule)
    return EFT(network.network, settings.steps, settings.lr, settings.parts)
