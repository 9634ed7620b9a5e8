from __future__ import annotations

import pickle
import struct
from pathlib import Path

import generated_sets
import hostile_pickles
import numpy as np
import pytest
from image_samples import encoded, pixels_of

from lfs_ray.data.bin_set import channel_means, looks_swapped, read_bin_set
from lfs_ray.data.pairs import pairs_of_bin
from lfs_ray.errors import DataError

IMAGES = [encoded(pixels_of(number)) for number in range(8)]
SAME = [True, False, False, True]


def write(folder: Path, content: object, protocol: int = 4) -> Path:
    (folder / "x.bin").write_bytes(pickle.dumps(content, protocol=protocol))
    return folder / "x.bin"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("style", generated_sets.BIN_STYLES)
@pytest.mark.parametrize("numpy_labels", [False, True])
def test_sets_of_every_writer(
    tmp_path: Path, protocol: int, style: str, numpy_labels: bool
) -> None:
    images = [generated_sets.BIN_STYLES[style](image) for image in IMAGES]
    same = [np.bool_(label) for label in SAME] if numpy_labels else SAME
    found = read_bin_set(write(tmp_path, (images, same), protocol))
    assert found.images == IMAGES
    assert found.same.tolist() == SAME
    assert found.height_width_px == (16, 16)
    assert len(found) == 4
    assert found.keys()[:2] == ("000000.jpg", "000001.jpg")


@pytest.mark.parametrize(
    "labels",
    [
        [1, 0, 0, 1],
        tuple(SAME),
        np.array(SAME),
        np.array([1, 0, 0, 1], np.int64),
        list(np.int32(SAME)),
    ],
    ids=["numbers", "tuple", "bool array", "int array", "numpy numbers"],
)
def test_labels_of_every_writer(tmp_path: Path, labels: object) -> None:
    assert read_bin_set(write(tmp_path, [tuple(IMAGES), labels])).same.tolist() == SAME


def python_2_string(value: bytes) -> bytes:
    if len(value) < 256:
        return b"U" + struct.pack("B", len(value)) + value
    return b"T" + struct.pack("<i", len(value)) + value


def test_a_set_written_by_python_2_and_its_numpy(tmp_path: Path) -> None:
    """Protocol 2, strings of bytes, memo numbers from 1, numpy.core, dtype '|u1' or 'u1'."""

    def array(image: bytes) -> bytes:
        made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        dtype += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        state = b"(K\x01K" + b"%c" % 0 + b"\x85"
        state = b"(K\x01M" + struct.pack("<H", len(image)) + b"\x85" + dtype + b"\x89"
        return made + state + python_2_string(image) + b"tb"

    plain = b"".join(python_2_string(image) for image in IMAGES[:4])
    arrays = b"".join(array(image) for image in IMAGES[4:])
    data = b"\x80\x02]q\x01(" + plain + arrays + b"e]q\x02(\x88\x89I00\nI01\ne\x86q\x03."
    (tmp_path / "x.bin").write_bytes(data)
    found = read_bin_set(tmp_path / "x.bin")
    assert found.images == IMAGES
    assert found.same.tolist() == SAME


def test_an_image_used_in_two_pairs(tmp_path: Path) -> None:
    """Writers that keep images in memory make the pickle refer to the first."""
    images = [np.frombuffer(image, np.uint8) for image in IMAGES[:2]]
    shared = [images[0], images[1], images[0], images[1]] * 2
    for protocol in range(6):
        found = read_bin_set(write(tmp_path, (shared, SAME), protocol))
        assert found.images == IMAGES[:2] * 4


BROKEN = b"\xff\xd8\xff" + b"\0" * 50
LARGER = encoded(pixels_of(0, size_px=20))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (IMAGES, r"a pair \(images, labels\), found a list of 8$"),
        ("text", "found a str$"),
        ((b"images", SAME), "found a tuple of 2$"),
        ((IMAGES, SAME, SAME), "found a tuple of 3$"),
        ((IMAGES, 7), "must hold a list of labels, found a int"),
        ((IMAGES[:7], SAME), "two images for each label, found 7 images and 4 labels"),
        ((IMAGES, SAME[:3]), "two images for each label, found 8 images and 3 labels"),
        (([], []), "two images for each label, found 0 images and 0 labels"),
        ((IMAGES, [True, False, 2, True]), "label 2 must be True, False, 1 or 0, found a int 2"),
        ((IMAGES, [True, 0.0, True, True]), "x.bin must be a `.bin` set"),
        ((IMAGES, [True, "no", True, True]), "label 1 must be .* found a str"),
        (([*IMAGES[:7], ""], SAME), "image 7 must be the bytes of an encoded image, found a str"),
        (([*IMAGES[:7], b""], SAME), "image 7 must be .* found no bytes"),
        (([*IMAGES[:3], None, *IMAGES[4:]], SAME), "image 3 must be .* found a NoneType"),
        (
            ([*IMAGES[:7], np.zeros((4, 4), np.uint8)], SAME),
            r"image 7 must be .* found an array of type u1 and shape \(4, 4\)",
        ),
        (
            ([*IMAGES[:7], np.frombuffer(IMAGES[7], np.int8)], SAME),
            "image 7 must be .* found an array of type i1",
        ),
        (([*IMAGES[:7], BROKEN], SAME), "image 7: image of 53 bytes cannot be decoded"),
        (
            ([*IMAGES[:7], LARGER], SAME),
            "images of one size, image 7 has 20 x 20 pixels, the first 16 x 16",
        ),
    ],
)
def test_sets_that_do_not_fit(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read_bin_set(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_tuples_within_tuples(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x80\x02]" + b"\x85" * 200_000 + b".")
    with pytest.raises(DataError, match="found a tuple of 1"):
        read_bin_set(tmp_path / "x.bin")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.bin must be a readable file"):
        read_bin_set(tmp_path / "no.bin")
    with pytest.raises(DataError, match="must be a readable file"):
        read_bin_set(tmp_path)


def test_a_hostile_set_is_refused(tmp_path: Path) -> None:
    data = hostile_pickles.LIVE["os.system"](tmp_path / "sentinel")
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(DataError, match=r"the name '(posix|os)\.system'"):
        read_bin_set(tmp_path / "x.bin")
    assert not (tmp_path / "sentinel").exists()


def test_pairs_of_a_set(tmp_path: Path) -> None:
    same = [True, False, True] * 8
    images = [IMAGES[row % 8] for row in range(48)]
    found = pairs_of_bin(read_bin_set(write(tmp_path, (images, same))), "x.bin")
    assert found.first.tolist() == list(range(0, 48, 2))
    assert found.second.tolist() == list(range(1, 48, 2))
    assert found.same.tolist() == same
    assert np.bincount(found.fold).tolist() == [3] * 4 + [2] * 6
    assert found.fold.tolist() == sorted(found.fold)
    people = found.identity
    assert np.array_equal(people[found.first] == people[found.second], found.same)
    assert len(set(people.tolist())) == 48 - sum(same)
    for labels in ([True] * 24, [False] * 24, same[:9]):
        few = read_bin_set(write(tmp_path, (images[: 2 * len(labels)], labels)))
        with pytest.raises(DataError, match="at least 10 pairs, same and different ones"):
            pairs_of_bin(few, "x.bin")


def test_swapped_channels_show_in_the_means(tmp_path: Path) -> None:
    skin = np.full((16, 16, 3), (180, 120, 90), np.uint8)
    for pixels, swapped in ((skin, False), (skin[..., ::-1], True)):
        images = [encoded(np.ascontiguousarray(pixels), "PNG")] * 8
        found = read_bin_set(write(tmp_path, (images, SAME)))
        assert found.keys()[0] == "000000.png"
        means = channel_means(found)
        assert means == pytest.approx(pixels[0, 0].tolist())
        assert looks_swapped(means) == swapped
