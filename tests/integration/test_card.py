"""The card at the top of the repository is the one that the export writes for "mini"."""

from __future__ import annotations

from pathlib import Path

import pytest

from hierlandmarks_pipelines.mini import build_release


@pytest.mark.slow
def test_the_card_is_up_to_date(root: Path, tmp_path: Path) -> None:
    build_release(tmp_path / "release")
    made = (tmp_path / "release" / "README.md").read_text(encoding="utf-8")
    assert (root / "DATASET_CARD.md").read_text(encoding="utf-8") == made, "run `make card`"
