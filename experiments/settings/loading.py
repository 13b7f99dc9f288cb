"""From files and arguments to checked settings. The only place that knows OmegaConf.

Later wins::

    schema's default < size < experiment file (after the file it extends) < recipe bundle < key=value

* ``size=`` scales every stage, and stands right above the schema: what a file or an argument says about a key holds
  for every size.
* A setting that maps names to numbers (recipe.auxiliary, annotate.targets, sweep) is one value: given whole it
  replaces, ``recipe.auxiliary.mpi_inf_3dhp=2`` changes one entry, and an entry of 0 is left out. Names alone get equal
  shares: ``annotate.targets=[coco,mpii]`` is ``{coco: 1, mpii: 1}``, ``annotate.targets=coco`` is ``{coco: 1}``.
* A key given on the command line takes the place of a file's sweep over it. A sweep on the command line adds its keys
  to those that the experiment sweeps, where ``experiment=`` names one; without that it is the whole sweep.

For example ``experiment=coco_mini size=bench recipe=two recipe.prior=none annotate.lr=1e-4``. All errors are
collected before one is raised; each names the file or argument, the key, and the nearest valid one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from body_models.names import guess
from datamodules.benchmarks import BENCHMARKS
from datamodules.ids import dataset_of_table
from experiments.settings import sources
from experiments.settings.advice import key_advice
from experiments.settings.plan import Plan
from experiments.settings.schema import (
    ANNOTATOR_STAGES,
    CUSTOM,
    INITS,
    OPTIONS,
    RESNETS,
    SECTIONS,
    SIZES,
    STAGES,
    TARGETS,
    Option,
    Settings,
    get,
)
from experiments.settings.trainer_flags import flag_problems

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
DEFAULT_EXPERIMENT = "default"
DEFAULT = "default"
COMMAND_LINE = "command line"
"""Origins of a value: DEFAULT, ``size=NAME``, a file's path, or COMMAND_LINE."""

_SHORT = {"recipe": "recipe.name", "labels": "labels.folders"}
"""Sections that may be given a value: short for one of their keys."""
_RECIPE_PARTS = ("auxiliary", "init", "prior")
_FURTHER_PARTS = {"schedule": "mixed", "longer": False}
"""Parts of a recipe that its bundle may leave out, and what it then says: a bundle is the same on top of any file."""
_BEYOND, _BEYOND_SECTIONS = "beyond", ("annotate", "model", "dump")
"""Key of a bundle for what goes beyond the three recipes, and the sections that it may set there."""
_WEIGHTS = ("recipe.auxiliary", "annotate.targets")
_NAMING_SOURCES = ("annotate.targets", "recipe.auxiliary", "pose2d.sources", "downstream.mix")
_LIMITS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "at_least": (operator.ge, "below the least allowed value"),
    "at_most": (operator.le, "above the largest allowed value"),
    "above": (operator.gt, "not above the limit"),
}
_NOT_SWEPT = ("name", "stages", "sweep", "overwrite")


class ConfigError(ValueError):
    """Settings that cannot be used; one line of ``messages`` for each error."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)
        super().__init__("\n".join(self.messages))


@dataclass(frozen=True)
class _Assignment:
    """One value on its way to a key: ``entry`` names the item of a mapping, ``where`` goes in front of an error."""

    key: str
    value: Any
    origin: str
    where: str
    entry: str | None = None


def load_settings(argv: Sequence[str]) -> tuple[Settings, dict[str, str]]:
    """Read ``key=value`` arguments and the files that they name.

    Args:
        argv: arguments such as ``["experiment=coco_mini", "annotate.lr=1e-4"]``.

    Returns:
        The settings, before a sweep is expanded, and the origin of each key of the schema.

    Raises:
        ConfigError: with every error that was found.
    """
    errors: list[str] = []
    arguments, experiment = _read_arguments(argv, errors)
    layers = _read_experiment(experiment, errors)
    files = [assignment for layer in layers for assignment in layer]

    chosen = _last("recipe.name", files + arguments)
    bundle = _read_bundle(chosen.value, chosen.where, errors) if chosen else []
    if chosen and chosen.origin != COMMAND_LINE:
        _refuse_contradictions(layers, bundle, errors)
    size = _last("size", files + arguments)

    name = _Assignment("name", Path(experiment).stem, DEFAULT, f"experiment {experiment}")
    assignments = [name, *_preset(size.value if size else "default"), *files, *bundle, *arguments]
    settings, origins = _build(Settings(), assignments, errors)
    if not any(argument.startswith("experiment=") for argument in argv) and _swept_here(arguments):
        _leave_out_default_sweep(settings, arguments)
    _replace_sweeps(settings, origins, arguments, errors)
    _leave_out_recipes(settings, origins, arguments, errors)
    if errors:
        _check_axes(settings.sweep, origins["sweep"], errors)
        raise ConfigError(list(dict.fromkeys(errors)))
    expand_sweep(settings, origins)  # so that a wrong value in a sweep is found before the first run starts
    return settings, origins


def expand_sweep(settings: Settings, origins: Mapping[str, str]) -> list[tuple[str, Settings]]:
    """The runs of a sweep: one for each combination of its values.

    A swept recipe or size sits where it always does: values from the command line stay as they are, and for a size
    also those from files.

    Args:
        settings: as ``load_settings`` gives them.
        origins: the same.

    Returns:
        (label, settings without a sweep) of each run, e.g. ``three-seed0``; labels are different and fit for file
        names. Without a sweep one run, labelled with its recipe, or with the labels that it was given.

    Raises:
        ConfigError: a key or value of the sweep is wrong.
    """
    errors: list[str] = []
    where = origins["sweep"]
    _check_axes(settings.sweep, where, errors)
    axes = [[(key, value) for value in values] for key, values in settings.sweep.items()]
    runs: dict[str, Settings] = {}
    for combination in itertools.product(*axes) if not errors else ():
        label = "-".join(_label(key, value) for key, value in combination) or _label_unswept(settings)
        if label in runs:
            errors.append(f"{where}: sweep: two runs would both be called {label}; give each value once")
        runs[label] = _one_run(settings, origins, combination, where, errors)
    recipes = [run.recipe for run in runs.values()]
    # In a grid the schedule is that of the runs with recipe 1; the others have nobody to schedule.
    if recipes and all(recipe.schedule != "mixed" and not recipe.auxiliary for recipe in recipes):
        schedule = recipes[0].schedule
        errors.append(
            f"{origins['recipe.schedule']}: recipe.schedule={schedule} needs auxiliary data; the nearest is mixed"
        )
    if errors:
        raise ConfigError(list(dict.fromkeys(errors)))
    return list(runs.items())


def descriptions(kind: str) -> dict[str, str]:
    """Name and first line of the shipped files of a kind, ``experiments`` or ``recipes``."""
    files = sorted((CONFIGS / kind).glob("*.yaml"))
    return {path.stem: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for path in files}


def read_config(path: Path) -> dict[str, Any]:
    """A run's config.yaml as it stands there, of whatever version of the schema; numbers as the settings read them.

    Raises:
        ConfigError: it cannot be read.
    """
    errors: list[str] = []
    content = _read_file(path, errors)
    if errors:
        raise ConfigError(errors)
    return content


# Reading: every source becomes a list of assignments to keys of the schema.


def _read_arguments(argv: Sequence[str], errors: list[str]) -> tuple[list[_Assignment], str]:
    assignments, experiment = [], DEFAULT_EXPERIMENT
    for argument in _whole_values(argv, errors):
        key, equals, text = argument.partition("=")
        where = f"argument {argument}"
        if not equals:
            errors.append(f"{where}: expected KEY=VALUE{key_advice(key, known_keys())}")
        elif key == "experiment":
            experiment = text
        elif assignment := _assign(key, None, COMMAND_LINE, where, errors):
            takes_list = OPTIONS[assignment.key].container is list or (assignment.key == "sweep" and assignment.entry)
            try:
                value = _parse(text)
                if takes_list and not isinstance(value, list | None):
                    value = _parse(f"[{text}]")  # stages=annotate,dump
            except (yaml.YAMLError, OmegaConfBaseException) as error:
                errors.append(f"{where}: {assignment.key}: {_one_line(error)}")
                continue
            assignments.append(replace(assignment, value=value))
    return assignments, experiment


def _whole_values(argv: Sequence[str], errors: list[str]) -> Iterator[str]:
    """The arguments, but those that the shell took apart at the blanks of a list or mapping that was not quoted."""
    words = iter(argv)
    for word in words:
        whole = word
        while _is_open(whole) and (following := next(words, None)) is not None:
            whole = f"{whole} {following}"
        if _is_open(whole):
            errors.append(f"argument {word}: the bracket is not closed; write KEY='{{a: 1, b: 1}}', in quotes")
        elif whole == word:
            yield word
        else:
            errors.append(f"argument {word}: the shell takes it apart at the blanks; quote it: '{whole}'")


def _is_open(text: str) -> bool:
    return "=" in text and any(text.count(left) > text.count(right) for left, right in ("{}", "[]"))


def _parse(text: str) -> Any:
    """Value of an argument, by the loader that also reads the files (1e-4 is a number)."""
    return OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))["value"]  # type: ignore[index, call-overload]


def _read_experiment(name: str, errors: list[str]) -> list[list[_Assignment]]:
    """Assignments of an experiment file and of all files that it extends, the most basic first."""
    layers: list[list[_Assignment]] = []
    seen: list[Path] = []
    where, folder = f"argument experiment={name}", Path()
    while True:
        path = _find(name, "experiments", folder, where, errors)
        if path is None:
            return layers
        if path in seen:
            errors.append(f"{where}: extends: {' -> '.join(p.name for p in [*seen, path])} goes round in a circle")
            return layers
        seen.append(path)
        content = _read_file(path, errors)
        parent = content.pop("extends", None)
        layers.insert(0, _flatten(content, _shown(path), errors))
        if parent is None:
            return layers
        name, folder, where = str(parent), path.parent, f"{_shown(path)}: extends: {parent}"


def _read_bundle(name: Any, where: str, errors: list[str]) -> list[_Assignment]:
    """Assignments of a recipe bundle to the keys of recipe."""
    if name == CUSTOM:
        return []
    path = _find(str(name), "recipes", Path(), where, errors)
    if path is None:
        return []
    content = _read_file(path, errors)
    missing = [part for part in _RECIPE_PARTS if part not in content]
    if missing:
        errors.append(
            f"{_shown(path)}: a recipe states all of {', '.join(_RECIPE_PARTS)}: {', '.join(missing)} missing"
        )
    beyond = content.pop(_BEYOND, {})
    if wrong := [section for section in beyond if section not in _BEYOND_SECTIONS]:
        allowed = ", ".join(_BEYOND_SECTIONS)
        errors.append(f"{_shown(path)}: {_BEYOND} sets {', '.join(wrong)}; a bundle may set {allowed} there")
        return []
    return _flatten({"recipe": {**_FURTHER_PARTS, **content}, **beyond}, _shown(path), errors)


def _find(name: str, kind: str, folder: Path, where: str, errors: list[str]) -> Path | None:
    """File of an experiment or recipe: a path (ending in .yaml), or the name of one beside ``folder`` or shipped."""
    if name.endswith((".yaml", ".yml")):
        places = [folder / _expand_home(name)]
    else:
        places = [CONFIGS / kind / f"{name}.yaml"]
        if folder != Path():
            places.insert(0, folder / f"{name}.yaml")
    found = next((place.resolve() for place in places if place.is_file()), None)
    if found is None:
        known = descriptions(kind)
        errors.append(f"{where}: no file {places[-1]}{guess(name, known)} (of {', '.join(known)})")
    return found


def _read_file(path: Path, errors: list[str]) -> dict[Any, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (yaml.YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        errors.append(f"{_shown(path)}: cannot be read: {_one_line(error)}")
        return {}
    if isinstance(content, dict):
        return content
    errors.append(f"{_shown(path)}: expected KEY: VALUE lines, found a list")
    return {}


def _flatten(content: Mapping[Any, Any], origin: str, errors: list[str], prefix: str = "") -> list[_Assignment]:
    assignments: list[_Assignment] = []
    for name, value in content.items():
        key = f"{prefix}{name}"
        if key in SECTIONS and isinstance(value, Mapping):
            assignments += _flatten(value, origin, errors, f"{key}.")
        elif assignment := _assign(key, value, origin, f"{origin}: {key}", errors):
            assignments.append(assignment)
    return assignments


def _assign(key: str, value: Any, origin: str, where: str, errors: list[str]) -> _Assignment | None:
    """Find the schema's key for a written key, which may be short for one: recipe=NAME for recipe.name=NAME."""
    key = _SHORT.get(key, key)
    if key in OPTIONS:
        return _Assignment(key, value, origin, where)
    for name, option in OPTIONS.items():
        if option.container is dict and key.startswith(f"{name}."):
            return _Assignment(name, value, origin, where, entry=key.removeprefix(f"{name}."))
    if key in SECTIONS:
        inside = ", ".join(name for name in OPTIONS if name.rpartition(".")[0] == key)
        errors.append(f"{where}: a section, not a key; its keys are {inside}")
    else:
        errors.append(f"{where}: unknown key{key_advice(key, known_keys())}")
    return None


def known_keys() -> list[str]:
    """All keys that may be given, sections that are short for one of theirs included."""
    return [*OPTIONS, *_SHORT, "experiment"]


def _last(key: str, assignments: Sequence[_Assignment]) -> _Assignment | None:
    return next((a for a in reversed(assignments) if a.key == key), None)


def _preset(size: Any) -> list[_Assignment]:
    """What a size sets; nothing for a size that does not exist, which is reported where it is assigned."""
    origin = f"size={size}"
    sized = [option for option in OPTIONS.values() if option.sizes] if size in SIZES else []
    return [_Assignment(option.key, option.sizes[size], origin, origin) for option in sized]


# Building: assignments in order of precedence become settings.


def _build(start: Settings, assignments: Sequence[_Assignment], errors: list[str]) -> tuple[Settings, dict[str, str]]:
    config = OmegaConf.structured(start)
    origins = dict.fromkeys(OPTIONS, DEFAULT)
    wheres = dict.fromkeys(OPTIONS, "schema")
    for assignment in assignments:
        key, value, option = assignment.key, assignment.value, OPTIONS[assignment.key]
        try:
            if assignment.entry is not None:
                value = {**_plain(OmegaConf.select(config, key)), assignment.entry: value}
            elif option.type == dict[str, float]:
                value = _equal_shares(value)
            if option.type is int and isinstance(value, float) and value.is_integer():
                value = int(value)  # annotate.samples=1e5
            OmegaConf.update(config, key, value, merge=False)
        except (OmegaConfBaseException, ValueError, TypeError):
            errors.append(f"{assignment.where}: {_wrong_type(option, assignment)}")
            continue
        origins[key], wheres[key] = assignment.origin, assignment.where
    for key, option in OPTIONS.items():
        try:
            value = _plain(OmegaConf.select(config, key, throw_on_missing=True))
        except OmegaConfBaseException as error:  # an interpolation such as ${oc.env:DATA}
            errors.append(f"{wheres[key]}: {_one_line(error)}")
            OmegaConf.update(config, key, option.default, merge=False)
            continue
        errors.extend(f"{wheres[key]}: {problem}" for problem in _limit_problems(option, value))
        if key in _WEIGHTS:
            OmegaConf.update(config, key, {name: weight for name, weight in value.items() if weight != 0}, merge=False)
        if option.is_path:
            OmegaConf.update(config, key, _expand_home(value), merge=False)
    settings: Settings = OmegaConf.to_object(config)  # type: ignore[assignment]
    errors.extend(f"{wheres[key]}: {problem}" for key, problem in _joint_problems(settings))
    needless = ANNOTATOR_STAGES if settings.labels.folders is not None else ()
    if origins["stages"] != DEFAULT and (asked := [stage for stage in needless if stage in settings.stages]):
        errors.append(f"{wheres['stages']}: labels= leaves nobody to annotate; leave out {', '.join(asked)}")
    settings.stages = [stage for stage in STAGES if stage in settings.stages and stage not in needless]
    _name_recipe(settings)
    return settings, origins


def _equal_shares(value: Any) -> Any:
    """A name, or a list of names, as a mapping of each to 1; anything else as it is."""
    names = [value] if isinstance(value, str) else value
    is_names = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return dict.fromkeys(names, 1.0) if is_names and len(set(names)) == len(names) else value


def _expand_home(value: Any) -> Any:
    """A path, or each of a list of them, with ``~`` as the home folder, which no shell expands behind ``=``."""
    if isinstance(value, list):
        return [_expand_home(item) for item in value]
    return os.path.expanduser(value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _wrong_type(option: Option, assignment: _Assignment) -> str:
    value, name = assignment.value, option.type_name
    if option.key == "sweep":
        swept = {assignment.entry: value} if assignment.entry or not isinstance(value, dict) else value
        wrong = next((item for item in swept.values() if not isinstance(item, list)), value)
        return f"{wrong!r} is not a list of values; the nearest is [{wrong}]"
    if option.type is bool:
        return f"{value!r} is not true or false{guess(str(value).lower(), ('true', 'false'))}"
    if option.type is int and isinstance(value, float) and math.isfinite(value):
        return f"{value!r} is not a whole number; the nearest is {round(value)}"
    if option.key in _WEIGHTS:
        entry = assignment.entry or option.limits["choices"][0]
        return f"{value!r} does not give each name a number; the nearest is {option.key}.{entry}=1"
    if isinstance(value, str) and "," in value and option.container is None:
        return f"{value!r} is not {name}; sweep.{option.key}=[{value}] runs once for each"
    example = next(iter(option.limits.get("choices", ())), None) if option.container else option.default
    hint = f", for example {example}" if example not in (None, "") else ""
    return f"{value!r} is not {name}{hint}"


def _limit_problems(option: Option, value: Any) -> list[str]:
    """What is wrong with a value of the right type."""
    is_mapping = option.container is dict
    problems = []
    if (choices := option.limits.get("choices")) and value is not None:
        named = list(value) if option.container else [value]
        problems += [
            f"{name!r} is not one of {', '.join(choices)}{guess(str(name), choices)}"
            for name in named
            if name not in choices and not _is_further(option, name)
        ]
    for number in value.values() if is_mapping else [value]:
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if not math.isfinite(number):
            problems.append(f"{number} is not finite")
            continue
        problems += [
            f"{number} is {text} {option.limits[limit]}"
            for limit, (fits, text) in _LIMITS.items()
            if limit in option.limits and not fits(number, option.limits[limit])
        ]
    return problems


def _is_further(option: Option, value: Any) -> bool:
    prefix = option.limits.get("prefix")
    return prefix is not None and str(value).startswith(prefix)


def _joint_problems(settings: Settings) -> list[tuple[str, str]]:
    """(key, problem) where settings do not fit together."""
    problems = []
    if not re.fullmatch(r"[\w.,=+-]+", settings.name) or settings.name.startswith("."):
        problems.append(("name", f"name {settings.name!r} is no folder name: letters, digits and _ . , = + - only"))
    if not settings.stages:
        problems.append(("stages", f"no stage; the nearest is [{', '.join(STAGES)}]"))
    if not settings.annotate.targets:
        problems.append(("annotate.targets", "no data set to annotate; the nearest is {coco: 1}"))
    if settings.dump.refine != "none" and settings.annotate.method != "network":
        text = f"dump.refine refines a network, which annotate.method={settings.annotate.method} is not"
        problems.append(("dump.refine", f"{text}; the nearest is dump.refine=none"))
    init = settings.recipe.init
    if (
        init in INITS
        and init != "random"
        and settings.recipe.init_file is None
        and Plan(settings).start_stage is None
        and Plan(settings).looks_at_images
    ):
        problems.append(("recipe.init", f"recipe.init={init} needs recipe.init_file=PATH"))
    for name, key in Plan(settings).same_people:
        text = f"synthetic and {name} are the same people while {key} is null; name one of them"
        problems.append(("recipe.auxiliary", text))
    if settings.trainer.extra:
        named = {item.name: None for item in dataclasses.fields(settings.trainer) if item.name != "extra"}
        problems += [("trainer.extra", text) for text in flag_problems(settings.trainer.extra, named)]
    problems += [("evaluate.protocols", text) for text in _protocol_problems(settings)]
    if settings.downstream.family == "i2l" and settings.downstream.backbone not in RESNETS:
        problems.append(("downstream.backbone", "downstream.family=i2l needs a ResNet; the nearest is resnet50"))
    for name in Plan(settings).without_path:
        key = next((key for key in _NAMING_SOURCES if name in get(settings, key)), "evaluate.benchmarks")
        problems.append((key, f"the synthetic world has no {name}; {sources.path_key(name)}=FOLDER says where it is"))
    return problems


def _protocol_problems(settings: Settings) -> list[str]:
    """What is wrong with the protocols of benchmarks."""
    chosen, problems = settings.evaluate.protocols, []
    if chosen is None or not {"downstream", "evaluate"} & set(settings.stages):
        return []
    known = {key for one in Plan(settings).benchmarks for key in one.all_protocols}
    for one in Plan(settings).benchmarks:
        if not one.chosen(chosen):
            usual = ", ".join(one.all_protocols)
            problems.append(f"no protocol of {one.name}, which evaluate.benchmarks names; it has {usual}")
    strangers = [key for key in chosen if key not in known and key in OPTIONS["evaluate.protocols"].limits["choices"]]
    if strangers:
        names = ", ".join(one.name for one in BENCHMARKS.values() if set(strangers) & set(one.all_protocols))
        problems.append(f"{', '.join(strangers)} belong to {names}, which evaluate.benchmarks does not name; add it")
    return problems


# Recipes and sweeps.


def _refuse_contradictions(
    layers: Sequence[Sequence[_Assignment]], bundle: list[_Assignment], errors: list[str]
) -> None:
    """A bundle wins over files. In a file that both names one and says otherwise, that would go unnoticed."""
    says = {assignment.key: assignment for assignment in bundle}
    naming = max(index for index, layer in enumerate(layers) if _last("recipe.name", layer))
    for assignment in itertools.chain(*layers[naming:]):
        other = says.get(assignment.key)
        if other and (assignment.entry or assignment.value != other.value):
            errors.append(
                f"{assignment.where}: the bundle that this file takes ({other.origin}) says {other.value}; "
                "leave the key out, or the bundle (recipe.name: custom)"
            )


def _name_recipe(settings: Settings) -> None:
    """Call a recipe custom once its parts are not those of its bundle, so that no table names it wrongly."""
    bundle = _read_bundle(settings.recipe.name, "", [])
    if any(get(settings, part.key) != part.value for part in bundle):
        settings.recipe.name = CUSTOM


def _leave_out_default_sweep(settings: Settings, arguments: Sequence[_Assignment]) -> None:
    """Whoever sweeps and names no experiment asks for these runs, and not for each of them with two recipes."""
    swept_here = _swept_here(arguments)
    settings.sweep = {key: values for key, values in settings.sweep.items() if key in swept_here}


def _replace_sweeps(
    settings: Settings, origins: dict[str, str], arguments: Sequence[_Assignment], errors: list[str]
) -> None:
    swept_here = _swept_here(arguments)
    for argument in arguments:
        written = argument.where.removeprefix("argument ").partition("=")[0]
        for key in {argument.key, written} & settings.sweep.keys():
            if key in swept_here:
                errors.append(f"{argument.where}: {key} is swept on the same command line; give one of the two")
            else:
                del settings.sweep[key]
                origins["sweep"] = COMMAND_LINE


def _leave_out_recipes(
    settings: Settings, origins: dict[str, str], arguments: Sequence[_Assignment], errors: list[str]
) -> None:
    """Given labels have the recipe that they were made with: a sweep over another would train the same twice."""
    given = next((settings.sweep[key] for key in ("labels", "labels.folders") if key in settings.sweep), None)
    if None in (given or [settings.labels.folders]):
        return
    swept_here = _swept_here(arguments)
    for key in [key for key in settings.sweep if key == "recipe" or key.startswith("recipe.")]:
        if key in swept_here:
            errors.append(f"argument sweep.{key}: labels= leaves nobody to annotate; the nearest is sweep.labels")
        else:
            del settings.sweep[key]
            origins["sweep"] = COMMAND_LINE


def _swept_here(arguments: Sequence[_Assignment]) -> set[str]:
    """Keys that the command line itself sweeps."""
    keys = {a.entry for a in arguments if a.key == "sweep" and a.entry}
    for a in arguments:
        if a.key == "sweep" and a.entry is None and isinstance(a.value, dict):
            keys |= set(a.value)
    return keys


def _check_axes(sweep: Mapping[str, list[Any]], where: str, errors: list[str]) -> None:
    for key, values in sweep.items():
        target = _assign(key, None, where, f"{where}: sweep.{key}", errors)
        if target and target.key in _NOT_SWEPT:
            errors.append(f"{where}: sweep.{key}: this key cannot be swept; the nearest is seed")
        elif not values:
            errors.append(f"{where}: sweep.{key}: no values; the nearest is [value]")
        elif twice := [value for index, value in enumerate(values) if value in values[:index]]:
            errors.append(f"{where}: sweep.{key}: {twice[0]!r} is given twice")


def _one_run(
    settings: Settings,
    origins: Mapping[str, str],
    combination: Sequence[tuple[str, Any]],
    where: str,
    errors: list[str],
) -> Settings:
    swept = [_assign(key, value, COMMAND_LINE, f"{where}: sweep.{key}", errors) for key, value in combination]
    assignments = [assignment for assignment in swept if assignment]
    size, recipe = _last("size", assignments), _last("recipe.name", assignments)
    preset = _preset(size.value) if size else []
    preset = [a for a in preset if origins[a.key] == DEFAULT or origins[a.key].startswith("size=")]
    bundle = _read_bundle(recipe.value, recipe.where, errors) if recipe else []
    bundle = [a for a in bundle if origins[a.key] != COMMAND_LINE]
    run, _ = _build(replace(settings, sweep={}), [*preset, *bundle, *assignments], errors)
    return run


def _label_unswept(settings: Settings) -> str:
    given = settings.labels.folders
    return _label("recipe", settings.recipe.name) if given is None else _label("labels", given)


def _label(key: str, value: Any) -> str:
    if isinstance(value, dict):
        text = "+".join(f"{name}{weight}" for name, weight in value.items()) or "none"
    elif isinstance(value, list):
        is_labels = key in ("labels", "labels.folders")
        text = label_sets_name(value) if is_labels else "+".join(map(str, value)) or "none"
    else:
        text = str(value)
    if key in ("recipe", "recipe.name"):
        label = Path(text).stem
    else:
        label = key.rpartition(".")[2] + ("" if isinstance(value, int) else "=") + text
    return re.sub(r"[^\w.=+-]", "_", label)


def label_sets_name(folders: Sequence[str | Path]) -> str:
    """Name of label tables after their folders, ``nothing`` for no table: one may well be called none."""
    return "+".join(_label_set(Path(str(folder))) for folder in folders) or "nothing"


def _label_set(folder: Path) -> str:
    """A run's name; for one table of a run, such as coco-train, with the name of the run before it."""
    if dataset_of_table(folder.name) not in TARGETS:
        return folder.name
    run = folder.parent.parent if folder.parent.name == "labels" else folder.parent
    return f"{run.name}-{folder.name}".removeprefix("-")


def _shown(path: Path) -> str:
    """Path as a user can open it: relative where it lies below the working directory."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'not YAML'}"
    return str(error).strip().partition("\n")[0]
