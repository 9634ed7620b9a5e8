"""Small sets in the file layouts in which verification and identification sets are published.

One function a layout: it writes the set into a new folder and returns that folder. All show the
same synthetic people, so that a model that has learned synthetic faces does well on all of them.
Person p's image i is `faces()[p][i]`, a JPEG.
"""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io
import simplejpeg
from PIL import Image

from lfs_ray.data.synthetic import SyntheticFaces, render_identity

PEOPLE = 24
IMAGES = 6
FOLDS = 10
PER_KIND = 6
RFW_GROUPS = ("African", "Asian", "Caucasian", "Indian")
# Where the five points of a face lie in a 112 x 112 crop (left eye, right eye, nose, mouth).
TEMPLATE_XY = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


@lru_cache(maxsize=4)
def faces(size_px: int = 32, people: int = PEOPLE, images: int = IMAGES) -> list[list[bytes]]:
    """JPEGs of synthetic people: faces()[person][image]."""
    spec = SyntheticFaces(people, images, size_px, seed=3)
    return [
        [simplejpeg.encode_jpeg(image, quality=95) for image in render_identity(spec, person)]
        for person in range(people)
    ]


class Pair(NamedTuple):
    """Two of the faces."""

    fold: int
    same: bool
    a: tuple[int, int]
    """Person and image."""
    b: tuple[int, int]


def dealt_pairs(folds: int = FOLDS, per_kind: int = PER_KIND, seed: int = 0) -> list[Pair]:
    """Per fold `per_kind` same pairs, then as many different ones; images differ in each pair."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pairs: list[Pair] = []
    for fold in range(folds):
        for place in range(2 * per_kind):
            same = place < per_kind
            p, q = rng.choice(PEOPLE, 2, replace=False).tolist()
            i, j = rng.choice(IMAGES, 2, replace=False).tolist()
            pairs.append(Pair(fold, same, (p, i), (p if same else q, j)))
    return pairs


def lfw(folder: Path) -> Path:
    """pairs.txt and pairsDevTest.txt; images/Person_A/Person_A_0001.jpg."""
    pairs = dealt_pairs()
    lines = [_lfw_line(pair) for pair in pairs]
    _write(folder / "pairs.txt", [f"{FOLDS}\t{PER_KIND}", *lines])
    same = [line for line, pair in zip(lines, pairs, strict=True) if pair.same]
    different = [line for line, pair in zip(lines, pairs, strict=True) if not pair.same]
    _write(folder / "pairsDevTest.txt", [str(len(same)), *same, *different])
    return _save(folder, {f"images/{_lfw_key(*face)}": face for face in _all_faces()})


def table(folder: Path) -> Path:
    """pairs.tsv `fold same a b`; images/Person_A/Person_A_0001.jpg."""
    rows = [f"{p.fold}\t{int(p.same)}\t{_lfw_key(*p.a)}\t{_lfw_key(*p.b)}" for p in dealt_pairs()]
    _write(folder / "pairs.tsv", ["fold\tsame\ta\tb", *rows])
    return _save(folder, {f"images/{_lfw_key(*face)}": face for face in _all_faces()})


def path_label(folder: Path) -> Path:
    """pair_list.txt `path1 path2 label`; images/Person_A/Person_A_0001.jpg."""
    rows = [f"{_lfw_key(*p.a)} {_lfw_key(*p.b)} {int(p.same)}" for p in dealt_pairs()]
    _write(folder / "pair_list.txt", rows)
    return _save(folder, {f"images/{_lfw_key(*face)}": face for face in _all_faces()})


def sllfw(folder: Path) -> Path:
    """pair_SLLFW.txt: two lines a pair; images/Person_A/Person_A_0001.jpg."""
    rows = [_lfw_key(*face) for pair in dealt_pairs() for face in (pair.a, pair.b)]
    _write(folder / "pair_SLLFW.txt", rows)
    return _save(folder, {f"images/{_lfw_key(*face)}": face for face in _all_faces()})


def calfw(folder: Path, name: str = "CALFW") -> Path:
    """pairs_CALFW.txt (or CPLFW): all same pairs first; images/Person_A_0001.jpg."""
    pairs = sorted(dealt_pairs(), key=lambda pair: not pair.same)
    rows = [
        f"{_flat_key(*face)} {(1 + pair.fold) if pair.same else 0}"
        for pair in pairs
        for face in (pair.a, pair.b)
    ]
    _write(folder / f"pairs_{name}.txt", rows)
    return _save(folder, {f"images/{_flat_key(*face)}": face for face in _all_faces()})


def agedb(folder: Path) -> Path:
    """splits.mat, cells of cells; images/12_PersonA_31_f.jpg."""
    splits = np.empty((FOLDS, 1), object)
    for fold in range(FOLDS):
        cells = np.empty((2 * PER_KIND, 3), object)
        for row, pair in enumerate(p for p in dealt_pairs() if p.fold == fold):
            cells[row] = _agedb_name(*pair.a), _agedb_name(*pair.b), 1 if pair.same else -1
        splits[fold, 0] = cells
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "splits.mat", {"splits": splits})
    return _save(folder, {f"images/{_agedb_name(*face)}.jpg": face for face in _all_faces()})


def cfp(folder: Path) -> Path:
    """Protocol/Pair_list_{F,P}.txt, Protocol/Split/{FP,FF}/01/{same,diff}.txt; Data/Images.

    Images 0 to 3 of each person are frontal, the others profiles.
    """
    frontal, profile = range(4), range(4, IMAGES)
    images: dict[str, tuple[int, int]] = {}
    for letter, pose, indices in (("F", "frontal", frontal), ("P", "profile", profile)):
        lines = []
        for number, (person, i) in enumerate(((p, i) for p in range(PEOPLE) for i in indices), 1):
            key = f"{person + 1:03d}/{pose}/{i - indices[0] + 1:02d}.jpg"
            lines.append(f"{number} ../Data/Images/{key}")
            images[f"Data/Images/{key}"] = person, i
        _write(folder / "Protocol" / f"Pair_list_{letter}.txt", lines)
    rng = np.random.Generator(np.random.PCG64(1))
    for kind, others in (("FP", profile), ("FF", frontal)):
        for fold in range(FOLDS):
            for name, same in (("same", True), ("diff", False)):
                lines = []
                for _ in range(PER_KIND):
                    p, q = rng.choice(PEOPLE, 2, replace=False).tolist()
                    i, j = rng.choice(2, 2, replace=False).tolist()
                    other = (p if same else q) * len(others) + j + 1
                    lines.append(f"{p * len(frontal) + i + 1},{other}")
                _write(folder / f"Protocol/Split/{kind}/{fold + 1:02d}/{name}.txt", lines)
    return _save(folder, images)


def rfw(folder: Path) -> Path:
    """txts/African/African_pairs.txt, no header; data/African/m.0a/m.0a_0001.jpg; four groups."""
    images: dict[str, tuple[int, int]] = {}
    for seed, group in enumerate(RFW_GROUPS):
        lines = [_lfw_line(pair, "m.0") for pair in dealt_pairs(seed=seed)]
        _write(folder / "txts" / group / f"{group}_pairs.txt", lines)
        images |= {f"data/{group}/{_lfw_key(*face, 'm.0')}": face for face in _all_faces()}
    return _save(folder, images)


BIN_STYLES = {
    "bytes": lambda image: image,
    "array": lambda image: np.frombuffer(image, np.uint8).copy(),
    "column": lambda image: np.frombuffer(image, np.uint8).copy()[:, None],
}


def bin_set(
    folder: Path, *, style: str = "array", protocol: int = 4, numpy_labels: bool = False
) -> Path:
    """lfw.bin, as packing scripts write it: (images, same)."""
    pairs = dealt_pairs()
    images = [BIN_STYLES[style](_jpeg(face)) for pair in pairs for face in (pair.a, pair.b)]
    same = [np.bool_(pair.same) if numpy_labels else pair.same for pair in pairs]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lfw.bin").write_bytes(pickle.dumps((images, same), protocol=protocol))
    return folder


def ijb(folder: Path, name: str = "ijbc") -> Path:
    """meta/ijbc_face_tid_mid.txt and its like, 1:N lists, loose_crop/1.jpg (or ijbb).

    Every person has a gallery template (1000 + person, images 0 and 1, of one medium) and two
    probe templates (2000 + 2 person and the next: images 2, 3 and 4, 5, each a medium of its
    own). People with even numbers are in the first gallery, the others in the second.
    """
    rows = list(_ijb_rows())
    meta = folder / "meta"
    _write(meta / f"{name}_face_tid_mid.txt", [f"{r.image} {r.template} {r.media}" for r in rows])
    points = [f"{x + _CROP_LEFT:.3f} {y + _CROP_TOP:.3f}" for x, y in TEMPLATE_XY]
    scores = [f"{r.image} {' '.join(points)} 0.9{r.face[1]}" for r in rows]
    _write(meta / f"{name}_name_5pts_score.txt", scores)
    probes = [2000 + t for t in range(2 * PEOPLE)]
    labels = [
        f"{1000 + person} {probe} {int((probe - 2000) // 2 == person)}"
        for person in range(PEOPLE)
        for probe in probes
    ]
    _write(meta / f"{name}_template_pair_label.txt", labels)
    halves = ("G1", "G2") if name == "ijbc" else ("S1", "S2")
    for half, gallery in enumerate(halves):
        chosen = [r for r in rows if r.template < 2000 and r.face[0] % 2 == half]
        _write_ijb_csv(meta / f"{name}_1N_gallery_{gallery}.csv", chosen)
    _write_ijb_csv(meta / f"{name}_1N_probe_mixed.csv", [r for r in rows if r.template >= 2000])
    (folder / "loose_crop").mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / "loose_crop" / row.image).write_bytes(_loose_crop(_jpeg(row.face)))
    return folder


class IjbRow(NamedTuple):
    """One image of IJB."""

    image: str
    template: int
    media: int
    face: tuple[int, int]


def _ijb_rows() -> Iterator[IjbRow]:
    number = 0
    for person in range(PEOPLE):
        for i in range(IMAGES):
            number += 1
            template = 1000 + person if i < 2 else 2000 + 2 * person + (i - 2) // 2
            media = 10 * person if i < 2 else 10 * person + i
            yield IjbRow(f"{number}.jpg", template, media, (person, i))


def _write_ijb_csv(path: Path, rows: Sequence[IjbRow]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["TEMPLATE_ID", "SUBJECT_ID", "FILENAME", "SIGHTING_ID"])
        for row in rows:
            writer.writerow([row.template, 500 + row.face[0], f"img/{row.image}", row.media])


_CROP_LEFT, _CROP_TOP = 17, 23


def _loose_crop(jpeg: bytes) -> bytes:
    """The face at 112 x 112, on a larger grey ground."""
    face = Image.open(BytesIO(jpeg)).resize((112, 112), Image.Resampling.BILINEAR)
    canvas = Image.new("RGB", (150, 160), (90, 90, 90))
    canvas.paste(face, (_CROP_LEFT, _CROP_TOP))
    return simplejpeg.encode_jpeg(np.asarray(canvas), quality=95)


MEGAFACE_PROBE_PEOPLE = 8
MEGAFACE_NOISY_PROBE = "Person_A/Person_A_0001.jpg"


def megaface(folder: Path) -> Path:
    """templatelists/*.json, facescrub/, megaface/, and noise lists with one line each.

    The first eight people are probes, the images of the others distractors; lists of 10 and of
    all distractors. The first probe and the first distractor are noise.
    """
    probes = [(p, i) for p in range(MEGAFACE_PROBE_PEOPLE) for i in range(IMAGES)]
    others = [(p, i) for p in range(MEGAFACE_PROBE_PEOPLE, PEOPLE) for i in range(IMAGES)]
    lists = folder / "templatelists"
    paths = [_lfw_key(*face) for face in probes]
    ids = [_name(face[0]) for face in probes]
    _write_json(lists / "facescrub_features_list.json", {"path": paths, "id": ids})
    keys = [f"{p:03d}/{p}{i}/{i}.jpg" for p, i in others]
    for count in (10, len(keys)):
        content = {"path": keys[:count], "id": keys[:count]}
        _write_json(lists / f"megaface_features_list.json_{count}_1", content)
    _write(folder / "facescrub_noises.txt", ["# noise", paths[0].rsplit("/", 1)[1]])
    _write(folder / "megaface_noises.txt", ["# noise", keys[0]])
    _save(folder, {f"facescrub/{path}": face for path, face in zip(paths, probes, strict=True)})
    return _save(folder, {f"megaface/{key}": f for key, f in zip(keys, others, strict=True)})


def market1501(folder: Path) -> Path:
    """query/0002_c1s1_000451_03.jpg, bounding_box_test/ with distractors (0000) and junk (-1)."""
    files: dict[str, tuple[int, int]] = {}
    for person in range(2, PEOPLE):
        for i in range(IMAGES):
            where = "query" if i < 2 else "bounding_box_test"
            camera = 1 + i % 3
            files[f"{where}/{person:04d}_c{camera}s1_{i:06d}_00.jpg"] = person, i
    for i in range(IMAGES):
        files[f"bounding_box_test/0000_c1s1_{i:06d}_00.jpg"] = 0, i
        files[f"bounding_box_test/-1_c2s1_{i:06d}_00.jpg"] = 1, i
    return _save(folder, files)


def reid_csv(folder: Path) -> Path:
    """list.csv `path,person,camera,role`; images/Person_A/Person_A_0001.jpg."""
    rows = [["path", "person", "camera", "role"]]
    for person, i in _all_faces():
        role = "query" if i < 2 else "gallery"
        rows.append([_lfw_key(person, i), _name(person), str(1 + i % 3), role])
    _write(folder / "list.csv", [",".join(row) for row in rows])
    return _save(folder, {f"images/{_lfw_key(*face)}": face for face in _all_faces()})


def tinyface(folder: Path) -> Path:
    """Testing_Set/{Gallery_Match,Gallery_Distractor,Probe} and its two .mat lists."""
    base = folder / "Testing_Set"
    files: dict[str, tuple[int, int]] = {}
    names: dict[str, list[Any]] = {"gallery": [], "probe": []}
    ids: dict[str, list[int]] = {"gallery": [], "probe": []}
    for person, i in _all_faces():
        if person % 4 == 3:
            files[f"Testing_Set/Gallery_Distractor/{person}_{i}.jpg"] = person, i
            continue
        role, where = ("probe", "Probe") if i < 3 else ("gallery", "Gallery_Match")
        names[role].append(f"{person + 1}_{i}.jpg")
        ids[role].append(person + 1)
        files[f"Testing_Set/{where}/{person + 1}_{i}.jpg"] = person, i
    _save(folder, files)
    for role, stem in (("gallery", "gallery_match"), ("probe", "probe")):
        column = np.empty((len(names[role]), 1), object)
        column[:, 0] = names[role]
        numbers = np.array(ids[role], np.uint16)[:, None]
        content = {f"{role}_set": column, f"{role}_ids": numbers}
        scipy.io.savemat(base / f"{stem}_img_ID_pairs.mat", content)
    return folder


def class_folders(folder: Path) -> Path:
    """Person_A/0.jpg, Person_A/1.jpg, ..."""
    return _save(folder, {f"{_name(p)}/{i}.jpg": (p, i) for p, i in _all_faces()})


def trillion_pairs(folder: Path) -> Path:
    """probes.txt `path label`, distractors.txt `path`; images/..., the first ten people probes."""
    keys = {_lfw_key(*face): face for face in _all_faces()}
    probes = [f"{key} {person}" for key, (person, _) in keys.items() if person < 10]
    _write(folder / "probes.txt", probes)
    _write(folder / "distractors.txt", [key for key, (person, _) in keys.items() if person >= 10])
    return _save(folder, {f"images/{key}": face for key, face in keys.items()})


def _all_faces() -> list[tuple[int, int]]:
    return [(person, image) for person in range(PEOPLE) for image in range(IMAGES)]


def _jpeg(face: tuple[int, int]) -> bytes:
    return faces()[face[0]][face[1]]


def _name(person: int, stem: str = "Person_") -> str:
    return f"{stem}{chr(ord('A') + person)}"


def _lfw_key(person: int, image: int, stem: str = "Person_") -> str:
    name = _name(person, stem)
    return f"{name}/{name}_{image + 1:04d}.jpg"


def _lfw_line(pair: Pair, stem: str = "Person_") -> str:
    (p, i), (q, j) = pair.a, pair.b
    if pair.same:
        return f"{_name(p, stem)}\t{i + 1}\t{j + 1}"
    return f"{_name(p, stem)}\t{i + 1}\t{_name(q, stem)}\t{j + 1}"


def _flat_key(person: int, image: int) -> str:
    return f"{_name(person)}_{image + 1:04d}.jpg"


def _agedb_name(person: int, image: int) -> str:
    return f"{person * IMAGES + image}_Person{chr(ord('A') + person)}_{20 + 5 * image}_f"


def _save(folder: Path, images: dict[str, tuple[int, int]]) -> Path:
    for key, face in images.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(_jpeg(face))
    return folder


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_json(path: Path, content: dict[str, list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
