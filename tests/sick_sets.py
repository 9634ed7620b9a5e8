"""Faults planted one at a time in a healthy set of images, each by a function of its folder.

A function of `PLANTED` gets a fresh folder of class folders and returns what to examine: the
path, and arguments. Its key is the finding that must come, and no other but those it names.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from aligned_faces import aligned_face
from image_samples import encoded
from PIL import Image
from recordio_writer import classic, frame, payload, write_index, write_records

from lfs_ray.data.packing.folder import FolderSource
from lfs_ray.data.synthetic import SyntheticFaces, render_identity
from lfs_ray.data.writer import write_packed

PEOPLE, IMAGES, SIZE_PX = 24, 6, 64


@dataclass
class Patient:
    """What to examine."""

    path: Path
    list_file: str = ""
    against: list[Path] = field(default_factory=list)
    landmarks: str = ""
    pairs: str = ""
    also: tuple[str, ...] = ()


def write_faces(root: Path, *, seed: int = 0, prefix: str = "person") -> Path:
    """Synthetic faces in class folders: drawn, with free pose."""
    spec = SyntheticFaces(PEOPLE, IMAGES, SIZE_PX, seed)
    for person in range(PEOPLE):
        folder = root / f"{prefix}_{person:02d}"
        folder.mkdir(parents=True)
        for number, pixels in enumerate(render_identity(spec, person)):
            (folder / f"{number:03d}.jpg").write_bytes(encoded(pixels, quality=92))
    return root


def write_aligned(root: Path, *, prefix: str = "face", first: int = 0, **moved: float) -> Path:
    """60 simple faces of 12 people, aligned or moved alike."""
    for person in range(12):
        folder = root / f"{prefix}_{person:02d}"
        folder.mkdir(parents=True)
        for number in range(5):
            pixels = aligned_face(first + 5 * person + number, SIZE_PX, **moved)
            (folder / f"{number:03d}.jpg").write_bytes(encoded(pixels, quality=92))
    return root


def files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.jpg"))


def pixels_of(file: Path) -> np.ndarray:
    return np.array(Image.open(file).convert("RGB"))


def rewrite(file: Path, pixels: np.ndarray) -> None:
    file.write_bytes(encoded(pixels, quality=92))


def rows_of(root: Path) -> list[tuple[str, str]]:
    people = sorted(folder.name for folder in root.iterdir())
    return [
        (str(file.relative_to(root)), str(people.index(file.parent.name))) for file in files(root)
    ]


def listed(root: Path, rows: list[tuple[str, str]], **more: object) -> Patient:
    file = root.parent / "faces.txt"
    file.write_text("".join(f"{key} {label}\n" for key, label in rows))
    return Patient(root, str(file), **more)


def with_label(label: str) -> Callable[[Path], Patient]:
    def plant(root: Path) -> Patient:
        rows = rows_of(root)
        rows[3] = (rows[3][0], label)
        return listed(root, rows)

    return plant


def image_beside_folders(root: Path) -> Patient:
    (root / "stray.jpg").write_bytes(encoded(pixels_of(files(root)[0])[:, ::-1], "JPEG"))
    return Patient(root)


def unreadable_line(root: Path) -> Patient:
    patient = listed(root, rows_of(root))
    with open(patient.list_file, "a") as file:
        file.write("one-word\nkey not-a-number\n")
    return patient


def label_gap(root: Path) -> Patient:
    rows = [(key, str(int(label) + (int(label) > 4))) for key, label in rows_of(root)]
    return listed(root, rows)


def empty_class(root: Path) -> Patient:
    (root / "nobody").mkdir()
    return Patient(root)


def single_image(root: Path) -> Patient:
    for file in files(root)[1:IMAGES]:
        file.unlink()
    return Patient(root)


def long_tail(root: Path) -> Patient:
    rows = rows_of(root)
    rows = [(key, "0" if place % IMAGES > 1 else label) for place, (key, label) in enumerate(rows)]
    return listed(root, rows)


def duplicate_key(root: Path) -> Patient:
    rows = rows_of(root)
    return listed(root, [*rows, rows[7]], also=("duplicates-within",))


def missing_image(root: Path) -> Patient:
    return listed(root, [*rows_of(root), ("person_00/gone.jpg", "0")])


def packed(root: Path) -> Path:
    source = FolderSource(root)
    target = root.parent / "packed"
    records = source.read(0, len(source))
    write_packed(target, records, class_names=source.class_names, source={"kind": "folder"})
    return target


def unlisted(root: Path) -> Patient:
    target = packed(root)
    rows = rows_of(root)
    patient = listed(root, rows[:-1])
    return Patient(target, patient.list_file)


def edited_list(root: Path) -> Patient:
    target = packed(root)
    lines = (target / "list.txt").read_text().splitlines(keepends=True)
    (target / "list.txt").write_text("".join(lines[:-1]))
    return Patient(target, also=("unlisted-images",))


def broken_bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], Patient]:
    def plant(root: Path) -> Patient:
        file = files(root)[5]
        file.write_bytes(change(file.read_bytes()))
        return Patient(root)

    return plant


def changed(
    change: Callable[[np.ndarray], np.ndarray], every: int = 0
) -> Callable[[Path], Patient]:
    """Pixels of one image, or of every so many, changed."""

    def plant(root: Path) -> Patient:
        for file in files(root)[4 :: every or 10**6]:
            rewrite(file, change(pixels_of(file)))
        return Patient(root)

    return plant


def half_size(pixels: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(pixels).resize((40, 40)))


def to_grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(np.array(Image.fromarray(pixels).convert("L"))[..., None], 3, axis=2)


def odd_encoding(make: Callable[[Image.Image], tuple[bytes, str]]) -> Callable[[Path], Patient]:
    def plant(root: Path) -> Patient:
        file = files(root)[5]
        blob, suffix = make(Image.open(file).convert("RGB"))
        file.unlink()
        file.with_suffix(suffix).write_bytes(blob)
        return Patient(root)

    return plant


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def cmyk(image: Image.Image) -> tuple[bytes, str]:
    return _saved(image.convert("CMYK"), "JPEG"), ".jpg"


def transparent(image: Image.Image) -> tuple[bytes, str]:
    return _saved(image.convert("RGBA"), "PNG"), ".png"


def animated(image: Image.Image) -> tuple[bytes, str]:
    turned = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _saved(image, "GIF", save_all=True, append_images=[turned]), ".gif"


def same_pixels(target: str) -> Callable[[Path], Patient]:
    """Another file of the same pixels."""

    def plant(root: Path) -> Patient:
        blob = encoded(pixels_of(files(root)[2]), "PNG")
        (root / target / "copy.png").write_bytes(blob)
        return Patient(root)

    return plant


def alike(target: str, change: Callable[[np.ndarray], bytes]) -> Callable[[Path], Patient]:
    """A picture that looks the same."""

    def plant(root: Path) -> Patient:
        (root / target / "copy.jpg").write_bytes(change(pixels_of(files(root)[2])))
        return Patient(root)

    return plant


def brighter(pixels: np.ndarray) -> bytes:
    return encoded(np.clip(pixels * 1.1 + 5, 0, 255).astype(np.uint8), quality=80)


def compressed(pixels: np.ndarray) -> bytes:
    return encoded(pixels, quality=40)


def other_set(root: Path) -> Path:
    return write_faces(root.parent / "other", seed=1, prefix="stranger")


def in_other_set(change: Callable[[np.ndarray], bytes]) -> Callable[[Path], Patient]:
    def plant(root: Path) -> Patient:
        other = other_set(root)
        (other / "stranger_03" / "new.png").write_bytes(change(pixels_of(files(root)[9])))
        return Patient(root, against=[other])

    return plant


def shared_identity(root: Path) -> Patient:
    other = other_set(root)
    (other / "stranger_05").rename(other / "PERSON 07")
    return Patient(root, against=[other])


def differing_crops(root: Path) -> Patient:
    other = write_aligned(root.parent / "other", prefix="other", first=500, down_px=8)
    mine = write_aligned(root.parent / "mine")
    return Patient(mine, against=[other])


def moved(**how: float) -> Callable[[Path], Patient]:
    return lambda root: Patient(write_aligned(root.parent / "moved", **how))


def turned(root: Path) -> Patient:
    mine = write_aligned(root.parent / "turned")
    for file in files(mine):
        rewrite(file, np.rot90(pixels_of(file), 2))
    return Patient(mine)


def landmarks(off_px: float, images: slice = slice(None)) -> Callable[[Path], Patient]:
    places = np.array([[38.3, 51.7], [73.5, 51.5], [56, 71.7], [41.5, 92.4], [70.7, 92.2]])

    def plant(root: Path) -> Patient:
        lines = []
        for place, file in enumerate(files(root)[images]):
            points = (places + off_px * (place % 3 > 0)) * SIZE_PX / 112
            numbers = " ".join(f"{value:.2f}" for value in points.ravel())
            lines.append(f"{file.relative_to(root)} {numbers}\n")
        table = root.parent / "landmarks.txt"
        table.write_text("".join(lines))
        return Patient(root, landmarks=str(table))

    return plant


def records_of(root: Path) -> dict[int, bytes]:
    people = sorted(folder for folder in root.iterdir())
    return classic([[file.read_bytes() for file in sorted(p.iterdir())] for p in people])


def recorded(
    change: Callable[[dict[int, bytes]], dict[int, bytes]],
) -> Callable[[Path], Patient]:
    def plant(root: Path) -> Patient:
        write_records(root.parent / "train.rec", change(records_of(root)))
        return Patient(root.parent / "train.rec")

    return plant


def without_header(records: dict[int, bytes]) -> dict[int, bytes]:
    return {key: data for key, data in records.items() if key}


def wrong_header(records: dict[int, bytes]) -> dict[int, bytes]:
    return {**records, 0: payload((5.0, 9.0))}


def wrong_ranges(records: dict[int, bytes]) -> dict[int, bytes]:
    last = max(records)
    return {**records, last: payload((1.0, 999.0))}


def short_index(root: Path) -> Patient:
    file = root.parent / "train.rec"
    offsets = write_records(file, without_identities(records_of(root)))
    offsets.popitem()
    write_index(file, offsets)
    return Patient(file)


def without_identities(records: dict[int, bytes]) -> dict[int, bytes]:
    """The plain layout: images only."""
    first_identity = max(records) + 1 - PEOPLE
    return {key: data for key, data in records.items() if 0 < key < first_identity}


def foreign_index(root: Path) -> Patient:
    file = root.parent / "train.rec"
    offsets = write_records(file, without_identities(records_of(root)))
    write_index(file, {key: byte + 4 * (key == 9) for key, byte in offsets.items()})
    return Patient(file)


def cut_records(root: Path) -> Patient:
    file = root.parent / "train.rec"
    write_records(file, without_identities(records_of(root)), indexed=False)
    file.write_bytes(file.read_bytes()[:-400])
    return Patient(file)


def garbage_in_records(root: Path) -> Patient:
    file = root.parent / "train.rec"
    records = without_identities(records_of(root))
    file.write_bytes(b"".join(map(frame, records.values())) + b"\x01\x02\x03\x04" * 20)
    return Patient(file)


def wrong_property(root: Path) -> Patient:
    file = root.parent / "train.rec"
    write_records(file, records_of(root))
    (root.parent / "property").write_text("99,64,64\n")
    return Patient(file)


def bin_set(images: int, flags: list[bool]) -> Callable[[Path], Patient]:
    def plant(root: Path) -> Patient:
        import pickle

        blobs = [file.read_bytes() for file in files(root)[:images]]
        file = root.parent / "pairs.bin"
        file.write_bytes(pickle.dumps((blobs, flags), protocol=2))
        return Patient(file)

    return plant


def pair_list(rows: Callable[[list[str]], list[str]]) -> Callable[[Path], Patient]:
    """Rows `fold same a b` made of the images' keys."""

    def plant(root: Path) -> Patient:
        file = root.parent / "pairs.tsv"
        keys = [str(file.relative_to(root)) for file in files(root)]
        file.write_text("\n".join(["fold\tsame\ta\tb", *rows(keys)]) + "\n")
        return Patient(root, pairs=str(file))

    return plant


def pair_rows(keys: list[str], folds: int = 10) -> list[str]:
    """A same and a different pair in each fold."""
    rows = []
    for fold in range(folds):
        a, b, c = keys[IMAGES * fold], keys[IMAGES * fold + 1], keys[IMAGES * fold + IMAGES]
        rows += [f"{fold}\t1\t{a}\t{b}", f"{fold}\t0\t{a}\t{c}"]
    return rows


def moved_to_fold(rows: list[str]) -> list[str]:
    """The same pair of fold 0 becomes one of fold 1: fold 0 keeps a different pair."""
    return [rows[0].replace("0\t", "1\t", 1), *rows[1:]]


PLANTED: dict[str, list[Callable[[Path], Patient]]] = {
    "unreadable-lines": [unreadable_line],
    "fractional-labels": [with_label("0.5")],
    "negative-labels": [with_label("-1")],
    "unusable-labels": [with_label("99999999999999999999"), image_beside_folders],
    "label-gaps": [label_gap],
    "empty-classes": [empty_class],
    "single-image-classes": [single_image],
    "long-tail": [long_tail],
    "duplicate-keys": [duplicate_key],
    "missing-images": [
        missing_image,
        pair_list(
            lambda keys: [row.replace(keys[1], "person_00/x.jpg") for row in pair_rows(keys)]
        ),
    ],
    "unlisted-images": [unlisted],
    "undecodable-images": [
        broken_bytes(lambda blob: blob[: len(blob) // 2]),
        broken_bytes(lambda blob: b""),
        broken_bytes(lambda blob: b"<html>not found</html>"),
    ],
    "odd-sizes": [changed(half_size)],
    "mixed-sizes": [changed(half_size, every=3)],
    "grey-images": [changed(to_grey)],
    "blank-images": [changed(lambda pixels: np.full_like(pixels, 30))],
    "odd-encodings": [odd_encoding(cmyk), odd_encoding(transparent), odd_encoding(animated)],
    "duplicates-within": [same_pixels("person_00")],
    "duplicates-across": [same_pixels("person_05")],
    "near-duplicates-within": [alike("person_00", brighter), alike("person_00", compressed)],
    "near-duplicates-across": [alike("person_05", brighter), alike("person_05", compressed)],
    "duplicates-between-sets": [in_other_set(lambda pixels: encoded(pixels, "PNG"))],
    "near-duplicates-between-sets": [in_other_set(brighter), in_other_set(compressed)],
    "shared-identities": [shared_identity],
    "crops-differ": [differing_crops],
    "swapped-colours": [
        changed(lambda pixels: pixels[..., ::-1], every=1),
        changed(lambda pixels: pixels[..., ::-1], every=5),
    ],
    "misaligned": [
        moved(right_px=8),
        moved(right_px=-8),
        moved(down_px=8),
        moved(scale=1.25),
        moved(scale=0.75),
        moved(jitter=0.3),
        turned,
    ],
    "landmarks-off": [landmarks(12)],
    "landmarks-missing": [landmarks(0, slice(0, -3))],
    "record-0": [recorded(without_header), recorded(wrong_header), recorded(wrong_ranges)],
    "index-length": [short_index, foreign_index],
    "broken-record": [cut_records, garbage_in_records],
    "property-differs": [wrong_property],
    "manifest-differs": [edited_list],
    "unreadable-pairs": [pair_list(lambda keys: ["0\tmaybe\ta\tb"])],
    "wrong-pairs": [
        pair_list(lambda keys: [*pair_rows(keys)[:-1], f"9\t0\t{keys[0]}\t{keys[1]}"]),
    ],
    "odd-length": [bin_set(41, [True, False] * 10)],
    "one-class": [
        bin_set(40, [True] * 20),
        pair_list(lambda keys: [row for row in pair_rows(keys) if "\t1\t" in row]),
    ],
    "order-not-in-folds": [bin_set(40, [True] * 10 + [False] * 10)],
    "few-folds": [pair_list(lambda keys: pair_rows(keys, folds=5))],
    "uneven-folds": [
        pair_list(
            lambda keys: [*pair_rows(keys), *[f"3\t1\t{keys[18]}\t{k}" for k in keys[20:23]]]
        )
    ],
}


def fresh_copy(healthy: Path, place: Path) -> Path:
    return Path(shutil.copytree(healthy, place / "faces"))
