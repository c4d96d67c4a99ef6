"""Whether the rows of a release are what its manifest says: ids, splits, labels, and the content hash of it all.

A file's SHA-256 finds a flipped bit; this finds a row that somebody edited and wrote back with a fitting checksum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hierlandmarks.errors import ChecksumError, CorruptInputError
from hierlandmarks.hierarchy import Hierarchy
from hierlandmarks.imageids import keys_of
from hierlandmarks.progress import track
from hierlandmarks.releases import Release, release_hash
from hierlandmarks.schema import LEVELS, RELEASE
from hierlandmarks.tables import ROW_GROUP, block_hash, join_hashes

TEXT = {1: "hierarchical_label", 2: "natural_or_human_made"}  # of a label column


def check_rows(release: Release) -> None:
    """Read every row and picture of a release; memory is that of one block of 65,536 rows.

    Raises:
        CorruptInputError: an id that is not 16 hex digits, ids out of order, a row of another split, a code that is not
            in the hierarchy or not that of its label; the message names the split and the row.
        ChecksumError: the rows are others than those the manifest was written for.
    """
    hierarchy = release.hierarchy()
    blocks = {split: _checked(release, split, hierarchy) for split in release.splits}
    found = {split: join_hashes(track(own, f"verifying {split}", unit="block")) for split, own in blocks.items()}
    for split, digest in found.items():
        if digest != release.content_hash(split):
            raise ChecksumError(
                f"rows of the split {split} of {release.folder} were changed",
                got=f"content hash {digest[:12]}",
                expected=release.content_hash(split)[:12],
                do="export the release again",
            )
    if (whole := release_hash(found, hierarchy)) != release.content_hash(None):
        raise ChecksumError(
            f"the hierarchy of {release.folder} was changed",
            got=f"content hash {whole[:12]}",
            expected=release.content_hash(None)[:12],
        )


def _checked(release: Release, split: str, hierarchy: Hierarchy) -> Iterator[bytes]:
    names = {column: hierarchy.names(hierarchy.levels[column]) for column in TEXT}
    first, before = 0, np.empty(0, dtype=np.uint64)
    for block in _blocks(release, split):
        keys, bad = keys_of(block["id"])
        if bad is not None:
            raise _wrong(split, first + bad, "the id", block["id"][bad].as_py(), "16 hex digits")
        ordered = np.concatenate([before[-1:], keys])
        if (ordered[1:] <= ordered[:-1]).any():
            row = int(np.argmax(ordered[1:] <= ordered[:-1])) + 1 - len(before[-1:])
            raise _wrong(split, first + row, "the order of ids", block["id"][row].as_py(), "a higher one")
        if (row := pc.index(pc.not_equal(block["split"], split), True).as_py()) >= 0:
            raise _wrong(split, first + row, "the split", block["split"][row].as_py(), split)
        _check_labels(block, split, first, hierarchy, names)
        yield block_hash(block)
        first, before = first + block.num_rows, keys


def _check_labels(
    block: pa.Table, split: str, first: int, hierarchy: Hierarchy, names: dict[int, dict[int, str]]
) -> None:
    codes = np.stack([block[name].to_numpy() for name in LEVELS], axis=1)
    distinct, rows = np.unique(codes, axis=0, return_inverse=True)
    known = {tuple(path) for level in hierarchy.levels for path in hierarchy.codes(level).tolist()}
    known.add((-1,) * len(LEVELS))
    for number, path in enumerate(distinct.tolist()):
        if tuple(path) not in known:
            row = int(np.argmax(rows.ravel() == number))
            raise _wrong(split, first + row, "the path of codes", path, "a path of the hierarchy")
    for column, text in TEXT.items():
        code = block[LEVELS[column]].combine_chunks()
        values = code.unique()
        spelled = pa.array([names[column].get(value, "") for value in values.to_pylist()], pa.string())
        expected = spelled.take(pc.index_in(code, value_set=values))
        if (row := pc.index(pc.equal(block[text], expected), False).as_py()) >= 0:
            raise _wrong(split, first + row, text, repr(block[text][row].as_py()), repr(expected[row].as_py()))


def _blocks(release: Release, split: str) -> Iterator[pa.Table]:
    """The rows as the content hash takes them: 65,536 at a time, pictures by their SHA-256."""
    kept: list[pa.Table] = []
    for batch in release.rows(split, RELEASE.schema.names).batches(RELEASE.schema.names):
        kept.append(_digested(pa.table(batch)))
        rows = sum(table.num_rows for table in kept)
        if rows >= ROW_GROUP:
            whole = pa.concat_tables(kept)
            for start, end in pairwise(range(0, rows + 1, ROW_GROUP)):
                yield whole.slice(start, end - start)
            kept = [whole.slice(rows - rows % ROW_GROUP)]
    rest = pa.concat_tables(kept)
    if rest.num_rows:
        yield rest


def _digested(table: pa.Table) -> pa.Table:
    pictures = table["image"]
    if pictures.null_count < len(pictures):
        digests = [None if p is None else hashlib.sha256(p).digest() for p in pictures.to_pylist()]
        table = table.set_column(table.column_names.index("image"), "image", pa.array(digests, pa.binary()))
    return table


def _wrong(split: str, row: int, what: str, got: object, expected: object) -> CorruptInputError:
    return CorruptInputError(f"the split {split}, row {row + 1}: {what} is wrong", got=got, expected=expected)
