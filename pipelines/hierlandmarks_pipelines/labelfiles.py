"""The two files a person edits, `labels/taxonomy.csv` and `labels/decisions.csv`: read, checked, looked up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from datetime import date
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from hierlandmarks.errors import TableError, UsageError
from hierlandmarks.params import nearest
from hierlandmarks.resources import bundled
from hierlandmarks.schema import DECISIONS, KINDS, TAXONOMY
from hierlandmarks.tables import from_rows, read_csv
from hierlandmarks_pipelines.places import is_place
from hierlandmarks_pipelines.typeids import type_id as type_id_of

TAXONOMY_FILE = "taxonomy.csv"
LABEL, DROP = ACTIONS = ("label", "drop")
_LABEL_ID = re.compile(r"hl:[a-z0-9]+(-[a-z0-9]+)*")
_QID = re.compile(r"Q[1-9][0-9]*")


@dataclass(frozen=True)
class Label:
    """One label of the taxonomy; the columns of `schema.TAXONOMY`."""

    label_id: str
    label: str
    natural_or_human_made: str
    definition: str
    wikidata: str


@dataclass(frozen=True)
class Decision:
    """What a person decided about a type; the columns of `schema.DECISIONS`. `label_id` is "" when dropped."""

    type_id: str
    type: str
    action: str
    label_id: str
    label: str
    reviewer: str
    date: str
    reason: str

    @property
    def outcome(self) -> str:
        """What landmarks of the type get: a label's name, or `drop`."""
        return self.label if self.action == LABEL else DROP

    def __str__(self) -> str:
        return f"{self.type} ({self.type_id}): {self.outcome.strip()} by {self.reviewer}, {self.date}"


@dataclass(frozen=True)
class Taxonomy:
    """The labels in the order of their ids, and the ways to find one."""

    labels: tuple[Label, ...]

    @cached_property
    def by_id(self) -> dict[str, Label]:
        """Labels by permanent id."""
        return {label.label_id: label for label in self.labels}

    @cached_property
    def _by_name(self) -> dict[str, Label]:
        return {_plain(label.label): label for label in self.labels}

    def find(self, text: str) -> Label | None:
        """A label by its id or its name; case, outer spaces and spaces around a slash do not matter."""
        return self.by_id.get(text.strip()) or self._by_name.get(_plain(text))

    def advice(self, text: str) -> str:
        """The nearest label to a mistaken one, for messages; half of a name is enough: `castel` for `castle / fort`."""
        if text.strip().startswith("hl:"):
            return nearest(text.strip(), self.by_id)
        parts = {part.strip(): name for name in self._by_name for part in (*name.split("/"), name)}
        close = get_close_matches(_plain(text), sorted(parts), n=1)
        return nearest(parts[close[0]] if close else _plain(text), self._by_name)


def labels_folder(folder: Path | None) -> Path:
    """The given folder, or the bundled `labels/`."""
    return folder if folder is not None else bundled("hierlandmarks_pipelines", "labels")


def label_files(folder: Path | None) -> tuple[Path, Path]:
    """Paths of taxonomy and decisions in a labels folder (the bundled one when None)."""
    return labels_folder(folder) / TAXONOMY_FILE, labels_folder(folder) / "decisions.csv"


def read_taxonomy(path: Path) -> Taxonomy:
    """Read and check `taxonomy.csv`.

    Raises:
        MissingDataError: there is no such file.
        TableError: empty file, missing column, repeated id or name, malformed id, unknown kind; names the row.
    """
    table = read_csv(path, TAXONOMY.schema.names, key=("label_id",))
    labels = [Label(**row) for row in table.to_pylist()]
    names: dict[str, int] = {}
    for row, label in enumerate(labels, start=2):
        if not _LABEL_ID.fullmatch(label.label_id):
            raise TableError(
                f"{path} row {row}: label_id is malformed", got=repr(label.label_id), expected="hl:some-name"
            )
        if label.natural_or_human_made not in KINDS:
            raise TableError(
                f"{path} row {row}: natural_or_human_made is wrong",
                got=repr(label.natural_or_human_made),
                expected=" or ".join(KINDS),
            )
        if label.wikidata and not _QID.fullmatch(label.wikidata):
            raise TableError(
                f"{path} row {row}: wikidata is no item", got=repr(label.wikidata), expected="Q… or nothing"
            )
        plain = _plain(label.label)
        if not plain or plain == DROP:
            raise TableError(f"{path} row {row}: label has no usable name", got=repr(label.label))
        if plain in names:
            raise TableError(f"{path} row {row}: the label {label.label!r} is in row {names[plain]} already")
        names[plain] = row
    return Taxonomy(tuple(sorted(labels, key=lambda label: label.label_id)))


def taxonomy_table(taxonomy: Taxonomy) -> pa.Table:
    """The labels as a `schema.TAXONOMY` table."""
    return from_rows([vars(label) for label in taxonomy.labels], TAXONOMY)


def taxonomy_from_table(table: pa.Table) -> Taxonomy:
    """The labels of a `schema.TAXONOMY` table, which was checked when it was made."""
    return Taxonomy(tuple(Label(**row) for row in table.to_pylist()))


def read_decisions(path: Path, taxonomy: Taxonomy) -> list[Decision]:
    """Read and check `decisions.csv`: every line ever written, in order.

    Raises:
        MissingDataError: there is no such file.
        TableError: empty file, missing column, empty cell, misspelled action, unknown label, a label where one was
            dropped or none where one was chosen, malformed id or date; names the row and the nearest right word.
    """
    table = read_csv(path, DECISIONS.schema.names, may_be_empty=True)
    decisions = [Decision(**row) for row in table.to_pylist()]
    for row, decision in enumerate(decisions, start=2):
        check_decision(decision, taxonomy, f"{path} row {row}")
    return decisions


def check_decision(decision: Decision, taxonomy: Taxonomy, where: str) -> None:
    """Refuse a decision that says nothing or contradicts itself.

    Args:
        where: file and row, for messages.

    Raises:
        TableError: what `read_decisions` lists.
    """
    for name in ("type_id", "type", "action", "reviewer", "date"):
        if not getattr(decision, name).strip():
            raise TableError(f"{where}: {name} is empty", do="fill it in or remove the row")
    check_type_id(decision.type_id, decision.type, where)
    if decision.action not in ACTIONS:
        advice = nearest(decision.action, ACTIONS)
        raise TableError(f"{where}: there is no action {decision.action!r}", expected=" or ".join(ACTIONS), do=advice)
    if decision.action == DROP and (decision.label_id or decision.label):
        raise TableError(f"{where}: a dropped type has a label", got=repr(decision.label_id or decision.label))
    if decision.action == LABEL:
        _check_label(decision, taxonomy, where)
    try:
        date.fromisoformat(decision.date)
    except ValueError:
        raise TableError(f"{where}: date is wrong", got=repr(decision.date), expected="YYYY-MM-DD") from None


def check_type_id(type_id: str, name: str, where: str) -> None:
    """Refuse an id that is neither a Wikidata item nor the `hl:` id of the name beside it, nor that of a landmark.

    Raises:
        TableError: it is neither; the message gives the id the name would have.
    """
    if _QID.fullmatch(type_id) or is_place(type_id):
        return
    try:
        expected = type_id_of(name)
    except UsageError as error:
        raise TableError(f"{where}: type has no name", got=repr(name), do="write the type's English name") from error
    if type_id != expected:
        raise TableError(f"{where}: type_id does not fit the type", got=repr(type_id), expected=f"a QID or {expected}")


def _check_label(decision: Decision, taxonomy: Taxonomy, where: str) -> None:
    """The permanent id counts; the name beside it may be an old one, but not that of another label."""
    if not decision.label_id:
        meant = taxonomy.find(decision.label)
        do = f"write {meant.label_id}" if meant else "choose a label of taxonomy.csv, or drop the type"
        raise TableError(f"{where}: a decision without a label_id", do=do)
    if decision.label_id not in taxonomy.by_id:
        raise TableError(f"{where}: there is no label {decision.label_id!r}", do=taxonomy.advice(decision.label_id))
    other = taxonomy.find(decision.label)
    if other is not None and other.label_id != decision.label_id:
        raise TableError(f"{where}: label_id and label disagree", got=f"{decision.label_id} and {decision.label!r}")


def effective(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The decision that counts for every type: its last."""
    return {decision.type_id: decision for decision in decisions}


def find_decision(decisions: Mapping[str, Decision], type_id: str, name: str) -> Decision | None:
    """The decision about a type, else that about the `hl:` id of its name, else None.

    Types from GLDv2's own files are known by name only, so a person's decision about `hl:church-building` also holds
    for the Wikidata class called "church building", until somebody decides about its QID.
    """
    if type_id in decisions:
        return decisions[type_id]
    try:
        return decisions.get(type_id_of(name))
    except UsageError:
        return None


def decisions_table(decisions: Iterable[Decision]) -> pa.Table:
    """Decisions, one a type, as a `schema.DECISIONS` table."""
    return from_rows([asdict(decision) for decision in decisions], DECISIONS)


def decisions_from_table(table: pa.Table) -> dict[str, Decision]:
    """The reverse of `decisions_table`, keyed by type."""
    return {row["type_id"]: Decision(**row) for row in table.to_pylist()}


def decision_cells(decision: Decision) -> tuple[str, ...]:
    """A decision as the cells of a line of `decisions.csv`."""
    cells: tuple[str, ...] = astuple(decision)
    return cells


def _plain(name: str) -> str:
    return re.sub(r"\s*/\s*", " / ", " ".join(name.split())).casefold()


assert tuple(field.name for field in fields(Decision)) == tuple(DECISIONS.schema.names)
assert tuple(field.name for field in fields(Label)) == tuple(TAXONOMY.schema.names)
