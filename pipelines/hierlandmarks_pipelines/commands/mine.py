"""`hierlandmarks mine`."""

from __future__ import annotations

from pathlib import Path

import click

from hierlandmarks.cli import emit


@click.command()
@click.option(
    "--categories",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="GLDv2's train_label_to_category.csv or index_label_to_category.csv; may be repeated.",
)
@click.option("--space", type=click.Choice(["train", "index"]), help="Whose ids they are [default: by file name].")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write into.")
@click.option("--replay", is_flag=True, help="Rebuild the tables from the archived answers, without the network.")
@click.option("--plan", "only_plan", is_flag=True, help="Tell calls and minutes; ask and write nothing.")
@click.option("--depth", default=10, show_default=True, help="Levels of superclasses above the types.")
@click.option(
    "--by-name/--not-by-name", default=True, help="Look for unlinked categories by name (P373) [default: yes]."
)
@click.option("--contact", default="", help="Your e-mail address or user page [env: HIERLANDMARKS_CONTACT].")
@click.option("--commons-api", default="", metavar="URL", help="[env: HIERLANDMARKS_COMMONS_API]")
@click.option("--wikidata-api", default="", metavar="URL", help="[env: HIERLANDMARKS_WIKIDATA_API]")
@click.option("--sparql-api", default="", metavar="URL", help="[env: HIERLANDMARKS_SPARQL_API]")
@click.option("--per-minute", default=200.0, show_default=True, help="Requests a minute; 200 is Wikimedia's limit.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def mine(
    categories: tuple[Path, ...],
    space: str | None,
    out: Path,
    replay: bool,
    only_plan: bool,
    as_json: bool,
    **settings: object,
) -> None:
    """Ask Wikimedia what every landmark is: its Wikidata types, with provenance or a reason why there are none.

    Wikimedia wants to know who calls: give your own contact. A run that was stopped goes on where it stopped.
    """
    from hierlandmarks.params import from_mapping
    from hierlandmarks_pipelines.mine import MineParams
    from hierlandmarks_pipelines.mining import mine_to_folder, plan_for_folder

    params = from_mapping(MineParams, {"replay": replay, **settings}, where="mine")
    if only_plan:
        cost = plan_for_folder(categories, out, params, space)
        emit(cost, as_json, "\n".join(f"{name.replace('_', ' '):>18}  {value:g}" for name, value in cost.items()))
        return
    counts = mine_to_folder(categories, out, params, space)
    lines = [f"{count:>9}  {reason}" for reason, count in counts.items()]
    text = "\n".join([*lines, f"{sum(counts.values()):>9}  landmarks in all; the tables are in {out}"])
    emit({"landmarks": sum(counts.values()), "reasons": counts, "out": str(out)}, as_json, text)
