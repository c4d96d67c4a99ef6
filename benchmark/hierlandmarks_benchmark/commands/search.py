"""`hierlandmarks bench search`: embeddings → ranked lists, and a page of results with the pictures."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit
from hierlandmarks.errors import UsageError

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--release", required=True, help="Release folder, the name of one such as mini, or LAYOUT:FOLDER.")
@click.option("--embeddings", required=True, type=FOLDER, help="Folder made by `bench embed`.")
@click.option("--entry", help="Entry in it; needed where there are several.")
@click.option("--out", type=FILE, help="Ranked lists to write: .parquet, or .csv as in the Kaggle challenge.")
@click.option("--k", default=100, show_default=True, help="Results a query.")
@click.option("--all", "whole", is_flag=True, help="Rank the whole gallery instead.")
@click.option("--page", type=FILE, help="HTML file to write: queries and what is found for them.")
@click.option("--query", "queries", multiple=True, help="Id of a query on the page; repeat it. Else some are chosen.")
@click.option("--queries", "count", default=12, show_default=True, help="Queries that are chosen for the page.")
@click.option("--results", default=12, show_default=True, help="Results of each on the page.")
@click.option("--backend", default="auto", show_default=True, help="faiss, torch or auto; the lists are the same.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def search(
    release: str,
    embeddings: Path,
    entry: str | None,
    out: Path | None,
    k: int,
    whole: bool,
    page: Path | None,
    queries: tuple[str, ...],
    count: int,
    results: int,
    backend: str,
    as_json: bool,
) -> None:
    """Search the gallery with every query, exactly: ranked lists for `bench submit`, or a page to look at."""
    from hierlandmarks_benchmark.retrieve import open_search, write_lists, write_page

    if out is None and page is None:
        raise UsageError("there is nothing to write", do="add --out, --page or both")
    searched = open_search(release, embeddings, entry)
    facts: dict[str, object] = {"entry": searched.entry}
    if out is not None:
        facts |= {"queries": write_lists(searched, out, None if whole else k, backend), "out": str(out)}
    if page is not None:
        shown = write_page(searched, page, queries=queries, count=count, results=results, backend=backend)
        facts |= {"shown": shown, "page": str(page)}
    emit(facts, as_json, ", ".join(f"{key} {value}" for key, value in facts.items()))
