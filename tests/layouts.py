"""Tiny imitations of the folders of public sets: a colour a class, eight pixels a side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 8
TAXONOMY = {  # category: species, genus, family, order, class, phylum, kingdom
    0: ("Morus bassanus", "Morus", "Sulidae", "Suliformes", "Aves", "Chordata", "Animalia"),
    1: ("Sula sula", "Sula", "Sulidae", "Suliformes", "Aves", "Chordata", "Animalia"),
    2: ("Morus alba", "Morus", "Moraceae", "Rosales", "Magnoliopsida", "Tracheophyta", "Plantae"),
    3: ("Ficus carica", "Ficus", "Moraceae", "Rosales", "Magnoliopsida", "Tracheophyta", "Plantae"),
    4: ("Larus canus", "Larus", "Laridae", "Charadriiformes", "Aves", "Chordata", "Animalia"),
    5: ("Larus fuscus", "Larus", "Laridae", "Charadriiformes", "Aves", "Chordata", "Animalia"),
    6: ("Rosa canina", "Rosa", "Rosaceae", "Rosales", "Magnoliopsida", "Tracheophyta", "Plantae"),
    7: ("Rosa rugosa", "Rosa", "Rosaceae", "Rosales", "Magnoliopsida", "Tracheophyta", "Plantae"),
}


def draw(path: Path, label: int, number: int) -> None:
    """A square of the class's colour with noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([label, number])
    colour = np.random.default_rng(label).integers(40, 216, 3)
    pixels = colour + rng.integers(-20, 20, (SIDE, SIDE, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, "JPEG")


def inat18(folder: Path, *, split_lists: bool = True) -> None:
    """iNaturalist 2018: categories 0 to 3 to train, 4 to 7 to test; without lists all in both."""
    ranks = ("name", "genus", "family", "order", "class", "phylum", "kingdom")
    categories = [{"id": i, **dict(zip(ranks, names, strict=True))} for i, names in TAXONOMY.items()]
    listed = {"train": [c for c in TAXONOMY if c < 4 or not split_lists], "test": [c for c in TAXONOMY if c >= 4]}
    for split, name in (("train", "train2018.json"), ("test", "val2018.json")):
        images, notes, lines = [], [], []
        for category in listed[split]:
            for number in range(3):
                kingdom = TAXONOMY[category][-1]
                path = f"train_val2018/{kingdom}/{category}/{split}{number}.jpg"
                draw(folder / path, category, number + 10 * (split == "test"))
                images.append({"id": len(images), "file_name": path})
                notes.append({"id": len(notes), "image_id": len(images) - 1, "category_id": category})
                lines.append(path)
        content = {"images": images, "annotations": notes, "categories": categories}
        (folder / name).write_text(json.dumps(content))
        if split_lists:
            lists = folder / "Inat_dataset_splits"
            lists.mkdir(exist_ok=True)
            (lists / f"Inaturalist_{split}_set1.txt").write_text("\n".join(lines) + "\n")


def sop(folder: Path) -> None:
    """Stanford Online Products: four products to train, four others to test, in two categories."""
    number = 0
    for split, products in (("train", range(1, 5)), ("test", range(5, 9))):
        lines = ["image_id class_id super_class_id path"]
        for product in products:
            category = ("bicycle", "mug")[product % 2]
            for view in range(3):
                number += 1
                path = f"{category}_final/{product}_{view}.JPG"
                draw(folder / path, product, view)
                lines.append(f"{number} {product} {1 + product % 2} {path}")
        (folder / f"Ebay_{split}.txt").write_text("\n".join(lines) + "\n")


def cub(folder: Path) -> None:
    """CUB-200-2011: a few classes of either half, among them a gull and the kittiwake."""
    classes = {1: "Black_footed_Albatross", 59: "California_Gull", 84: "Red_legged_Kittiwake", 79: "Belted_Kingfisher"}
    classes |= {141: "Artic_Tern", 142: "Black_Tern", 187: "American_Three_toed_Woodpecker", 193: "Bewick_Wren"}
    names = {number: f"{number:03d}.{name}" for number, name in classes.items()}
    images, labels = [], []
    for number, name in names.items():
        for view in range(3):
            images.append(f"{len(images) + 1} {name}/{name[4:]}_{view}.jpg")
            labels.append(f"{len(labels) + 1} {number}")
            draw(folder / "images" / images[-1].split()[1], number, view)
    (folder / "images.txt").write_text("\n".join(images) + "\n")
    (folder / "image_class_labels.txt").write_text("\n".join(labels) + "\n")
    (folder / "classes.txt").write_text("\n".join(f"{number} {name}" for number, name in names.items()) + "\n")


def dyml(folder: Path) -> None:
    """DyML's training part: four fine classes; the header runs into the first row, as published."""
    _labels(folder / "train", range(4))
    for level, classes in (("fine", 4), ("middle", 3), ("coarse", 2)):
        for side in ("query", "gallery"):
            rows = [(label, view) for label in range(classes) for view in range(2)]
            for label, view in rows:
                draw(folder / f"bmk_{level}" / side / f"{label}{view}.jpg", label, view + 5 * (side == "query"))
            text = "\n".join(f"{label}{view}.jpg, {label}" for label, view in rows)
            (folder / f"bmk_{level}" / f"{side}.csv").write_text(f"fname, labels{text}\n")


def dyml_product(folder: Path) -> None:
    """DyML-Product: training and test part, all levels at once; a header on its own line."""
    _labels(folder / "train", range(4))
    _labels(folder / "mini-bmk_all_in_one", range(4, 8), break_line="\n")


def gldv2(folder: Path) -> None:
    """Google Landmarks v2: four landmarks of two labels to train, three others in index and test; one has no label."""
    from hierlandmarks_pipelines.layout import write_pictures, write_rows

    kinds = {"church": "human-made", "lake": "natural", "": ""}
    spaces = {"train": ["church", "church", "lake", "lake", ""], "index": ["church", "lake", "lake"]}
    ids: dict[str, list[tuple[str, int]]] = {
        split: [(f"{start + 16 * landmark + view:016x}", landmark) for landmark in range(count) for view in range(3)]
        for split, start, count in (("train", 0, 5), ("index", 1 << 60, 3), ("test", 2 << 60, 3))
    }
    meta = folder / "metadata"
    for space, labels in spaces.items():
        rows = [(str(i), f"https://commons.wikimedia.org/wiki/Category:{space}_{i}", "", name, kinds[name])
                for i, name in enumerate(labels)]  # fmt: skip
        columns = "landmark_id,category,supercategory,hierarchical_label,natural_or_human_made"
        write_rows(meta / f"{space}_label_to_hierarchical.csv", columns, rows)
    write_rows(meta / "train.csv", "id,url,landmark_id", [(id, "http://x/y", str(i)) for id, i in ids["train"]])
    clean = [(str(i), " ".join(id for id, owner in ids["train"] if owner == i)) for i in range(5)]
    write_rows(meta / "train_clean.csv", "landmark_id,images", clean)
    for split in ("index", "test"):
        write_rows(meta / f"{split}.csv", "id", [(id,) for id, _ in ids[split]])
    write_rows(meta / "index_image_to_landmark.csv", "id,landmark_id", [(id, str(i)) for id, i in ids["index"]])
    right = [(id, " ".join(other for other, owner in ids["index"] if owner == i), "Public") for id, i in ids["test"]]
    write_rows(folder / "ground_truth" / "retrieval_solution_v2.1.csv", "id,images,Usage", right)
    for split, listed in ids.items():
        for id, landmark in listed:
            draw(folder / "drawn" / f"{id}.jpg", landmark + 10 * (split != "train"), int(id[-1], 16))
        write_pictures(folder, split, [(id, (folder / "drawn" / f"{id}.jpg").read_bytes()) for id, _ in listed])


def _labels(folder: Path, classes: range, break_line: str = "") -> None:
    rows = [(label, view) for label in classes for view in range(3)]
    for label, view in rows:
        draw(folder / "imgs" / f"{label}{view}.jpg", label, view)
    text = "\n".join(f"{label}{view}.jpg, {label // 4}, {label // 2}, {label}" for label, view in rows)
    (folder / "label.csv").write_text(f"fname, coarse_id, middle_id, fine_id{break_line}{text}\n")


MAKERS: dict[str, Callable[[Path], None]] = {
    "inat18": inat18,
    "sop": sop,
    "cub": cub,
    "dyml-vehicle": dyml,
    "dyml-animal": dyml,
    "dyml-product": dyml_product,
}
