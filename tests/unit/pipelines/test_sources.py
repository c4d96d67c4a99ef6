from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from hierlandmarks import schema
from hierlandmarks.errors import CorruptInputError, HierlandmarksError, MissingDataError, TableError
from hierlandmarks.images import TarImages, decode
from hierlandmarks.tables import conform
from hierlandmarks_pipelines.layout import write_pictures
from hierlandmarks_pipelines.photolist import PhotoList, clean_name
from hierlandmarks_pipelines.sources import METADATA, PHOTOS, MetadataParams, read_metadata, read_photo_list

A, B, C, D = "000000000000000a", "1234567890123456", "0000e12345678901", "00000000000000dd"  # B and C parse as numbers
I1, I2, I3, I4 = "1111111111111111", "2222222222222222", "3333333333333333", "44444444444444ff"
RETRIEVAL = "ground_truth/retrieval_solution_v2.1.csv"
Q1, Q2, Q3 = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"

FILES = {
    "metadata/train.csv": f"id,url,landmark_id\n{A},http://x/a.jpg,0\n{B},http://x/b.jpg,0\n{C},http://x/c.jpg,7\n",
    "metadata/train_attribution.csv": f'id,url,author,license,title\n{B},u,"Doe, J.",by,"A ""b"", c"\n',
    "metadata/train_clean.csv": f"landmark_id,images\n0,{B} {A}\n",
    "metadata/train_label_to_category.csv": "landmark_id,category\n"
    "0,http://commons.wikimedia.org/wiki/Category:Isa_Khan_Niyazi's_tomb\n"
    '7,"https://commons.wikimedia.org/wiki/Category:Scarp,_S%C3%BCd_(1924)"\n',
    "metadata/index_label_to_category.csv": "landmark_id,category\n"
    "0,http://commons.wikimedia.org/wiki/Category:Ueno_Park\n3,http://commons.wikimedia.org/wiki/Category:K2\n",
    "metadata/index.csv": f"id\n{I1}\n{I2}\n{I3}\n{I4}\n",
    "metadata/index_image_to_landmark.csv": f"id,landmark_id\n{I1},0\n{I2},3\n{I3},3\n",
    "metadata/test.csv": f"id\n{Q1}\n{Q2}\n{Q3}\n",
    RETRIEVAL: f"id,images,Usage\n{Q1},{I1} {I2} {I3},Public\n{Q2},None,Ignored\n{Q3},{I1} {I2},Private\n",
}


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, FILES)


def images(root: Path, **settings: str) -> dict[str, dict[str, object]]:
    return {row["id"]: row for row in read_metadata(root, **settings)["images"].to_pylist()}


def test_landmarks_of_both_spaces_with_names_from_their_addresses(root: Path) -> None:
    rows = read_metadata(root)["categories"].to_pylist()
    assert [(row["space"], row["landmark_id"], row["name"]) for row in rows] == [
        ("index", "0", "Ueno Park"),
        ("index", "3", "K2"),
        ("train", "0", "Isa Khan Niyazi's tomb"),
        ("train", "7", "Scarp, Süd (1924)"),
    ]
    assert rows[3]["category"] == "https://commons.wikimedia.org/wiki/Category:Scarp,_S%C3%BCd_(1924)"


def test_splits_spaces_and_ids_as_written(root: Path) -> None:
    rows = images(root)
    assert {i: (row["split"], row["space"], row["landmark_id"]) for i, row in rows.items()} == {
        A: ("train", "train", "0"),
        B: ("train", "train", "0"),
        C: ("train", "train", "7"),
        I1: ("index", "index", "0"),
        I2: ("index", "index", "3"),
        I3: ("index", "index", "3"),
        I4: ("index", "index", ""),  # named by nothing: a distractor
        Q1: ("query", "index", "3"),  # two of its three positives
        Q3: ("query", "index", "0"),  # a tie: the smaller id
    }


def test_tables_conform(root: Path) -> None:
    for name, table in read_metadata(root).items():
        assert table.schema.equals(schema.TABLES[name].schema)
        assert conform(table, schema.TABLES[name], name).equals(table)


def test_a_tie_is_broken_by_number_not_by_text(root: Path) -> None:
    write(
        root,
        {
            "metadata/index_label_to_category.csv": "landmark_id,category\n10,a\n9,b\n",
            "metadata/index_image_to_landmark.csv": f"id,landmark_id\n{I1},10\n{I2},9\n",
        },
    )
    assert images(root)[Q3]["landmark_id"] == "9"


def test_a_query_whose_positives_show_no_landmark_has_none(root: Path) -> None:
    truth = f"id,images,Usage\n{Q1},{I4},Public\n"
    write(root, {RETRIEVAL: truth})
    assert images(root)[Q1]["landmark_id"] == ""


def test_attribution_is_joined_by_id_and_may_be_absent(root: Path) -> None:
    rows = images(root)
    assert (rows[B]["author"], rows[B]["license"], rows[B]["title"]) == ("Doe, J.", "by", 'A "b", c')
    assert (rows[A]["author"], rows[A]["url"]) == ("", "http://x/a.jpg")
    (root / "metadata/train_attribution.csv").unlink()
    assert images(root)[B]["author"] == ""


def test_clean_only_takes_the_clean_part_as_train(root: Path) -> None:
    rows = images(root, clean="only")
    assert {i for i, row in rows.items() if row["split"] == "train"} == {A, B}
    assert rows[B]["author"] == "Doe, J."


def test_byte_order_marks_and_windows_line_ends_change_nothing(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("bom")
    write(other, {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in FILES.items()})
    ours, theirs = read_metadata(root), read_metadata(other)
    assert all(ours[name].equals(theirs[name]) for name in ours)


def test_nothing_becomes_a_number_or_a_nan(root: Path) -> None:
    write(
        root,
        {"metadata/train_attribution.csv": f"id,url,author,license,title\n{B},u,NA,null,1e5\n{C},u,nan,007,None\n"},
    )
    found = images(root)
    assert [found[B][name] for name in ("author", "license", "title")] == ["NA", "null", "1e5"]
    assert [found[C][name] for name in ("author", "license", "title")] == ["nan", "007", "None"]


def test_a_landmark_without_a_category_stays(root: Path) -> None:
    path = root / "metadata/index_label_to_category.csv"
    path.write_text("landmark_id,category\n0,\n3,http://commons.wikimedia.org/wiki/Category:K2\n")
    rows = read_metadata(root)["categories"].to_pylist()
    assert rows[0] == {"space": "index", "landmark_id": "0", "category": "", "name": ""}


def test_hierarchical_files_serve_where_the_category_files_are_absent(root: Path) -> None:
    path = root / "metadata/index_label_to_category.csv"
    rows = path.read_text().splitlines()
    path.unlink()
    lines = ["landmark_id,category,supercategory,hierarchical_label,natural_or_human_made"]
    lines += [f"{rows[1]},bay,ocean area ,natural", f"{rows[2]},,,"]
    path.with_name("index_label_to_hierarchical.csv").write_text("\n".join(lines) + "\n")
    assert [row["name"] for row in read_metadata(root)["categories"].to_pylist()][:2] == ["Ueno Park", "K2"]


def jpeg(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def test_places_in_tars(root: Path) -> None:
    write_pictures(root, "train", [(A, jpeg("red")), (D, jpeg("blue"))])  # D is in no CSV
    write_pictures(root, "test", [(Q1, jpeg("green"))])
    rows = images(root)
    assert rows[A]["file"] == "train/images_000.tar"
    assert rows[Q1]["file"] == "test/images_000.tar"
    assert (rows[B]["file"], rows[B]["offset"], rows[B]["size"]) == ("", None, None)
    assert D not in rows
    for image_id, colour in ((A, (254, 0, 0)), (Q1, (0, 128, 1))):
        row = rows[image_id]
        picture = decode(TarImages(root).read(str(row["file"]), int(str(row["offset"])), int(str(row["size"]))))
        assert picture.size == (8, 6)
        assert max(abs(p - q) for p, q in zip(picture.getpixel((4, 3)), colour, strict=True)) < 6


BAD: dict[str, tuple[str, Callable[[str], str], str]] = {
    "a missing column": (
        "metadata/train.csv",
        lambda s: s.replace("landmark_id", "landmark"),
        r"train\.csv lacks the column landmark_id",
    ),
    "an empty file": ("metadata/index.csv", lambda s: "", r"index\.csv is empty"),
    "no rows": ("metadata/test.csv", lambda s: "id\n", r"test\.csv has a header and no rows"),
    "a repeated image": (
        "metadata/train.csv",
        lambda s: s + s.split("\n")[1] + "\n",
        r"train\.csv row 5: id '000000000000000a' is repeated",
    ),
    "a repeated landmark": (
        "metadata/train_label_to_category.csv",
        lambda s: s + "7,http://commons.wikimedia.org/wiki/Category:K2\n",
        r"train_label_to_category\.csv row 4: landmark_id '7' is repeated",
    ),
    "an id that lost its zeros": (
        "metadata/train.csv",
        lambda s: s.replace(C, "1e+16"),
        r"train\.csv row 4: id is wrong; got '1e\+16', expected 16 hex digits: read",
    ),
    "an id in capitals": ("metadata/index.csv", lambda s: s.replace(I4, I4.upper()), r"index\.csv row 5: id is wrong"),
    "a test id that is none": (
        "metadata/test.csv",
        lambda s: s.replace(Q2, "1234"),
        r"test\.csv row 3: id is wrong; got '1234'",
    ),
    "a landmark id with a fraction": (
        "metadata/index_label_to_category.csv",
        lambda s: s.replace("\n3,", "\n3.0,"),
        r"row 3: landmark_id is wrong; got '3\.0', expected a whole number",
    ),
    "train ids in the index files": (
        "metadata/index_image_to_landmark.csv",
        lambda s: s.replace(f"{I2},3", f"{I2},7"),
        r"index_image_to_landmark\.csv row 3: there is no index landmark 7; got an id of the other space",
    ),
    "index ids in the train file": (
        "metadata/train.csv",
        lambda s: s.replace(".jpg,7", ".jpg,3"),
        r"train\.csv row 4: there is no train landmark 3; got an id of the other space",
    ),
    "an unknown landmark": (
        "metadata/train.csv",
        lambda s: s.replace(".jpg,7", ".jpg,99"),
        r"there is no train landmark 99; expected",
    ),
    "a landmark of an unknown image": (
        "metadata/index_image_to_landmark.csv",
        lambda s: s + f"{A},0\n",
        r"index_image_to_landmark\.csv row 5: id is wrong",
    ),
    "an unknown query": (RETRIEVAL, lambda s: s.replace(Q3, A), r"retrieval_solution_v2\.1\.csv row 4: id is wrong"),
    "an unknown usage": (RETRIEVAL, lambda s: s.replace("Private", "private"), r"row 4: Usage is wrong; got 'private'"),
    "a positive nobody has": (
        RETRIEVAL,
        lambda s: s.replace(f"{I1} {I2},P", f"{I1} {A},P"),
        r"row 4: images is wrong; got '000000000000000a'",
    ),
    "a scored query without positives": (
        RETRIEVAL,
        lambda s: s.replace("None,Ignored", "None,Public"),
        r"row 3: images is wrong; got 'None'",
    ),
    "nothing scored": (
        RETRIEVAL,
        lambda s: s.replace("Public", "Ignored").replace("Private", "Ignored"),
        r"scores no image",
    ),
    "bytes that are no UTF-8": ("metadata/train.csv", lambda s: s.replace("http://x/a.jpg", "\udcff"), r"train\.csv"),
    "a ragged row": (
        "metadata/train.csv",
        lambda s: s.replace("http://x/b.jpg,", ""),
        r"train\.csv row 3 has the wrong number of cells",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_sentence(root: Path, case: str) -> None:
    name, spoil, message = BAD[case]
    (root / name).write_bytes(spoil(FILES[name]).encode("utf-8", "surrogateescape"))
    with pytest.raises(TableError, match=message) as refused:
        read_metadata(root)
    assert refused.value.exit_code == 3
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("clean", "message"),
    [
        (f"landmark_id,images\n7,{C}\n0,{C}\n", r"train_clean\.csv row 3: images is wrong; got '0000e12345678901'"),
        (f"landmark_id,images\n0,{A} {I1}\n", r"train_clean\.csv row 2: images is wrong; got '1111111111111111'"),
        (f"landmark_id,images\n0,{A} {A}\n", r"train_clean\.csv row 2: images '000000000000000a' is repeated"),
    ],
)
def test_a_clean_list_of_another_version_is_refused(root: Path, clean: str, message: str) -> None:
    write(root, {"metadata/train_clean.csv": clean})
    with pytest.raises(TableError, match=message):
        read_metadata(root, clean="only")


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="no folder metadata"):
        read_metadata(tmp_path / "nowhere")
    for name in (
        "metadata/train_label_to_category.csv",
        "metadata/test.csv",
        RETRIEVAL,
    ):
        content = (root / name).read_bytes()
        (root / name).unlink()
        with pytest.raises(MissingDataError, match=Path(name).name.replace(".", r"\.")):
            read_metadata(root)
        (root / name).write_bytes(content)


def test_a_damaged_tar_is_refused(root: Path) -> None:
    write_pictures(root, "train", [(A, jpeg("red")), (B, jpeg("blue"))])
    tar = root / "train/images_000.tar"
    tar.write_bytes(tar.read_bytes()[:1400])
    with pytest.raises(CorruptInputError, match="images_000"):
        read_metadata(root)


def test_the_stage_takes_the_source_of_the_run_or_a_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_run = METADATA.run(MetadataParams(), {"source": root}, {})
    from_folder = METADATA.run(MetadataParams(root=root), {}, {})
    assert from_run["images"].equals(from_folder["images"])
    monkeypatch.setenv("HIERLANDMARKS_HOME", str(root / "home"))
    with pytest.raises(MissingDataError, match="gldv2 has no folder metadata"):
        METADATA.run(MetadataParams(), {}, {})


def test_the_stage_depends_on_the_csvs_and_on_the_tars(root: Path) -> None:
    read = {path.relative_to(root).as_posix() for path in METADATA.reads(MetadataParams(root=root))}
    assert read == {"metadata", "ground_truth", "train", "index", "test"}


# -- photos --

LANDMARKS = (
    "landmark_id,name,supercategory,location,latitude,longitude,category\n"
    "5,K2,mountain,x,1,2,http://commons.wikimedia.org/wiki/Category:K2\n"
    "6,Hall,county hall (,x,1,2,http://commons.wikimedia.org/wiki/Category:Hall\n"
    "7,Rock,,x,1,2,http://commons.wikimedia.org/wiki/Category:Rock\n"
    '8,"Zodiac (ship, 1924)",Wikimedia category,x,1,2,http://commons.wikimedia.org/wiki/Category:Zodiac\n'
)
LIST = f"landmark_id,image_id,url,name\n6,{B},https://x.org/d/d4/B_at_%28a%29.jpg,Hall\n5,{A},https://x.org/A.jpg,K2\n"


@pytest.fixture
def listed(tmp_path: Path) -> PhotoList:
    folder = tmp_path / "list"
    write(folder, {"washington_landmarks.csv": LANDMARKS, "washington_photos.csv": LIST})
    write(folder / "photos", {f"{A}.jpg": jpeg("red"), f"{B}.jpg": jpeg("blue")})
    return PhotoList(folder)


def test_a_photo_list_becomes_tables_and_a_source(listed: PhotoList, tmp_path: Path) -> None:
    tables = read_photo_list(listed, tmp_path / "source")
    assert set(tables) == {name for name in PHOTOS.makes if name in schema.TABLES}
    for name, table in tables.items():
        assert conform(table, schema.TABLES[name], name).equals(table), name
    rows = tables["images"].to_pylist()
    assert [(row["id"], row["split"], row["space"], row["landmark_id"]) for row in rows] == [
        (A, "train", "train", "5"),
        (B, "train", "train", "6"),
    ]
    assert rows[1]["title"] == "B at (a).jpg"
    content = TarImages(tmp_path / "source").read(rows[1]["file"], rows[1]["offset"], rows[1]["size"])
    assert content == (listed.folder / "photos" / f"{B}.jpg").read_bytes()


def test_types_by_name_and_reasons(listed: PhotoList, tmp_path: Path) -> None:
    tables = read_photo_list(listed, tmp_path / "source")
    types = tables["types"].to_pylist()
    assert [(row["landmark_id"], row["type_id"], row["type"]) for row in types] == [
        ("5", "hl:mountain", "mountain"),
        ("6", "hl:county-hall", "county hall"),
    ]
    assert types[0]["title"] == "Category:K2"
    assert {row["landmark_id"]: row["reason"] for row in tables["reasons"].to_pylist()} == {
        "5": "typed",
        "6": "typed",
        "7": "no-type",
        "8": "category-item-without-topic",
    }
    assert tables["subclasses"].num_rows == 0


def test_the_source_it_writes_is_gldv2s(listed: PhotoList, tmp_path: Path) -> None:
    source = tmp_path / "source"
    read_photo_list(listed, source)
    assert (source / "metadata/train.csv").read_text().splitlines()[1] == f"{A},https://x.org/A.jpg,5"
    assert len((source / "metadata/train_label_to_category.csv").read_text().splitlines()) == 5
    assert (source / "md5sum/train/md5.images_000.txt").is_file()


def test_the_same_list_gives_the_same_bytes(listed: PhotoList, tmp_path: Path) -> None:
    tars = []
    for name in ("one", "two"):
        read_photo_list(listed, tmp_path / name)
        tars.append((tmp_path / name / "train/images_000.tar").read_bytes())
    assert tars[0] == tars[1]


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("county hall (", "county hall"),
        (" lake ", "lake"),
        ("library building (UW Libraries)", "library building (UW Libraries)"),
        ("fort (1870) (", "fort (1870)"),
        ("", ""),
    ],
)
def test_names_are_cleaned_of_what_was_cut_off(name: str, clean: str) -> None:
    assert clean_name(name) == clean


BAD_LISTS: dict[str, tuple[str, str | bytes | None, type[HierlandmarksError], str]] = {
    "no landmarks": (
        "washington_landmarks.csv",
        None,
        MissingDataError,
        r"washington_landmarks\.csv does not exist.*data folder.*Commons",
    ),
    "no photos": (
        "washington_photos.csv",
        None,
        MissingDataError,
        r"washington_photos\.csv does not exist.*data folder",
    ),
    "a missing photo": (f"photos/{A}.jpg", None, MissingDataError, rf"{A}\.jpg does not exist"),
    "an empty photo": (f"photos/{A}.jpg", b"", CorruptInputError, rf"{A}\.jpg is empty"),
    "no types": (
        "washington_landmarks.csv",
        LANDMARKS.replace("supercategory", "kind"),
        TableError,
        "lacks the column supercategory",
    ),
    "a landmark twice": (
        "washington_landmarks.csv",
        LANDMARKS + LANDMARKS.splitlines()[1] + "\n",
        TableError,
        "row 6: landmark_id '5' is repeated",
    ),
    "a photo twice": (
        "washington_photos.csv",
        LIST + LIST.splitlines()[1] + "\n",
        TableError,
        "row 4: image_id '1234567890123456' is repeated",
    ),
    "a photo of nothing": (
        "washington_photos.csv",
        LIST.replace("\n5,", "\n55,"),
        TableError,
        r"washington_photos\.csv row 3: there is no train landmark 55",
    ),
    "a photo outside the folder": (
        "washington_photos.csv",
        LIST.replace(A, "../../etc/passwd"),
        TableError,
        "row 3: image_id is wrong",
    ),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_bad_list_is_refused_in_one_sentence(listed: PhotoList, tmp_path: Path, case: str) -> None:
    name, content, error, message = BAD_LISTS[case]
    path = listed.folder / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=message):
        read_photo_list(listed, tmp_path / "source")


def test_the_photos_stage(listed: PhotoList, tmp_path: Path) -> None:
    tables = PHOTOS.run(listed, {}, {"source": tmp_path / "source"})
    assert tables["images"].num_rows == 2
    assert [path.name for path in PHOTOS.reads(listed)] == [
        "washington_landmarks.csv",
        "washington_photos.csv",
        "photos",
    ]


@pytest.mark.shared
def test_washington(shared: Path, tmp_path: Path) -> None:
    tables = read_photo_list(PhotoList(shared / "data" / "gldv2"), tmp_path)
    counts = {name: table.num_rows for name, table in tables.items()}
    assert counts == {"categories": 515, "images": 2800, "types": 512, "reasons": 515, "subclasses": 0}
    reasons = Counter(tables["reasons"]["reason"].to_pylist())
    assert reasons == {"typed": 512, "no-type": 2, "category-item-without-topic": 1}
    names = dict(zip(tables["types"]["type_id"].to_pylist(), tables["types"]["type"].to_pylist(), strict=True))
    assert names["hl:county-hall"] == "county hall"
    assert not any(name != name.strip() or name.endswith("(") for name in names.values())
    row = tables["images"].to_pylist()[1234]
    assert decode(TarImages(tmp_path).read(row["file"], row["offset"], row["size"])).size == (224, 224)
    assert isinstance(tables["images"]["offset"].type, pa.DataType)
    assert tables["images"]["offset"].null_count == 0


@pytest.mark.shared
def test_real_categories_all_have_names(shared: Path, root: Path) -> None:
    real = (shared / "data" / "gldv2" / "train_label_sample.csv").read_bytes()
    (root / "metadata/train_label_to_category.csv").write_bytes(real)
    first = real.splitlines()[1].split(b",")[0].decode()
    train = FILES["metadata/train.csv"].replace(".jpg,0", f".jpg,{first}").replace(".jpg,7", f".jpg,{first}")
    write(root, {"metadata/train.csv": train})
    rows = [row for row in read_metadata(root)["categories"].to_pylist() if row["space"] == "train"]
    assert len(rows) == 6102
    assert all(
        row["name"] and "_" not in row["name"] and "%" not in row["name"][:-1] for row in rows if row["category"]
    )
