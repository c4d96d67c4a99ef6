"""Batches of decoded pictures by row: from memory where they all fit, else decoded by worker processes ahead of need.

Both ways give the same pixels. Worker processes read straight from the shards or tars of a release; nothing is
extracted. Pictures that cannot be read are left out, counted and listed; more than 1 % of them stop the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from hierlandmarks.errors import UsageError
from hierlandmarks.params import nearest
from hierlandmarks_benchmark.images import check_readable, load_pictures, put_square

if TYPE_CHECKING:
    from hierlandmarks_benchmark.datasets import ImageSet

T = TypeVar("T")
Ints = NDArray[np.int64]
Batch = tuple[Ints, Tensor]  # B rows, B × 3 × side × side uint8
IN_MEMORY = ("auto", "always", "never")
MOST_MEMORY = 0.5  # share of the available memory that decoded pictures may take
AHEAD = 2  # batches each worker has ready
FEW = 512  # pictures below which starting processes takes longer than decoding


class Clock:
    """How long the consumer of batches waited for them."""

    def __init__(self) -> None:
        self.waited, self.total = 0.0, 0.0

    @property
    def share(self) -> float:
        """Waiting as a share of all the time since the first batch was asked for, 0 to 1."""
        return self.waited / self.total if self.total else 0.0

    def watch(self, items: Iterable[T]) -> Iterator[T]:
        """Pass items through, counting how long each took to come."""
        iterator, end = iter(items), object()
        last = time.perf_counter()
        while True:
            asked = time.perf_counter()
            item: Any = next(iterator, end)
            now = time.perf_counter()
            self.waited += now - asked
            self.total += now - last
            last = now
            if item is end:
                return
            yield item


class Held:
    """Pictures decoded once and held in memory: 3 · side² bytes each.

    Attributes:
        rows: of the readable pictures, ascending.
        skipped: one line for each picture that could not be read.
        clock: how long the consumer of `feed` waited.
        where: `memory`.
    """

    where = "memory"

    def __init__(self, dataset: ImageSet, side: int, rows: Ints, about: str) -> None:
        loaded = load_pictures(dataset, side, rows, about)
        self._pixels, self.rows, self.skipped = loaded.pixels, loaded.rows, loaded.skipped
        self.clock = Clock()

    def feed(self, batches: Iterable[Ints]) -> Iterator[Batch]:
        """The pictures of batches of rows, in order; see `Streamed.feed`."""
        return self.clock.watch(self._batch(np.asarray(rows)) for rows in batches)

    def _batch(self, rows: Ints) -> Batch:
        places = np.searchsorted(self.rows, rows).clip(max=max(len(self.rows) - 1, 0))
        kept = self.rows[places] == rows
        return rows[kept], self._pixels[torch.from_numpy(places[kept])]


class Streamed:
    """Pictures decoded by worker processes while their consumer works.

    Attributes:
        rows: that may be asked for, ascending.
        skipped: one line for each picture met so far that could not be read.
        reasons: why, by row.
        clock: how long the consumer of `feed` waited.
        where: such as `4 workers`.
    """

    def __init__(self, dataset: ImageSet, side: int, rows: Ints, workers: int, clock: Clock | None = None) -> None:
        self.rows = rows
        self.skipped: tuple[str, ...] = ()
        self.clock = clock or Clock()
        self.where = f"{workers} worker{'' if workers == 1 else 's'}"
        self._squares, self._workers = _Squares(dataset, side), workers
        self.reasons: dict[int, str] = {}

    def feed(self, batches: Iterable[Ints]) -> Iterator[Batch]:
        """The pictures of batches of rows, in order.

        Args:
            batches: rows of the dataset; several epochs may follow each other, so that workers start once.

        Yields:
            The rows of a batch that can be read, and their pictures, B × 3 × side × side uint8.

        Raises:
            CorruptInputError: more than 1 % of `rows` turned out to be unreadable, with their list.
        """
        loader: DataLoader[Any] = DataLoader(
            self._squares,  # type: ignore[arg-type]  # all it asks of a dataset is __getitems__
            batch_sampler=batches,  # type: ignore[arg-type]  # any iterable of rows
            num_workers=self._workers,
            prefetch_factor=AHEAD if self._workers else None,
            collate_fn=_same,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else it would draw from the global one, and a run that goes on would differ
        )
        return self.clock.watch(self._counted(loader))

    def _counted(self, loader: DataLoader[Any]) -> Iterator[Batch]:
        for rows, pixels, failures in loader:
            if new := {row: why for row, why in failures.items() if row not in self.reasons}:
                self.reasons |= new
                self.skipped = check_readable(self._squares.dataset, self.reasons, len(self.rows))
            yield rows.numpy(), pixels


Pictures = Held | Streamed


def open_pictures(
    dataset: ImageSet,
    side: int,
    rows: Ints | None = None,
    *,
    workers: int = -1,
    in_memory: str = "auto",
    about: str = "decode",
) -> Pictures:
    """Pictures of a dataset by row, held in memory or streamed.

    Args:
        dataset: where the pictures come from.
        side: of the decoded squares, in pixels: the shorter side is scaled to it and the centre cut out.
        rows: rows of the dataset that will be asked for, all by default.
        workers: processes that decode what is streamed; 0 decodes in this one, -1 takes one a core (see `cores_for`).
        in_memory: `always`, `never`, or `auto`: where the pictures take at most half of the memory that is free.
        about: what the progress bar says while pictures are decoded into memory.

    Raises:
        UsageError: an unknown `in_memory`, or `always` and not enough memory: the message says what to lower.
        CorruptInputError: more than 1 % of the pictures cannot be read, with their list.
    """
    if in_memory not in IN_MEMORY:
        raise UsageError("data.in_memory is unknown", got=repr(in_memory), do=nearest(in_memory, IN_MEMORY))
    wanted = np.arange(len(dataset)) if rows is None else np.sort(np.asarray(rows))
    needed, free = 3 * side * side * len(wanted), _free_memory()
    if in_memory == "always" and needed > free:
        raise UsageError(
            f"{len(wanted):,} decoded pictures of {side} × {side} do not fit in memory",
            got=f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free",
            do="lower data.stored, or set data.in_memory to auto",
        )
    if in_memory == "always" or (in_memory == "auto" and needed <= MOST_MEMORY * free):
        return Held(dataset, side, wanted, about)
    return Streamed(dataset, side, wanted, cores_for(len(wanted), workers))


def cores_for(count: int, workers: int) -> int:
    """Worker processes for so many pictures: as many as wanted; for -1 one a core, none where pictures are few."""
    if workers >= 0:
        return workers
    return max(1, len(os.sched_getaffinity(0)) // _processes()) if count >= FEW else 0


class _Squares:
    """What a worker holds: pickles as a reference to the release."""

    def __init__(self, dataset: ImageSet, side: int) -> None:
        self.dataset, self.side = dataset, side
        self._scratch = torch.empty((0, 3, side, side), dtype=torch.uint8)

    def __getitems__(self, rows: Ints) -> tuple[Tensor, Tensor, dict[int, str]]:
        """Decode a batch; in the order of the rows, which is that of their places in the shards.

        Into memory that is used again and again, and from there, once, into what is shared with the consumer: fresh
        memory costs as much as the copy.
        """
        if len(self._scratch) < len(rows):
            self._scratch = torch.empty((len(rows), 3, self.side, self.side), dtype=torch.uint8)
        failures, kept = {}, np.ones(len(rows), dtype=bool)
        for position in np.argsort(rows, kind="stable"):
            if why := put_square(self.dataset, int(rows[position]), self._scratch[position]):
                failures[int(rows[position])], kept[position] = why, False
        readable = [self._scratch[position] for position in np.flatnonzero(kept)]
        pixels: Tensor = default_collate(readable) if readable else self._scratch[:0].clone()
        return torch.from_numpy(np.asarray(rows)[kept]), pixels, failures


def _same(batch: T) -> T:
    return batch


def _processes() -> int:
    """Processes of this run on this machine, as torchrun says: they share cores and memory."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available) // _processes()
