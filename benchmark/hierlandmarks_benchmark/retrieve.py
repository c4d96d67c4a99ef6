"""`bench search`: embeddings of an entry → ranked lists as Parquet or Kaggle CSV, and a page of results to look at."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hierlandmarks.errors import CorruptInputError, UsageError
from hierlandmarks.metrics.ids import check_ids, self_matches
from hierlandmarks.metrics.sources import ArraySource, Source, open_vectors
from hierlandmarks.params import nearest
from hierlandmarks.progress import track
from hierlandmarks.tables import PARQUET, atomic_path
from hierlandmarks_benchmark.datasets import ImageSet, open_dataset
from hierlandmarks_benchmark.neighbours import rank
from hierlandmarks_benchmark.vectors import find_entries, find_shards, query_and_gallery, read_ids

if TYPE_CHECKING:
    from collections.abc import Callable

Ints = NDArray[np.int64]
ENDINGS = (".parquet", ".csv")
LISTS = pa.schema([pa.field("query_id", pa.string()), pa.field("images", pa.list_(pa.string()))])


@dataclass(frozen=True)
class Side:
    """Queries or gallery of an entry: the images of a split that it embedded, in the order of its shards.

    Attributes:
        dataset: the split.
        ids: N ids.
        vectors: N × d, read when they are needed.
    """

    dataset: ImageSet
    ids: pd.Index[str]
    vectors: Source

    def rows(self, positions: Ints) -> Ints:
        """Rows of the dataset for positions among the embedded images.

        Raises:
            CorruptInputError: the dataset lacks one of them.
        """
        found = pd.Index(self.dataset.table(["id"])["id"].to_pylist()).get_indexer(self.ids[positions])
        if (found < 0).any():
            lost = self.ids[positions][int(np.argmax(found < 0))]
            raise CorruptInputError(f"the dataset has no image {lost} that was embedded", do="embed it again")
        return np.asarray(found, np.int64)


@dataclass(frozen=True)
class Searched:
    """What is searched in what.

    Attributes:
        entry: whose embeddings these are.
        query: the images searched with.
        gallery: the images searched; `query` itself where a split is searched in itself.
        skip: for each query the place of itself in the gallery, -1 for none.
    """

    entry: str
    query: Side
    gallery: Side
    skip: Ints

    def rank(self, k: int | None, backend: str, chosen: Ints | None = None) -> Iterator[tuple[int, Ints]]:
        """See `neighbours.rank`; `chosen` are places of queries, all by default."""
        queries, skip = self.query.vectors, self.skip
        if chosen is not None:
            queries = ArraySource(np.concatenate([queries.read(int(c), int(c) + 1) for c in chosen]))
            skip = skip[chosen]
        return rank(queries, self.gallery.vectors, k, skip=skip if (skip >= 0).any() else None, backend=backend)


def open_search(release: str | Path, embeddings: Path, entry: str | None = None) -> Searched:
    """Open an entry's embeddings of the splits that are ranked.

    Args:
        release: release folder or name of one, or a public layout.
        embeddings: folder that `embed` wrote.
        entry: one of its entries; needed where there are several.

    Raises:
        UsageError: no such entry, or several and none named.
        MissingDataError, IncompleteError, CorruptInputError: embeddings that are not there, not whole, or of another
            dataset.
    """
    whole = open_dataset(release)
    entries = find_entries(embeddings, whole.content_hash)
    if entry is None and len(entries) > 1:
        raise UsageError(f"{embeddings} holds several entries", got=", ".join(entries), do="choose one with --entry")
    name = entry if entry is not None else next(iter(entries))
    if name not in entries:
        raise UsageError(f"{embeddings} holds no entry {name!r}", do=nearest(name, entries))
    query_split, gallery_split = query_and_gallery(whole.splits, release)
    query = _side(release, embeddings / name, query_split)
    gallery = query if gallery_split is None else _side(release, embeddings / name, gallery_split)
    return Searched(name, query, gallery, self_matches(query.ids, gallery.ids))


def _side(release: str | Path, folder: Path, split: str) -> Side:
    vectors = open_vectors([str(path) for path in find_shards(folder, split)], split)
    ids = check_ids(list(read_ids(folder, split)), f"ids of {split} in {folder}", vectors.shape[0])
    return Side(open_dataset(release, split), ids, vectors)


def write_lists(searched: Searched, out: Path, k: int | None = 100, backend: str = "auto") -> int:
    """Write the ranked list of every query; block by block, so that full rankings need no more memory than a block.

    Args:
        searched: from `open_search`.
        out: `.parquet` with `query_id` and `images`, a list of ids best first; or `.csv` as in the Kaggle challenge,
            `id,images`, ids between spaces. `bench submit` takes either.
        k: results a query; None for the whole gallery.
        backend: see `neighbours.rank`.

    Returns:
        The number of queries.

    Raises:
        UsageError: another ending.
        CorruptInputError: an id with a space in it, which the CSV cannot hold.
    """
    if out.suffix not in ENDINGS:
        raise UsageError(f"{out} is no file of rankings", got=f"ending {out.suffix!r}", expected=" or ".join(ENDINGS))
    names = pa.array(searched.gallery.ids.to_list(), pa.string())
    with _writer(out) as write:
        blocks = searched.rank(k, backend)
        for start, rows in track(blocks, "search", unit="block"):
            write(searched.query.ids[start : start + len(rows)].to_list(), _lists(rows, names))
    return len(searched.query.ids)


def _lists(rows: Ints, names: pa.Array) -> pa.Array:
    kept = rows >= 0
    ends = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), names.take(pa.array(rows[kept])))


@contextmanager
def _writer(out: Path) -> Iterator[Callable[[list[str], pa.Array], None]]:
    with atomic_path(out) as part:
        if out.suffix == ".parquet":
            with pq.ParquetWriter(part, LISTS, **PARQUET) as parquet:
                yield lambda queries, lists: parquet.write_table(pa.table([pa.array(queries), lists], schema=LISTS))
        else:
            with part.open("w", encoding="utf-8", newline="") as file:
                lines = csv.writer(file, lineterminator="\n")
                lines.writerow(("id", "images"))
                yield lambda queries, lists: lines.writerows(_lines(queries, lists))


def _lines(queries: list[str], lists: pa.Array) -> Iterator[tuple[str, str]]:
    for query, images in zip(queries, lists.to_pylist(), strict=True):
        if bad := [id for id in (query, *images) if len(id.split()) != 1]:
            raise CorruptInputError(f"the id {bad[0]!r} cannot stand in a Kaggle CSV", do="write .parquet instead")
        yield query, " ".join(images)


def write_page(
    searched: Searched,
    out: Path,
    *,
    queries: Sequence[str] = (),
    count: int = 12,
    results: int = 12,
    backend: str = "auto",
) -> int:
    """Write a page of results: one HTML file with the pictures inside, framed by the level of each match.

    Args:
        searched: from `open_search`.
        out: the file.
        queries: ids of the queries to show; a choice of many labels, the same every time, where none are given.
        count: how many are chosen.
        results: results of each.
        backend: see `neighbours.rank`.

    Returns:
        The number of queries on it.

    Raises:
        UsageError: an id that is no query.
    """
    from hierlandmarks_benchmark.evaluate import choose
    from hierlandmarks_benchmark.results import Shown, make_page

    if min(count, results) < 1:
        raise UsageError("a page shows from 1", got=f"{count} queries, {results} results")
    labels = searched.query.dataset.labels[searched.query.rows(np.arange(len(searched.query.ids)))]
    places = [_place(searched, id) for id in queries] or choose(
        searched.query.ids.to_list(), labels[:, :2][:, -1], count
    )
    chosen = np.array(places, np.int64)
    found = np.concatenate([rows for _, rows in searched.rank(results, backend, chosen)])
    shown = [
        Shown(int(query), searched.gallery.rows(rows[rows >= 0]))
        for query, rows in zip(searched.query.rows(chosen), found, strict=True)
    ]
    page = make_page(searched.entry, searched.query.dataset, searched.gallery.dataset, shown)
    with atomic_path(out) as part:
        part.write_text(page, encoding="utf-8")
    return len(shown)


def _place(searched: Searched, id: str) -> int:
    if id not in searched.query.ids:
        known: Any = searched.query.ids
        raise UsageError(f"there is no query {id!r} among the {len(known):,}", do=nearest(id, known[:10_000]))
    return int(searched.query.ids.get_loc(id))  # type: ignore[arg-type]  # ids are unique: a number
