"""Reading and writing tables: checked against `schema.py`, sorted by key, put in place atomically, manifest beside."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from hierlandmarks import csvchecks
from hierlandmarks.errors import ChecksumError, MissingDataError, TableError
from hierlandmarks.schema import Table

ROW_GROUP = 65_536


# -- putting things in place --


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well, and vanishes when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def clear_parts(folder: str | os.PathLike[str]) -> None:
    """Remove what killed writers left unfinished in a folder nobody writes to any more."""
    for part in Path(folder).glob(".*.part"):
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new empty folder beside `path` that replaces `path` when the block ends well, and vanishes when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    old = part.with_suffix(".old")
    part.mkdir()
    try:
        yield part
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
    finally:
        if old.exists() and not path.exists():  # the second rename failed: put the old one back
            os.replace(old, path)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 file with Unix line ends, atomically."""
    with atomic_path(path) as part:
        part.write_bytes(text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON that is the same bytes for the same content, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        MissingDataError: there is no such file.
        TableError: it is no JSON; the message names the line.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TableError(f"{path} is not valid JSON", got=str(error)) from error


# -- checking --


def conform(table: pa.Table, spec: Table, where: str) -> pa.Table:
    """The table with exactly the declared columns, checked, and sorted by its key.

    Args:
        where: what the table is, for messages (a path, or the name of a stage).

    Raises:
        TableError: a missing column, a wrong type, an empty key or null, or a repeated key, naming the row.
    """
    missing = [name for name in spec.schema.names if name not in table.column_names]
    if missing:
        raise TableError(
            f"{where} lacks the column {missing[0]}",
            got=f"columns {', '.join(table.column_names) or 'none'}",
            expected=", ".join(spec.schema.names),
        )
    for field in spec.schema:
        if not field.nullable and table[field.name].null_count:
            row = pc.index(pc.is_null(table[field.name]), True).as_py()
            raise TableError(f"{where} row {row + 1}: {field.name} is missing", expected=f"a {field.type}")
    try:
        table = table.select(spec.schema.names).cast(spec.schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise TableError(f"{where} does not fit the table {spec.name}", got=str(error)) from error
    if _rises(table, spec.key):  # as every table that was written here does: no sorting, no copy
        return table
    check_unique(table, spec.key, where)
    return table.sort_by([(name, "ascending") for name in spec.key]).combine_chunks()


def _rises(table: pa.Table, key: Sequence[str]) -> bool:
    """Whether every row's key is above that of the row before it."""
    above, level = pa.scalar(False), pa.scalar(True)
    for name in key:
        column = table[name].combine_chunks()
        before, after = column[:-1], column[1:]
        above = pc.or_(above, pc.and_(level, pc.less(before, after)))
        level = pc.and_(level, pc.equal(before, after))
    return bool(pc.all(above, min_count=0).as_py())


def check_unique(table: pa.Table, key: Sequence[str], where: str, first_row: int = 1) -> None:
    """Refuse a table in which two rows share their key, naming the second.

    Args:
        first_row: number the first row has for the reader (2 for a CSV with a header).
    """
    if len(table[key[0]].unique()) == table.num_rows:
        return
    repeated = table.select(list(key)).to_pandas().duplicated().to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        values = ", ".join(f"{name} {table[name][row].as_py()!r}" for name in key)
        raise TableError(
            f"{where} row {row + first_row}: {values} is repeated",
            expected="one row each",
            do="remove one of them",
        )


# -- Parquet --


def empty(spec: Table) -> pa.Table:
    """A table of that schema with no rows."""
    return spec.schema.empty_table()


def from_rows(rows: Sequence[Mapping[str, Any]], spec: Table, where: str | None = None) -> pa.Table:
    """Rows as mappings to a conforming table."""
    columns = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in spec.schema}
    return conform(pa.table(columns), spec, where or spec.name)


# The one way this project writes Parquet.
PARQUET = {"compression": "zstd", "compression_level": 3, "write_page_index": True, "write_page_checksum": True}


def write_parquet(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write Parquet the one way this project does: zstd 3, row groups of 64 k rows, page index; atomic."""
    with atomic_path(path) as part:
        pq.write_table(table.replace_schema_metadata(None), part, row_group_size=ROW_GROUP, **PARQUET)


def write_table(path: str | os.PathLike[str], table: pa.Table, spec: Table, made_by: Mapping[str, Any]) -> None:
    """Write a stage's table and, beside it, `<name>.json`: rows, columns, content hash, and what made it."""
    path = Path(path)
    table = conform(table, spec, spec.name)
    write_parquet(path, table)
    write_facts(path, spec, table.num_rows, content_hash(table), made_by)


def write_facts(path: Path, spec: Table, rows: int, digest: str, made_by: Mapping[str, Any]) -> None:
    """Write what is known of a table that lies at `path` into `<name>.json` beside it."""
    write_json(
        path.with_suffix(".json"),
        {
            "table": spec.name,
            "about": spec.about,
            "rows": rows,
            "columns": {field.name: str(field.type) for field in spec.schema},
            "content_hash": digest,
            "sha256": file_sha256(path),
            "made_by": dict(made_by),
        },
    )


def read_table(path: str | os.PathLike[str], spec: Table, *, verify: bool = True) -> pa.Table:
    """Read a table that `write_table` wrote.

    Raises:
        MissingDataError: there is no such file.
        ChecksumError: its bytes are not those its manifest names.
        TableError: it is no Parquet, or does not have the declared columns.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path} does not exist", do="run the stage that makes it")
    manifest = path.with_suffix(".json")
    if verify and manifest.is_file() and read_json(manifest).get("sha256") != file_sha256(path):
        raise ChecksumError(f"{path} was changed after it was written", do="delete it and run again")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"{path} is no Parquet file", got=str(error).splitlines()[0]) from error
    return conform(table, spec, str(path))


def content_hash(table: pa.Table) -> str:
    """A hash of the rows that does not depend on the Parquet writer, chunking or compression; linear in bytes.

    It is the hash of the hashes of blocks of 65,536 rows, so that it can be had block by block, by several at once.

    >>> content_hash(pa.table({"a": [1, 2]})) == content_hash(pa.table({"a": pa.chunked_array([[1], [2]])}))
    True
    """
    return join_hashes(block_hash(table.slice(start, ROW_GROUP)) for start in range(0, table.num_rows, ROW_GROUP))


def join_hashes(blocks: Iterable[bytes]) -> str:
    """The content hash of a table from the hashes of its blocks of ROW_GROUP rows, in order."""
    return hashlib.sha256(b"".join(blocks)).hexdigest()


def block_hash(block: pa.Table) -> bytes:
    """The hash of one block, every column's name, type, nulls, lengths and bytes; see `content_hash`."""
    digest = hashlib.sha256()
    for name, column in zip(block.column_names, block.columns, strict=True):
        values = column.combine_chunks()
        digest.update(f"{name}\0{values.type}\0{len(values)}\0".encode())
        _update(digest, values)
    return digest.digest()


def _update(digest: hashlib._Hash, column: pa.Array) -> None:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    digest.update(np.packbits(valid).tobytes())
    if pa.types.is_list(column.type):
        digest.update(pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).tobytes())
        _update(digest, column.flatten())
    elif pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        blob = column if valid.all() else pc.fill_null(column, b"" if pa.types.is_binary(column.type) else "")
        lengths = pc.binary_length(blob).to_numpy(zero_copy_only=False).astype("<i8")
        digest.update(lengths.tobytes())
        if len(blob) and lengths.any():
            start = int(np.frombuffer(blob.buffers()[1], np.int32)[blob.offset])
            digest.update(memoryview(blob.buffers()[2])[start : start + int(lengths.sum())])
    elif pa.types.is_boolean(column.type):
        digest.update(np.packbits(pc.fill_null(column, False).to_numpy(zero_copy_only=False)).tobytes())
    else:
        digest.update(pc.fill_null(column, 0).to_numpy(zero_copy_only=False).tobytes())


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# -- CSV --


def read_csv(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    *,
    key: Sequence[str] = (),
    optional: Sequence[str] = (),
    may_be_empty: bool = False,
) -> pa.Table:
    """Read the named columns of a CSV as text, exactly as written: nothing becomes a number or a NaN.

    Takes a BOM, CRLF and quoted line breaks; columns not named are left out.

    Args:
        columns: must be there.
        key: columns that identify a row: repeated ones are refused, and empty ones too.
        optional: read where present, else filled with empty text.
        may_be_empty: whether a file with a header and no rows is fine.

    Raises:
        MissingDataError: there is no such file.
        TableError: empty file, missing column, ragged row, or repeated key, naming file and row
            (the header is row 1).
    """
    path = Path(path)
    csvchecks.check_file(path, columns)
    table = _parse_csv(path)
    names = table.column_names
    csvchecks.check_header(path, names, columns)
    if not table.num_rows and not may_be_empty:
        raise csvchecks.no_rows(path)
    csvchecks.check_filled(table, key, path)
    if key:
        check_unique(table, key, str(path), first_row=2)
    blank_column = pa.array([""] * table.num_rows, pa.string())
    wanted = [*columns, *(name for name in optional if name not in columns)]
    kept = pa.table({name: table[name] if name in names else blank_column for name in wanted})
    del table
    pa.default_memory_pool().release_unused()  # what parsing took, which for GLDv2 is as much as the columns
    return kept


def _parse_csv(path: Path) -> pa.Table:
    header = csvchecks.header(path)
    try:
        return pacsv.read_csv(path, **csvchecks.options(header))
    except pa.ArrowInvalid as error:
        raise csvchecks.what_is_wrong(path, header) from error


def write_csv(path: str | os.PathLike[str], table: pa.Table) -> None:
    """Write a table as CSV: UTF-8, Unix line ends, quotes only where needed, as GLDv2's own files; atomic."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    write_text(path, buffer.getvalue())
