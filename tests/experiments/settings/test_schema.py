"""The schema offers what the floors below can do: it cannot import them, because --help must not wait for torch."""

import dataclasses
import json

from datamodules.pseudo_gt.views import FILTERS
from experiments.settings.schema import OPTIONS, AnnotateLosses, DownstreamLosses, LabelFilter, Settings, get, to_plain
from lightning_modules.annotator import ANNOTATOR_LOSSES
from lightning_modules.backbones import BACKBONES
from lightning_modules.families import REGRESSOR_LOSSES
from lightning_modules.fitting.eft import PARTS
from lightning_modules.heads import ANNOTATING


def test_loss_weights_are_those_of_the_modules() -> None:
    assert dataclasses.asdict(AnnotateLosses()) == ANNOTATOR_LOSSES
    assert dataclasses.asdict(DownstreamLosses()) == REGRESSOR_LOSSES


def test_choices_exist() -> None:
    assert set(OPTIONS["model.backbone"].limits["choices"]) == set(BACKBONES)
    assert set(OPTIONS["downstream.backbone"].limits["choices"]) == set(BACKBONES)
    assert OPTIONS["model.head"].limits["choices"] == ANNOTATING
    assert OPTIONS["eft.parts"].limits["choices"] == PARTS


def test_every_label_filter_is_offered_and_off() -> None:
    assert list(dataclasses.asdict(LabelFilter())) == list(FILTERS)
    assert not any(dataclasses.asdict(LabelFilter()).values())


def test_plain_form_is_json_and_complete() -> None:
    plain = json.loads(json.dumps(to_plain(Settings())))
    for key in OPTIONS:
        value = plain
        for part in key.split("."):
            value = value[part]
        assert value == get(Settings(), key)


def test_defaults_are_not_shared() -> None:
    Settings().annotate.targets["mpii"] = 5.0
    assert Settings().annotate.targets["mpii"] == 1.0
