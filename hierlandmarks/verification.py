"""Whether a folder holds what it should: a GLDv2 root by catalog, MD5s and ids, a release by its manifest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from hierlandmarks import __version__
from hierlandmarks.catalog import RemoteDataset, RemoteFile, find_dataset, own_dataset
from hierlandmarks.digests import digest
from hierlandmarks.downloads import read_md5, read_record
from hierlandmarks.errors import ChecksumError, HierlandmarksError, MissingDataError, TableError
from hierlandmarks.pictures import Pictures, check_pictures
from hierlandmarks.progress import track
from hierlandmarks.releases import MANIFEST, Release, open_release
from hierlandmarks.tables import read_csv, write_json

EXIT = {"ok": 0, "absent": 0, "missing": 2, "unfinished": 2, "wrong": 3}
REPORT = "report.json"


@dataclass(frozen=True)
class Finding:
    """What was found of one file, or of all pictures of a split.

    Attributes:
        path: within the folder; a split's name for its pictures.
        state: `ok`; `absent` (never fetched); `missing` (fetched once and gone); `unfinished` (a fetch was stopped);
            `wrong`.
        detail: in words.
        count: rows of a CSV, pictures of a tar or of a split; None when not counted.
        size: bytes of a file; None when it is not there.
        facts: of pictures, where they were looked at: how many have the same bytes as another, how many do not decode
            and which, the smallest side in pixels; of tars also how many ids of the split's CSV are in no tar and of
            the tars in no CSV.
    """

    path: str
    state: str
    detail: str = ""
    count: int | None = None
    size: int | None = None
    facts: dict[str, Any] | None = None


def verify_folder(
    folder: str | os.PathLike[str], dataset: str = "gldv2", *, decode: bool = True, jobs: int = 1
) -> list[Finding]:
    """Check every file of a release folder or of a fetched dataset; reads all bytes.

    Args:
        folder: with `MANIFEST.json` it is a release; else the root of a fetched dataset, which may say in
            `dataset.json` what it holds instead of the whole (see `catalog.own_dataset`).
        dataset: name in the catalog, for a root.
        decode: whether every picture is decoded; some 10 ms each.
        jobs: threads that decode.

    Returns:
        For a root one finding a file of the catalog, then one for the pictures of every split that has tars; for a
        release one finding a split.

    Raises:
        MissingDataError: there is no such folder, or nothing in it that could be checked.
        CorruptInputError: a release is not what its manifest says; the message names the first file that is not.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"there is no folder {folder}", do="check the path")
    if is_release(folder):
        release = open_release(folder, verify=True)
        return [_check_release(release, split, decode=decode, jobs=jobs) for split in release.splits]
    known = own_dataset(folder, find_dataset(dataset))
    findings = [_check_file(folder, file) for file in track(known.metadata, "verifying tables", unit="file")]
    for split, tars in known.images.items():
        findings += _check_split(folder, known, split, tars, decode=decode, jobs=jobs)
    if all(finding.state == "absent" for finding in findings):
        raise MissingDataError(
            f"{folder} is neither a release nor the root of {dataset}",
            expected=f"{MANIFEST}, or {known.metadata[0].path}",
            do="check the path",
        )
    return findings


def is_release(folder: Path) -> bool:
    """Whether a folder is a release, which has a manifest and gets no other file."""
    return (folder / MANIFEST).is_file()


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when all is well, 2 when something is missing or unfinished, 3 when something is wrong."""
    return max((EXIT[finding.state] for finding in findings), default=0)


def write_report(path: Path, folder: Path, findings: Sequence[Finding]) -> None:
    """Write findings as JSON: the same folder in the same state gives the same bytes."""
    states = {state: sum(finding.state == state for finding in findings) for state in EXIT}
    shown = [
        {key: value for key, value in asdict(finding).items() if value is not None}
        for finding in findings
        if finding.state != "absent"
    ]
    write_json(
        path,
        {
            "folder": folder.name,
            "version": __version__,
            "exit_code": exit_code(findings),
            "states": states,
            "findings": shown,
        },
    )


def _check_release(release: Release, split: str, *, decode: bool, jobs: int) -> Finding:
    """The pictures of a split of a release whose bytes and rows are right: whether they are pictures."""
    rows = release.rows(split, ("id", "image"))
    if not (decode and rows.pictures):
        return Finding(split, "ok", count=len(rows))
    found = (pair for batch in rows.batches(("id", "image")) for pair in zip(*batch.to_pydict().values(), strict=True))
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        pictures = Pictures(check_pictures(pool, decode))
        pictures.add(track(found, f"decoding {split}", len(rows), "picture"))
    facts = pictures.facts()
    fault = _undecodable(facts)
    return Finding(split, "wrong" if fault else "ok", fault, len(rows), pictures.size, facts)


def _undecodable(facts: Mapping[str, Any]) -> str:
    count = facts.get("undecodable", 0)
    return f"{count} pictures do not decode, such as {facts['undecodable_ids'][0]}" if count else ""


def _check_file(root: Path, file: RemoteFile, pictures: Pictures | None = None) -> Finding:
    path = root / file.path
    if not path.is_file():
        if next(path.parent.glob(f".{path.name}.part*"), None):
            return Finding(file.path, "unfinished", "fetch again to go on")
        gone = bool(read_record(root, file.path))
        return Finding(file.path, "missing", "fetched once, now gone") if gone else Finding(file.path, "absent")
    size = path.stat().st_size
    try:
        _check_digest(root, file)
        count = pictures.add_tar(path) if pictures is not None else _count_rows(path, file)
    except HierlandmarksError as error:
        return Finding(file.path, "wrong", str(error), size=size)
    return Finding(file.path, "ok", str(read_record(root, file.path).get("note", "")), count, size)


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


def _check_split(
    root: Path, known: RemoteDataset, split: str, tars: Sequence[RemoteFile], *, decode: bool, jobs: int
) -> list[Finding]:
    """The tars of a split, and what their pictures are together."""
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        pictures = Pictures(check_pictures(pool, decode))
        findings = [_check_file(root, tar, pictures) for tar in track(tars, f"verifying {split}", unit="tar")]
    there = sum(finding.state == "ok" for finding in findings)
    return [*findings, _judge(root, known, split, pictures, there, len(tars))] if there else findings


def _judge(root: Path, known: RemoteDataset, split: str, pictures: Pictures, there: int, tars: int) -> Finding:
    """Compare the pictures of a split with the catalog and with the ids of its CSV."""
    facts = pictures.facts()
    faults = []
    if there == tars and pictures.count != known.pictures[split]:
        faults.append(f"{known.pictures[split]} pictures were expected")
    if facts["twice"]:
        faults.append(f"{facts['twice']} ids are in two tars")
    if fault := _undecodable(facts):
        faults.append(fault)
    path = root / "metadata" / f"{split}.csv"
    if path.is_file():
        try:
            listed = read_csv(path, ("id",), may_be_empty=True)["id"].combine_chunks()
        except HierlandmarksError:  # a finding of its own
            listed = None
        if listed is not None:
            found = pictures.ids()
            facts["ids_in_no_tar"] = int(len(listed) - pc.sum(pc.is_in(listed, value_set=found)).as_py())
            facts["ids_in_no_csv"] = int(len(found) - pc.sum(pc.is_in(found, value_set=listed)).as_py())
            if facts["ids_in_no_csv"]:
                faults.append(f"{facts['ids_in_no_csv']} pictures are not in {path.name}")
            if there == tars and facts["ids_in_no_tar"]:
                faults.append(f"{facts['ids_in_no_tar']} ids of {path.name} are in no tar")
    detail = "; ".join(faults) or (f"{there} of {tars} tars" if there < tars else "")
    return Finding(split, "wrong" if faults else "ok", detail, pictures.count, pictures.size, facts)
