from __future__ import annotations

import io
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hierlandmarks.errors import CorruptInputError, MissingDataError
from hierlandmarks.images import TarImages, decode, index_tar
from hierlandmarks.tarheaders import read_members


def picture(colour: tuple[int, int, int] = (200, 30, 90), size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def member(name: str, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def write_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def pictures() -> dict[str, bytes]:
    return {f"{number:016x}": picture((number * 9 % 256, 40, 200)) for number in (7, 3, 250, 11)}


@pytest.fixture
def tar(tmp_path: Path, pictures: dict[str, bytes]) -> Path:
    folder = (member("0", type=tarfile.DIRTYPE), b"")
    return write_tar(
        tmp_path / "images_000.tar", [folder, *((member(f"0/0/0/{i}.jpg"), b) for i, b in pictures.items())]
    )


def test_every_picture_is_found_where_it_lies(tar: Path, pictures: dict[str, bytes]) -> None:
    index = index_tar(tar)
    assert index["id"].to_pylist() == sorted(pictures)
    images = TarImages(tar.parent)
    for row in index.to_pylist():
        assert images.read(tar.name, row["offset"], row["size"]) == pictures[row["id"]]


def test_long_member_names_move_no_offset(tmp_path: Path) -> None:
    name = "x" * 150 + "/0000000000000001.jpg"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w:", format=form) as tar:
            info = member(name, size=5)
            tar.addfile(info, io.BytesIO(b"bytes"))
        (row,) = index_tar(path).to_pylist()
        assert TarImages(tmp_path).read(path.name, row["offset"], row["size"]) == b"bytes"


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (member("../0000000000000001.jpg"), "leaves the folder"),
        (member("/0000000000000001.jpg"), "leaves the folder"),
        (member("a/0000000000000001.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "no plain file"),
        (member("a/0000000000000001.jpg", type=tarfile.LNKTYPE, linkname="other"), "no plain file"),
        (member("a/0000000000000001.jpg", type=tarfile.FIFOTYPE), "no plain file"),
        (member("a/0000000000000001.jpg", type=tarfile.CHRTYPE), "no plain file"),
        (member("a/0000000000000001.jpg", type=tarfile.BLKTYPE), "no plain file"),
        (member("a/../../0000000000000001.jpg"), "leaves the folder"),
        (member("a/readme.txt"), "no GLDv2 image"),
        (member("a/123.jpg"), "no GLDv2 image"),
    ],
)
def test_unsafe_and_foreign_members_are_refused(tmp_path: Path, info: tarfile.TarInfo, words: str) -> None:
    path = write_tar(tmp_path / "bad.tar", [(info, b"")])
    with pytest.raises(CorruptInputError, match=words) as caught:
        index_tar(path)
    assert info.name in str(caught.value)


def test_a_repeated_member_is_refused(tmp_path: Path) -> None:
    twice = [(member("a/0000000000000001.jpg"), b"1"), (member("b/0000000000000001.jpg"), b"2")]
    with pytest.raises(CorruptInputError, match="twice"):
        index_tar(write_tar(tmp_path / "bad.tar", twice))


@pytest.mark.parametrize("keep", [0, 700, 1024, 2000])
def test_a_cut_tar_is_refused(tar: Path, keep: int) -> None:
    tar.write_bytes(tar.read_bytes()[:keep])
    with pytest.raises(CorruptInputError):
        index_tar(tar)


def test_a_spoilt_header_in_the_middle_is_refused(tar: Path) -> None:
    second = index_tar(tar).sort_by("offset")["offset"][1].as_py()
    content = bytearray(tar.read_bytes())
    content[second - 512 : second - 412] = b"#" * 100  # the name: its checksum no longer fits
    tar.write_bytes(content)
    with pytest.raises(CorruptInputError, match="spoilt"):
        index_tar(tar)


def test_a_compressed_tar_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "images.tar", [(member("a/0000000000000001.jpg"), b"1")], "w:gz")
    with pytest.raises(CorruptInputError, match="no readable tar"):
        index_tar(path)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no\.tar"):
        index_tar(tmp_path / "no.tar")
    with pytest.raises(MissingDataError, match=r"no\.tar"):
        TarImages(tmp_path).read("no.tar", 0, 1)


def test_a_read_past_the_end_is_refused(tar: Path) -> None:
    with pytest.raises(CorruptInputError, match="ends within"):
        TarImages(tar.parent).read(tar.name, 0, 10**7)


@pytest.mark.parametrize("file", ["", "/etc/passwd", "../secret.jpg", "a/../../secret.jpg"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, file: str) -> None:
    with pytest.raises(CorruptInputError, match="no path within"):
        TarImages(tmp_path).read(file, 0, 1)


def test_plain_pictures_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.jpg").write_bytes(b"picture")
    assert TarImages(tmp_path).read("a/x.jpg") == b"picture"


def test_threads_share_one_reader(tar: Path, pictures: dict[str, bytes]) -> None:
    images, rows = TarImages(tar.parent), index_tar(tar).to_pylist() * 200
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda row: images.read(tar.name, row["offset"], row["size"]), rows))
    assert read == [pictures[row["id"]] for row in rows]


def test_a_forked_process_reads_on(tar: Path, pictures: dict[str, bytes]) -> None:
    images, rows = TarImages(tar.parent), index_tar(tar).to_pylist()
    read = [images.read(tar.name, row["offset"], row["size"]) for row in rows]
    with get_context("fork").Pool(2) as pool:
        forked = pool.starmap(images.read, [(tar.name, row["offset"], row["size"]) for row in rows] * 20)
    assert forked == read * 20 == [pictures[row["id"]] for row in rows] * 20


def test_headers_are_read_as_tarfile_reads_them(tmp_path: Path) -> None:
    content = {f"{number:016x}": b"x" * number for number in (0, 1, 511, 512, 513, 70_000)}
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w:", format=form) as made:
            made.addfile(member("0", type=tarfile.DIRTYPE, mode=0o755))
            for place, (image_id, bytes_) in enumerate(content.items()):
                info = member(
                    f"{'' if place % 2 else './'}0/0/0/{image_id}.jpg", size=len(bytes_), uid=10**6, gname="é"
                )
                info.mtime = 1e9 + 0.5 * (place == 3)  # a fraction needs an extension in one of the forms
                made.addfile(info, io.BytesIO(bytes_))
        with tarfile.open(path, "r:") as twin:
            expected = [(m.name, m.offset_data, m.size) for m in twin]
        assert [(m.name, m.offset, m.size) for m in read_members(path)] == expected
        assert {row["id"]: row["size"] for row in index_tar(path).to_pylist()} == {
            i: len(b) for i, b in content.items()
        }


def test_a_reader_pickles_and_opens_again(tar: Path, pictures: dict[str, bytes]) -> None:
    images, row = TarImages(tar.parent), index_tar(tar).to_pylist()[0]
    images.read(tar.name, row["offset"], row["size"])
    copy = pickle.loads(pickle.dumps(images))
    images.close()
    for reader in (copy, images):
        assert reader.read(tar.name, row["offset"], row["size"]) == pictures[row["id"]]


# -- pixels --


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def test_grey_cmyk_and_palette_become_rgb() -> None:
    red = Image.new("RGB", (16, 16), (250, 10, 10))
    assert decode(encode(Image.new("L", (4, 4), 77), "PNG")).getpixel((0, 0)) == (77, 77, 77)
    assert decode(encode(red.convert("P"), "PNG")).mode == "RGB"
    cmyk = decode(encode(red.convert("CMYK"), "JPEG", quality=95))
    assert cmyk.mode == "RGB"
    assert np.abs(np.asarray(cmyk, int) - np.asarray(red, int)).max() < 12


def test_sixteen_bits_keep_their_upper_eight() -> None:
    grey = Image.fromarray(np.array([[0, 255, 256, 0x7FFF, 0x80AB, 0xFFFF]], dtype=np.uint16))
    assert np.asarray(decode(encode(grey, "PNG")))[0, :, 0].tolist() == [0, 0, 1, 0x7F, 0x80, 0xFF]


def test_transparent_parts_become_white() -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (9, 8, 7, 255))
    assert np.asarray(decode(encode(image, "PNG"))).tolist() == [[[255, 255, 255], [9, 8, 7]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int) -> None:
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :16] = 255  # bright at the upper left
    # What a camera stores for each orientation: the inverse of what a viewer does.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(Image.fromarray(np.ascontiguousarray(stored)), "JPEG", quality=95, exif=exif)
    assert np.abs(np.asarray(decode(content), int) - upright).max() < 30


@pytest.mark.parametrize("content", [b"", b"no picture", picture((1, 2, 3), (300, 200))[:600]])
def test_broken_pictures_are_refused(content: bytes) -> None:
    with pytest.raises(CorruptInputError, match="cannot be decoded"):
        decode(content)


@pytest.mark.shared
def test_real_photos_come_out_of_a_tar_whole(shared: Path, tmp_path: Path) -> None:
    photos = sorted((shared / "data/gldv2/photos").glob("*.jpg"))[:200]
    path = tmp_path / "images_000.tar"
    with tarfile.open(path, "w:") as tar:
        for photo in photos:
            tar.add(photo, "/".join([*photo.stem[:3], photo.name]))
    images = TarImages(tmp_path)
    for row, photo in zip(index_tar(path).to_pylist(), photos, strict=True):
        content = images.read(path.name, row["offset"], row["size"])
        assert content == photo.read_bytes()
        assert decode(content).mode == "RGB"
