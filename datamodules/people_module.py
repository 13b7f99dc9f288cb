"""PeopleDataModule: what all DataModules over people share, from the list of sources to the loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from body_models.bodies import FREE_BODY, body_spec
from datamodules.crops import NO_AUGMENTATION, Augmentation, CropCache
from datamodules.dataset import JoinedDataset, PeopleDataset, collate
from datamodules.files import AnnotationError, ImageError, MissingFilesError
from datamodules.holdout import HoldOut
from datamodules.image_checks import MISSING, UNREADABLE, damaged_people
from datamodules.people import PeopleTable
from datamodules.samplers import MixtureSampler, UnpaddedSampler
from datamodules.sources import open_source

Source = Mapping[str, Any]


class PeopleDataModule(pl.LightningDataModule):
    """Trains on a mixture of sources with fixed quotas; predicts and evaluates each person exactly once.

    A source is a mapping with ``kind`` (see :data:`datamodules.sources.SOURCES`), ``root``, ``split``, options of its
    kind, and optionally ``labels``, the folder of a label table whose SMPL parameters its people get.

    Args:
        sources: name -> source to train on.
        quotas: name -> share of a batch; by number of people if None.
        targets: names of the sources to predict, in order, one loader each; all if None.
        val: source for validation, or None.
        test: source for the test, or None.
        input_size: side of the square crops in pixels.
        batch_size: people per step and process.
        samples_per_epoch: people seen in an epoch over all processes; as many as there are if None.
        augment: True for the default ranges, False for none, or fields of :class:`datamodules.crops.Augmentation`.
        min_joints: people with fewer annotated 2D joints (of those the body has) are not trained on.
        target_min_joints: the same for prediction.
        skip_missing_images: leave out people whose image is not on disk, and count them, instead of refusing.
        skip_damaged_images: decode every image of the sources first, leave out people whose image is damaged, and
            count them, instead of stopping at it. Those of ``val`` and ``test`` are never left out.
        crop_cache: keep decoded crops in the cache; for inputs below about 100 pixels.
        num_workers: loader processes for each process.
        cache_dir: folder for caches.
        seed: of the order and the augmentation.
        pretrain: share of each epoch's steps that come first with quotas of their own, and these; None is one phase.
        body_models: reference of the body that the batches are of (:mod:`body_models.bodies`); free is as SMPL.
        pictures: False for what looks at joints alone: no image is opened, and crops are black.
        hold_out: share of the targets' 2D joints that are hidden, and the seed of their choice; None hides none.
        drawn: share of a batch that is drawn from a dataset besides the sources, which makes its samples as
            ``dataset[index, seed]``; None is none.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        quotas: Mapping[str, float] | None = None,
        targets: Sequence[str] | None = None,
        val: Source | None = None,
        test: Source | None = None,
        input_size: int = 256,
        batch_size: int = 64,
        samples_per_epoch: int | None = None,
        augment: bool | Mapping[str, float] = True,
        min_joints: int = 1,
        target_min_joints: int = 0,
        skip_missing_images: bool = False,
        skip_damaged_images: bool = False,
        crop_cache: bool = False,
        num_workers: int = 2,
        cache_dir: str = "cache",
        seed: int = 0,
        pretrain: tuple[float, Mapping[str, float]] | None = None,
        body_models: str = FREE_BODY,
        pictures: bool = True,
        hold_out: tuple[float, int] | None = None,
        drawn: tuple[float, Callable[[], Dataset[Any]]] | None = None,
    ) -> None:
        super().__init__()
        self.pictures, self.drawn = pictures, drawn
        self.hold_out = HoldOut(*hold_out) if hold_out and hold_out[0] > 0 else None
        for what, names in (("quotas", quotas), ("targets", targets), ("pretrain", pretrain and pretrain[1])):
            unknown = sorted(set(names or ()) - set(sources))
            if unknown:
                msg = f"{what} name {', '.join(unknown)}, which is not among the sources {', '.join(sources)}"
                raise ValueError(msg)
        self.sources = {name: dict(source) for name, source in sources.items()}
        self.quotas = None if quotas is None else {name: float(quotas.get(name, 0.0)) for name in sources}
        self.pretrain = pretrain
        self.targets = list(sources if targets is None else targets)
        self.evaluations = {split: dict(source) for split, source in (("val", val), ("test", test)) if source}
        self.input_size, self.batch_size, self.samples_per_epoch = input_size, batch_size, samples_per_epoch
        ranges = Augmentation(**augment) if isinstance(augment, Mapping) else Augmentation()
        self.augmentation = ranges if augment else NO_AUGMENTATION
        self.min_joints, self.target_min_joints = min_joints, target_min_joints
        self.skip_missing_images, self.skip_damaged_images = skip_missing_images, skip_damaged_images
        self.crop_cache = crop_cache
        self.num_workers, self.cache_dir, self.seed = num_workers, cache_dir, seed
        self.spec = body_spec(body_models)
        self._tables: dict[str, PeopleTable] = {}

    def prepare_data(self) -> None:
        """Check that every file is there, and build the caches; Lightning calls it on one process a machine."""
        self._open([*self.sources, *self.evaluations])
        for name in self._tables:
            self._crops(name)

    def setup(self, stage: str | None = None) -> None:
        """Open the tables that a stage (fit, validate, test, predict; all if None) needs.

        Raises:
            MissingFilesError: naming every missing file of every source at once.
        """
        needed = {
            "fit": [*self.sources, *(name for name in self.evaluations if name == "val")],
            "validate": ["val"],
            "test": ["test"],
            "predict": self.targets,
        }
        names = needed[stage] if stage else [*self.sources, *self.evaluations]
        self._open([name for name in names if name in self.sources or name in self.evaluations])

    def train_table(self, name: str) -> PeopleTable:
        """The people of a source that are trained on."""
        return self._at_least(self._table(name), self.min_joints)

    def target_table(self, name: str) -> PeopleTable:
        """The people of a source that are predicted."""
        return self._at_least(self._table(name), self.target_min_joints)

    def evaluation_table(self, split: str) -> PeopleTable:
        """The people of ``val`` or ``test``."""
        return self._table(split)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of :class:`body_models.contracts.Batch`, augmented, with fixed quotas."""
        tables = {name: self.train_table(name) for name in self.sources}
        for name, table in tables.items():
            if self._is_trained_on(name):
                _require_people(table, "trained on")
        datasets: list[Dataset[Any]] = [
            PeopleDataset(
                table,
                name,
                self.input_size,
                self.augmentation,
                self._crops(name),
                self.spec,
                self.pictures,
                self._hidden(name),
            )
            for name, table in tables.items()
        ]
        ranks, rank = self._ranks()
        people = sum(map(len, tables.values()))
        quotas = self.quotas or {name: len(table) for name, table in tables.items()}
        share = 0.0
        if self.drawn is not None:
            share = self.drawn[0]
            datasets.append(self.drawn[1]())
        sampler = MixtureSampler(
            sizes=[len(dataset) for dataset in datasets],  # type: ignore[arg-type]
            quotas=_with_drawn([quotas[name] for name in tables], share),
            batch_size=self.batch_size,
            samples_per_epoch=self.samples_per_epoch or max(people, self.batch_size * ranks),
            seed=self.seed,
            num_replicas=ranks,
            rank=rank,
            pretrain=self.pretrain
            and (self.pretrain[0], _with_drawn([self.pretrain[1].get(name, 0.0) for name in tables], share)),
        )
        if self.trainer:
            # Resumed within an epoch: Lightning counts on from here, but would be served the first batches again.
            sampler.start_step = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return self._loader(JoinedDataset(datasets), sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Every person of ``val`` once over all processes, not augmented."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Every person of ``test`` once over all processes, not augmented."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each target, in the order of ``targets``: each person once over all processes."""
        return [self._plain_loader(self.target_table(name), name, self._crops(name)) for name in self.targets]

    def describe(self) -> list[dict[str, Any]]:
        """For summaries: name, people, people trained on, number dropped by reason, and notes, of each source."""
        rows = []
        for name in [*self.sources, *self.evaluations]:
            table = self._table(name)
            trained = self.train_table(name) if self._is_trained_on(name) else None
            dropped = dict(trained.dropped if trained else table.dropped)
            row = {"source": name, "people": len(table), "trained": len(trained or ()), "dropped": dropped}
            rows.append({**row, "notes": table.notes})
        return rows

    def _is_trained_on(self, name: str) -> bool:
        shares = [self.quotas, self.pretrain[1] if self.pretrain else {}]
        return name in self.sources and any(share is None or share.get(name, 0.0) > 0 for share in shares)

    def _open(self, names: Sequence[str]) -> None:
        missing: list[str] = []
        for name in names:
            try:
                self._table(name)
            except MissingFilesError as error:
                missing += error.missing
        if missing:
            raise MissingFilesError(missing)

    def _table(self, name: str) -> PeopleTable:
        if name not in self._tables:
            spec = self.sources[name] if name in self.sources else self.evaluations[name]
            table = open_source(cache_dir=self.cache_dir, **spec)
            if not self.pictures and name in self.sources:
                self._tables[name] = table
                return table
            lost, images = table.missing_images()
            if len(images) > 1 and lost.all():
                places = table.where_images_were_looked_for()
                msg = f"all {len(images):,} images of {table.name}, such as {images[0]}: looked in {places}"
                raise MissingFilesError([msg])
            if len(images) and not self.skip_missing_images:
                raise MissingFilesError([f"image {path} of {table.name}" for path in images])
            table = table.select(~lost, MISSING)
            if self.skip_damaged_images and name in self.sources:
                table = table.select(~damaged_people(table, self.cache_dir), UNREADABLE)
            self._tables[name] = table
        return self._tables[name]

    def _at_least(self, table: PeopleTable, joints: int) -> PeopleTable:
        if joints < 1:
            return table
        return table.select(table.labelled_joints(self.spec) >= joints, f"fewer than {joints} annotated joints")

    def _crops(self, name: str) -> CropCache | None:
        if not self.crop_cache or not self.pictures:
            return None
        reach = self.augmentation.reach if name in self.sources else 1.0
        return CropCache(self._table(name), self.input_size, reach, self.cache_dir, self.num_workers)

    def _hidden(self, name: str) -> HoldOut | None:
        return self.hold_out if name in self.targets else None

    def _evaluation_loader(self, split: str) -> DataLoader[Any] | list[Any]:
        if split not in self.evaluations:
            return []
        return self._plain_loader(self._table(split), self.evaluations[split]["kind"], self._crops(split))

    def _plain_loader(
        self, table: PeopleTable, source: str, crops: CropCache | None, done: NDArray[np.bool_] | None = None
    ) -> DataLoader[Any]:
        _require_people(table, "predicted")
        pictures = self.pictures or source not in self.sources
        dataset = PeopleDataset(
            table,
            source,
            self.input_size,
            crops=crops,
            spec=self.spec,
            pictures=pictures,
            hold_out=self._hidden(source),
        )
        ranks, rank = self._ranks()
        return self._loader(dataset, UnpaddedSampler(dataset, ranks, rank, done))

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _loader(self, dataset: Dataset[Any], sampler: Sampler[Any], drop_last: bool = False) -> DataLoader[Any]:
        return make_loader(dataset, sampler, self.batch_size, self.num_workers, collate, drop_last)


class _Loader(DataLoader[Any]):
    """A DataLoader that raises its workers' errors about images as they were, without a traceback as message."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            yield from super().__iter__()
        except ImageError as error:
            # torch makes an error of the same type from the worker's traceback, whose end is the message.
            message = str(error).rpartition(f"{ImageError.__module__}.{ImageError.__qualname__}: ")[2]
            raise ImageError(message.strip()) from error


def _require_people(table: PeopleTable, what: str) -> None:
    if not len(table):
        remedy = "Give other people or filters, or leave it out"
        msg = f"{table.name}: nobody is left to be {what}; {table.why_nobody()}. {remedy}"
        raise AnnotationError(msg)


def _with_drawn(quotas: list[float], share: float) -> list[float]:
    """Quotas of the sources, and beside them that of what is drawn, if anything is."""
    return [*quotas, sum(quotas) * share / (1 - share)] if share > 0 else quotas


def make_loader(
    dataset: Dataset[Any],
    sampler: Sampler[Any],
    batch_size: int,
    num_workers: int,
    collate_fn: Callable[[Any], Any],
    drop_last: bool,
) -> DataLoader[Any]:
    """The one place where loaders are made."""
    return _Loader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate_fn,
        drop_last=drop_last,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
