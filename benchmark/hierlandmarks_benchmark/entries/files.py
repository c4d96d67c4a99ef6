"""The files of an entry: their hashes, and YAML that can hold nothing but plain values written out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hierlandmarks.errors import CorruptInputError
from hierlandmarks.tables import file_sha256, write_text
from hierlandmarks_benchmark.entries.form import META
from hierlandmarks_benchmark.texts import plain


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an entry but `meta.yaml`, by its path within the entry.

    Raises:
        CorruptInputError: there is a link or something else that is no plain file.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CorruptInputError(f"{plain(str(path))} is no plain file", do="replace it by the file itself")
        if path.is_file() and path != folder / META:
            found[path.relative_to(folder).as_posix()] = file_sha256(path)
    return found


def read_yaml(path: Path) -> Any:
    """Read YAML without aliases, with which a short file can stand for a huge or an endless value.

    Raises:
        CorruptInputError: it is no YAML, holds an alias or is nested too deep.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CorruptInputError(f"{path} is not valid YAML", got=" ".join(str(plain(str(error))).split())) from error


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write YAML that `read_yaml` reads, in the order of the mapping; the same bytes for the same content."""
    write_text(path, yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True
