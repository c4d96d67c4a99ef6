from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hierlandmarks.errors import UsageError
from hierlandmarks.images import TarImages, decode, index_tar
from hierlandmarks.releases import open_release
from hierlandmarks.tables import read_csv
from hierlandmarks.verification import exit_code, verify_folder
from hierlandmarks_pipelines.mine import MineParams, run_mine
from hierlandmarks_pipelines.mini import STAGE, MiniParams, build_release, categories, record_answers, write_world
from hierlandmarks_pipelines.mini.answers import Answers
from hierlandmarks_pipelines.mini.canvas import Canvas, Traits
from hierlandmarks_pipelines.mini.draw import HUMAN_MADE, NATURAL, photo
from hierlandmarks_pipelines.mini.world import World, read_world
from hierlandmarks_pipelines.wikimedia.archive import Archive

STYLES = {
    "museum": ("pediment", "dome", "flat", "pyramid"),
    "bridge": ("hung", "arches", "truss"),
    "lighthouse": ("bands", "plain", "spiral"),
    "palace": ("dome", "mansard", "gable", "domes"),
    "tower": ("lattice", "pod", "clock", "arcades"),
    "skyscraper": ("setbacks", "taper", "twins", "slab"),
    "sports venue": ("masts", "arch", "ring", "plain"),
    "waterfall": ("single", "curtain", "several", "steps"),
    "island": ("village", "trees", "bare"),
    "volcano": ("snow", "lava", "bare"),
    "ocean area ": ("bay", "fjord", "karst", "strait"),
    "canal": ("houses", "trees", "cutting"),
}


@pytest.fixture(scope="module")
def world() -> World:
    return read_world()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    write_world(folder, MiniParams(size=32))
    return folder


@pytest.fixture(scope="module")
def mined(world: World, source: Path) -> dict[str, pa.Table]:
    return run_mine(MineParams(replay=True), categories(world), source)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_world_has_its_size(world: World) -> None:
    assert len(world.landmarks) == 120
    assert Counter(space for landmark in world.landmarks for space in landmark.ids) == {"train": 84, "index": 48}
    assert sum(len(landmark.ids) == 2 for landmark in world.landmarks) == 12
    labels = Counter(landmark.label for landmark in world.landmarks)
    assert len(labels) == 18
    assert min(labels.values()) >= 5
    for space in ("train", "index"):
        assert {landmark.label for landmark in world.landmarks if space in landmark.ids} == set(labels)


def test_labels_are_spelled_and_sorted_into_kinds_as_in_the_taxonomy(world: World, root: Path) -> None:
    taxonomy = read_csv(root / "labels" / "taxonomy.csv", ("label", "natural_or_human_made")).to_pylist()
    kinds = {row["label"]: row["natural_or_human_made"] for row in taxonomy}
    for landmark in world.landmarks:
        kind = "natural" if landmark.label in NATURAL else "human-made"
        assert kinds[landmark.label] == kind, landmark.name


def test_ids_count_from_zero_in_both_spaces_and_mean_different_places(world: World) -> None:
    by_id = {(space, number): one for one in world.landmarks for space, number in one.ids.items()}
    for space, count in (("train", 84), ("index", 48)):
        assert {number for where, number in by_id if where == space} == {str(n) for n in range(count)}
    assert by_id["train", "0"].label == "sports venue"
    assert by_id["index", "0"].label == "parks"
    assert not any(by_id["train", str(n)] is by_id["index", str(n)] for n in range(48))


def test_the_csvs_name_only_what_they_define(world: World) -> None:
    with open(Path(STAGE.reads(MiniParams())[2]), encoding="utf-8", newline="") as stream:
        uses = {row["type_id"]: row["use"] for row in csv.DictReader(stream)}
    used = {claim.value for landmark in world.landmarks for claim in landmark.claims} - {"somevalue"}
    assert used == {type_id for type_id, use in uses.items() if use == "instance"}
    for child, parents in world.subclasses.items():
        assert {child, *parents} <= set(world.types)
    titles = {landmark.title for landmark in world.landmarks}
    assert set(world.pages) <= titles
    assert all(title.startswith("Category:") for title in titles)
    assert len(titles) == 120


def test_every_type_of_a_landmark_is_decided(world: World, root: Path) -> None:
    decided = set(read_csv(root / "labels" / "decisions.csv", ("type_id",))["type_id"].to_pylist())
    used = {claim.value for landmark in world.landmarks for claim in landmark.claims} - {"somevalue"}
    assert used <= decided


@pytest.mark.parametrize(("label", "style"), [(label, "") for label in (*HUMAN_MADE, *NATURAL)] + [
    (label, style) for label, styles in STYLES.items() for style in styles
])  # fmt: skip
def test_every_style_of_every_label_is_drawn(label: str, style: str) -> None:
    pictures = [photo(label, style, (1, landmark), (2, landmark), 32) for landmark in range(6)]
    assert all(picture.size == (32, 32) and picture.mode == "RGB" for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 6
    assert all(np.asarray(picture).std() > 5 for picture in pictures), "an empty picture"


def test_every_look_is_a_style_of_its_label(world: World) -> None:
    for landmark in world.landmarks:
        assert not landmark.look or landmark.look in STYLES[landmark.label], landmark.name


def test_styles_differ() -> None:
    for label, styles in STYLES.items():
        drawn = {photo(label, style, (0, 1), (0, 2), 48).tobytes() for style in styles}
        assert len(drawn) == len(styles), label


def test_a_photo_is_the_same_every_time_and_another_shot_is_not() -> None:
    first, again = (photo("church", "", (0, 5), (0, 6), 48).tobytes() for _ in range(2))
    assert first == again
    assert first != photo("church", "", (0, 5), (0, 7), 48).tobytes()
    assert first != photo("church", "", (0, 8), (0, 6), 48).tobytes()


def test_seen_from_one_place_a_landmark_looks_the_same_and_another_does_not() -> None:
    """Without the photographer's choices only the landmark is left."""

    def seen(landmark: int) -> np.ndarray:
        canvas = Canvas(64, np.eye(2, 3), 1)
        HUMAN_MADE["castle / fort"](canvas, Traits((0, landmark)))
        return np.asarray(canvas.image).astype(float)

    assert np.array_equal(seen(3), seen(3))
    assert np.abs(seen(3) - seen(4)).mean() > 3


def test_large_photos_show_the_same_scene_as_small_ones() -> None:
    small = np.asarray(photo("mountain", "", (0, 1), (0, 4), 64)).astype(float)
    large = photo("mountain", "", (0, 1), (0, 4), 256).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(small - np.asarray(large).astype(float)).mean() < 12


def test_traits_answer_in_order() -> None:
    first, second = Traits((1, 2)), Traits((1, 2))
    assert [first.count(0, 99), first.between(0, 1), first.pick(*"abc")] == [
        second.count(0, 99),
        second.between(0, 1),
        second.pick(*"abc"),
    ]
    plain, styled = Traits((1,)), Traits((1,), "b")
    assert plain.style("a", "c") in "ac"
    assert styled.style("a", "c") == "b"
    assert plain.count(0, 10**6) == styled.count(0, 10**6), "a written look must not change the other traits"


def test_the_same_seed_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    write_world(tmp_path, MiniParams(size=32))
    assert hashes(tmp_path) == hashes(source)


def test_another_seed_draws_another_world(source: Path, tmp_path: Path) -> None:
    write_world(tmp_path, MiniParams(size=32, seed=1))
    mine, theirs = hashes(tmp_path), hashes(source)
    changed = {name for name in theirs if mine[name] != theirs[name]}
    assert {"train/images_000.tar", "metadata/train.csv"} <= changed
    assert "metadata/train_label_to_category.csv" not in changed, "landmarks keep their ids"
    assert "responses-00000.jsonl.zst" not in changed


def test_the_folder_has_the_layout_of_gldv2(source: Path) -> None:
    columns = {
        "metadata/train.csv": "id,url,landmark_id",
        "metadata/train_clean.csv": "landmark_id,images",
        "metadata/train_attribution.csv": "id,url,author,license,title",
        "metadata/train_label_to_category.csv": "landmark_id,category",
        "metadata/index_label_to_category.csv": "landmark_id,category",
        "metadata/index.csv": "id",
        "metadata/test.csv": "id",
        "metadata/index_image_to_landmark.csv": "id,landmark_id",
        "ground_truth/retrieval_solution_v2.1.csv": "id,images,Usage",
        "ground_truth/recognition_solution_v2.1.csv": "id,landmarks,Usage",
    }
    for name, header in columns.items():
        assert (source / name).read_text(encoding="utf-8").split("\n")[0] == header
    rest = {f"{split}/images_000.tar" for split in ("train", "index", "test")}
    rest |= {f"md5sum/{split}/md5.images_000.txt" for split in ("train", "index", "test")}
    assert set(hashes(source)) == {*columns, *rest, "dataset.json", "responses-00000.jsonl.zst"}


def test_the_folder_is_verified_as_what_it_says_it_is(source: Path) -> None:
    findings = verify_folder(source)
    assert exit_code(findings) == 0, findings
    assert [f.path for f in findings if f.facts and f.facts["ids_in_no_tar"] == 0] == ["index", "test", "train"]


@pytest.mark.parametrize("split", ["train", "index", "test"])
def test_tars_hold_the_photos_the_csvs_list(source: Path, split: str) -> None:
    tar = source / split / "images_000.tar"
    placed = index_tar(tar).to_pylist()
    listed = read_csv(source / "metadata" / f"{split}.csv", ("id",), key=("id",))["id"].to_pylist()
    assert [row["id"] for row in placed] == sorted(listed)
    content = TarImages(source).read(f"{split}/images_000.tar", placed[0]["offset"], placed[0]["size"])
    assert content[:3] == b"\xff\xd8\xff"
    assert decode(content).size == (32, 32)
    digest = hashlib.md5(tar.read_bytes(), usedforsecurity=False).hexdigest()
    assert (source / "md5sum" / split / "md5.images_000.txt").read_text() == f"{digest}  images_000.tar\n"


def test_some_ids_look_like_numbers(source: Path) -> None:
    ids = {
        split: read_csv(source / "metadata" / f"{split}.csv", ("id",))["id"].to_pylist() for split in ("train", "index")
    }
    assert "1234567890123456" in ids["train"]
    assert "0000e12345678901" in ids["index"]


def test_ground_truth_scores_a_part_of_the_test_photos(source: Path) -> None:
    truth = source / "ground_truth"
    rows = read_csv(truth / "retrieval_solution_v2.1.csv", ("id", "images", "Usage")).to_pylist()
    usage = Counter(row["Usage"] for row in rows)
    assert set(usage) == {"Public", "Private", "Ignored"}
    assert usage["Private"] > usage["Public"] > 0
    shown = read_csv(source / "metadata" / "index_image_to_landmark.csv", ("id", "landmark_id"))
    landmark = dict(zip(shown["id"].to_pylist(), shown["landmark_id"].to_pylist(), strict=True))
    for row in rows:
        if row["Usage"] == "Ignored":
            assert row["images"] == "None"
        else:
            assert len({landmark[image] for image in row["images"].split()}) == 1


def test_clean_leaves_out_landmarks_and_photos(source: Path) -> None:
    train = read_csv(source / "metadata" / "train.csv", ("id", "landmark_id")).to_pylist()
    clean = read_csv(source / "metadata" / "train_clean.csv", ("landmark_id", "images")).to_pylist()
    pairs = {(row["landmark_id"], image) for row in clean for image in row["images"].split()}
    everything = {(row["landmark_id"], row["id"]) for row in train}
    assert pairs < everything
    assert len({landmark for landmark, _ in pairs}) < 84


def test_reasons_and_traps(mined: dict[str, pa.Table], world: World) -> None:
    reasons = Counter(mined["reasons"]["reason"].to_pylist())
    assert reasons == {"typed": 129, "missing-category": 1, "no-item": 1, "no-type": 1}
    rows = mined["types"].to_pylist()
    names = {(space, number): one.name for one in world.landmarks for space, number in one.ids.items()}
    of: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        of.setdefault(names[row["space"], row["landmark_id"]], []).append(row)
    assert of["Burj Khalifa"][0]["route"] == "category>redirect=Category:Burj Khalifa>pageprops=Q12495"
    assert of["Denali"][0]["route"] == "category>redirect=Category:Denali>pageprops=Q130018"
    assert str(of["Central Park"][0]["route"]).endswith(">P301=Q160409")
    assert [(row["type"], row["rank"]) for row in of["Hagia Sophia"]] == [("mosque", "preferred")]
    assert {row["type"]: row["ended"] for row in of["Alhambra"]} == {"palace": False, "fortress": True}
    assert [row["type"] for row in of["Tower Bridge"]] == ["bridge"]
    assert [row["type"] for row in of["Hassan II Mosque"]] == ["mosque"]
    assert [row["type"] for row in of["Gullfoss"]] == ["waterfall"]
    assert mined["cycles"]["cycle"].to_pylist() == ["Q2221906>Q618123>Q2221906"]


def test_mined_types_are_those_written_down(mined: dict[str, pa.Table], world: World) -> None:
    got: dict[tuple[str, str], set[str]] = {}
    for row in mined["types"].to_pylist():
        got.setdefault((row["space"], row["landmark_id"]), set()).add(row["type_id"])
    for landmark in world.landmarks:
        preferred = [claim for claim in landmark.claims if claim.remark == "preferred"]
        claims = preferred or [c for c in landmark.claims if c.remark != "deprecated" and c.value != "somevalue"]
        for place in landmark.ids.items():
            assert got.get(place, set()) == {claim.value for claim in claims}, landmark.name


def test_answers_have_the_form_of_the_real_ones(world: World) -> None:
    answers = Answers(world)
    query = {
        "action": "query",
        "prop": "info|pageprops|templates",
        "titles": "Category:Burj_Dubai|Category:Mount McKinley",
    }
    first = answers("commons", query)
    assert "batchcomplete" not in first
    assert first["query"]["normalized"][0]["to"] == "Category:Burj Dubai"
    assert first["query"]["redirects"] == [{"from": "Category:Mount McKinley", "to": "Category:Denali"}]
    second = answers("commons", {**query, **first["continue"]})
    assert second["batchcomplete"]
    assert second["query"]["pages"][0]["templates"] == [{"ns": 10, "title": "Template:Category redirect"}]
    entities = answers("wikidata", {"action": "wbgetentities", "ids": "Q12506|Q1"})["entities"]
    assert entities["Q1"] == {"id": "Q1", "missing": ""}
    ranks = [statement["rank"] for statement in entities["Q12506"]["claims"]["P31"]]
    assert ranks == ["preferred", "normal", "normal"]
    assert "P582" in entities["Q12506"]["claims"]["P31"][1]["qualifiers"]
    with pytest.raises(NotImplementedError, match="no answer"):
        answers("commons", {"action": "query", "prop": "images", "titles": "A"})


@pytest.mark.shared
def test_a_statement_has_the_keys_of_a_recorded_one(world: World, shared: Path) -> None:
    recorded = json.loads((shared / "data/wikidata/wptools/wikidata.json").read_text())["response"]["entities"]["Q42"]
    made = Answers(world)("wikidata", {"action": "wbgetentities", "ids": "Q12506"})["entities"]["Q12506"]
    assert set(made) <= set(recorded)
    assert {"claims", "labels", "lastrevid", "id"} <= set(made)
    theirs, ours = recorded["claims"]["P31"][0], made["claims"]["P31"][0]
    assert set(ours) == set(theirs) - {"references"}
    assert set(ours["mainsnak"]) == set(theirs["mainsnak"])
    assert set(ours["mainsnak"]["datavalue"]["value"]) == set(theirs["mainsnak"]["datavalue"]["value"])


def test_the_archive_holds_a_continued_answer(source: Path) -> None:
    with Archive(source) as archive:
        lines = list(archive)
    assert any("continue" in line["body"] for line in lines)
    assert any("tlcontinue" in line["request"]["params"] for line in lines)


def test_recording_twice_adds_nothing(world: World, source: Path, tmp_path: Path) -> None:
    record_answers(tmp_path, world)
    before = hashes(tmp_path)
    record_answers(tmp_path, world)
    assert hashes(tmp_path) == before


@pytest.mark.parametrize("wrong", [{"size": 31}, {"size": 1024}, {"seed": -1}])
def test_parameters_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="out of range"):
        MiniParams(**wrong)


def test_the_stage_reads_its_csvs() -> None:
    assert {path.name for path in STAGE.reads(MiniParams())} == {
        "landmarks.csv",
        "pages.csv",
        "types.csv",
        "subclasses.csv",
    }
    assert all(path.is_file() for path in STAGE.reads(MiniParams()))


@pytest.mark.slow
def test_the_release_is_built_and_nothing_is_left_beside_it(world: World, tmp_path: Path) -> None:
    build_release(tmp_path / "mini")
    release = open_release(tmp_path / "mini", verify=True)
    assert release.splits == ("train", "index", "query")
    assert list(tmp_path.iterdir()) == [tmp_path / "mini"]
    truth = {(space, number): one.label for one in world.landmarks for space, number in one.ids.items()}
    rows = pa.concat_tables([pq.read_table(path) for path, _ in release.shards(None)]).to_pylist()
    for row in rows:
        assert row["hierarchical_label"] == truth[row["space"], row["landmark_id"]]
        assert Image.open(io.BytesIO(row["image"])).size == (64, 64)
