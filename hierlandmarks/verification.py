"""Whether a folder holds what it should: a GLDv2 root by catalog and MD5s, a release by its manifest."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from hierlandmarks.catalog import RemoteDataset, RemoteFile, find_dataset
from hierlandmarks.digests import digest
from hierlandmarks.downloads import read_md5, read_record
from hierlandmarks.errors import ChecksumError, HierlandmarksError, MissingDataError, TableError
from hierlandmarks.images import index_tar
from hierlandmarks.progress import track
from hierlandmarks.releases import MANIFEST, open_release

EXIT = {"ok": 0, "absent": 0, "missing": 2, "unfinished": 2, "wrong": 3}


@dataclass(frozen=True)
class Finding:
    """What was found of one file.

    Attributes:
        path: within the folder.
        state: `ok`; `absent` (never fetched); `missing` (fetched once and gone); `unfinished` (a fetch was stopped);
            `wrong`.
        detail: in words.
        count: rows of a CSV, pictures of a tar or of a split; None when not counted.
    """

    path: str
    state: str
    detail: str = ""
    count: int | None = None


def verify_folder(folder: str | os.PathLike[str], dataset: str = "gldv2") -> list[Finding]:
    """Check every file of a release folder or of a fetched dataset; reads all bytes.

    Args:
        folder: with `MANIFEST.json` it is a release; else the root of a fetched dataset.
        dataset: name in the catalog, for a root.

    Returns:
        For a root one finding a file of the catalog, then one for every split whose tars are all there; for a release
        one finding a split.

    Raises:
        MissingDataError: there is no such folder, or nothing in it that could be checked.
        CorruptInputError: a release is not what its manifest says; the message names the first file that is not.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder {folder}", do="check the path")
    if (folder / MANIFEST).is_file():
        release = open_release(folder, verify=True)
        return [Finding(split, "ok", count=sum(rows for _, rows in release.shards(split))) for split in release.splits]
    known = find_dataset(dataset)
    files = [*known.metadata, *(tar for tars in known.images.values() for tar in tars)]
    findings = [_check_file(folder, file) for file in track(files, "verifying", unit="file")]
    if all(finding.state == "absent" for finding in findings):
        raise MissingDataError(
            f"{folder} is neither a release nor the root of {dataset}",
            expected=f"{MANIFEST}, or {known.metadata[0].path}",
            do="check the path",
        )
    return findings + _count_splits(known, findings)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when all is well, 2 when something is missing or unfinished, 3 when something is wrong."""
    return max((EXIT[finding.state] for finding in findings), default=0)


def _check_file(root: Path, file: RemoteFile) -> Finding:
    path = root / file.path
    if not path.is_file():
        if next(path.parent.glob(f".{path.name}.part*"), None):
            return Finding(file.path, "unfinished", "fetch again to go on")
        gone = bool(read_record(root, file.path))
        return Finding(file.path, "missing", "fetched once, now gone") if gone else Finding(file.path, "absent")
    try:
        _check_digest(root, file)
        count = _count_rows(path, file) if file.columns else index_tar(path).num_rows
    except HierlandmarksError as error:
        return Finding(file.path, "wrong", str(error))
    return Finding(file.path, "ok", str(read_record(root, file.path).get("note", "")), count)


def _check_digest(root: Path, file: RemoteFile) -> None:
    """Compare with the published MD5 and with what was recorded when the file was fetched, where there are such."""
    md5, sha256 = digest(root / file.path)
    if file.md5_path and (root / file.md5_path).is_file():
        published = read_md5(root / file.md5_path)
        if md5 not in (published, *file.also_seen):
            raise ChecksumError(f"{file.path} has the wrong checksum", got=f"MD5 {md5}", expected=published)
    recorded = read_record(root, file.path).get("sha256", sha256)
    if sha256 != recorded:
        raise ChecksumError(f"{file.path} was changed after it was fetched", got=f"SHA-256 {sha256}", expected=recorded)


def _count_rows(path: Path, file: RemoteFile) -> int:
    """Rows of a CSV, whose columns and rows are those of the catalog."""
    rows = 0
    try:
        reader = pacsv.open_csv(
            path,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(column_types={name: pa.string() for name in file.columns}),
        )
        names = tuple(reader.schema.names)
        for batch in reader:
            rows += batch.num_rows
    except pa.ArrowInvalid as error:
        raise TableError(f"{file.path} is no CSV", got=str(error).splitlines()[0]) from error
    if names != file.columns:
        raise TableError(f"{file.path} has other columns", got=", ".join(names), expected=", ".join(file.columns))
    if file.rows is not None and rows != file.rows:
        raise TableError(f"{file.path} has the wrong number of rows", got=rows, expected=file.rows)
    return rows


def _count_splits(known: RemoteDataset, findings: Iterable[Finding]) -> list[Finding]:
    """The pictures of every split whose tars are all there, against the catalog."""
    counts = {finding.path: finding.count for finding in findings if finding.state == "ok"}
    found = []
    for split, tars in known.images.items():
        if all(tar.path in counts for tar in tars):
            total, right = sum(counts[tar.path] or 0 for tar in tars), known.pictures[split]
            detail = "" if total == right else f"{right} pictures were expected"
            found.append(Finding(split, "wrong" if detail else "ok", detail, total))
    return found
