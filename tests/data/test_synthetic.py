from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lfs_ray.data import face_camera, synthetic
from lfs_ray.data.decode import decode_image
from lfs_ray.data.face_canvas import Canvas, new_canvas
from lfs_ray.data.face_drawing import paint_faces
from lfs_ray.data.face_traits import (
    IDENTITY,
    IDENTITY_FIELDS,
    IMAGE,
    NUM_IDENTITY_WORDS,
    Params,
    draw_words,
    identity_params,
    image_params,
)
from lfs_ray.data.sources import open_faces
from lfs_ray.data.synthetic import (
    SyntheticFaces,
    render,
    render_batch,
    render_identity,
    synthesize,
)
from lfs_ray.errors import DataError

SPEC = SyntheticFaces(num_identities=40, images_per_identity=5)
Pixels = NDArray[np.uint8]


def batch_of(identities: int, images: int, spec: SyntheticFaces = SPEC) -> Pixels:
    """(identities * images, size, size, 3): identity by identity."""
    people, shots = np.divmod(np.arange(identities * images), images)
    return render_batch(spec, people, shots)


def digest(pixels: Pixels) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**4)), min_size=1, max_size=40),
    st.sampled_from([16, 31, 64]),
    st.integers(0, 2**63 - 1),
)
def test_a_picture_does_not_depend_on_its_neighbours(
    pairs: list[tuple[int, int]], size_px: int, seed: int
) -> None:
    spec = SyntheticFaces(1, 1, size_px, seed)
    together = render_batch(spec, *np.array(pairs).T)
    place = len(pairs) // 2
    assert np.array_equal(together[place], render(spec, *pairs[place]))
    assert np.array_equal(together[::-1], render_batch(spec, *np.array(pairs[::-1]).T))


def test_pixels_and_views_of_an_identity() -> None:
    pixels = render_identity(SPEC, 3)
    assert pixels.shape == (5, 64, 64, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    for image in range(5):
        assert np.array_equal(pixels[image], render(SPEC, 3, image))


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import hashlib, numpy as np\n"
        "from lfs_ray.data.synthetic import *\n"
        "spec = SyntheticFaces(40, 5)\n"
        "people, shots = np.divmod(np.arange(40), 5)\n"
        "print(hashlib.sha256(render_batch(spec, people, shots).tobytes()).hexdigest())\n"
    )
    # Without vector instructions beyond the baseline: pixels don't depend on the processor.
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F"}
    run = [sys.executable, "-W", "ignore", "-c", code]
    root = Path(synthetic.__file__).parents[2]
    found = subprocess.run(run, cwd=root, env=environment, capture_output=True, check=True)
    assert found.stdout.decode().strip() == digest(batch_of(8, 5))


def test_seed_identity_and_image_all_matter() -> None:
    pixels = batch_of(40, 5)
    assert len({digest(picture) for picture in pixels}) == len(pixels)
    other = SyntheticFaces(40, 5, seed=1)
    assert not np.array_equal(render(other, 0, 0), render(SPEC, 0, 0))
    more = SyntheticFaces(400, 50)
    assert np.array_equal(render(more, 7, 3), render(SPEC, 7, 3)), "counts must not matter"


def test_blocks_of_words_never_overlap() -> None:
    blocks = [draw_words(seed, i, k, 64) for seed in (0, 1) for i in (0, 1) for k in (-1, 0, 1)]
    assert len(np.unique(np.concatenate(blocks))) == 64 * len(blocks)


def test_exposure_is_reasonable() -> None:
    level = batch_of(40, 5).astype(np.float64).mean(axis=(1, 2, 3))
    assert np.quantile(level, 0.05) > 40
    assert np.quantile(level, 0.95) < 220
    contrast = batch_of(40, 5).astype(np.float64).std(axis=(1, 2, 3))
    assert np.quantile(contrast, 0.05) > 15


def standardised(pixels: Pixels) -> NDArray[np.float64]:
    """(B, 192) coarse pictures, 8 by 8, each of mean 0 and length 1."""
    coarse = pixels.reshape(-1, 8, 8, 8, 8, 3).mean(axis=(2, 4)).reshape(len(pixels), -1)
    coarse = coarse - coarse.mean(axis=1, keepdims=True)
    return np.asarray(coarse / np.linalg.norm(coarse, axis=1, keepdims=True))


def test_identities_differ_more_than_their_pictures_do() -> None:
    features = standardised(batch_of(40, 20)).reshape(40, 20, -1)
    within = features.var(axis=1, ddof=1).sum(axis=1).mean()
    between = features.mean(axis=1).var(axis=0, ddof=1).sum() - within / 20
    # Both are there: a person is recognisable, and pictures of one person vary more than people.
    assert 0.05 < between / within < 1.0


def test_coarse_pixels_alone_do_not_verify() -> None:
    features = standardised(batch_of(40, 10))
    people = np.repeat(np.arange(40), 10)
    cosines = features @ features.T
    upper = np.triu_indices(len(people), 1)
    same = (people[:, None] == people[None, :])[upper]
    positive, negative = np.sort(cosines[upper][same]), cosines[upper][~same]
    area = 1 - np.searchsorted(positive, negative).mean() / len(positive)
    assert 0.52 < area < 0.75


def parameters(count: int) -> tuple[Params, Params]:
    person = identity_params(
        np.stack([draw_words(0, i, -1, NUM_IDENTITY_WORDS) for i in range(count)])
    )
    shot = image_params(np.stack([draw_words(0, i, 0, len(IMAGE)) for i in range(count)]))
    return person, shot


def expose(person: Params, shot: Params, size_px: int = 64) -> Pixels:
    canvas = new_canvas(person, shot, size_px)
    paint_faces(canvas, person, shot)
    face_camera.paint_occluders(canvas, person, shot)
    face_camera.light(canvas, shot)
    count = len(shot["yaw"])
    grain = np.arange(count * 3 * size_px**2, dtype=np.uint64).reshape(count, -1) * 37 % 256
    return face_camera.expose(canvas.rgb, shot, grain.astype(np.uint8), size_px)


@pytest.mark.parametrize("name", [*IDENTITY, *IDENTITY_FIELDS])
def test_every_trait_shows(name: str) -> None:
    person, shot = parameters(24)
    person["beard"] = np.ones_like(person["beard"]) if name == "beard_top" else person["beard"]
    low, high = (IDENTITY | IDENTITY_FIELDS)[name][:2]
    ends = [expose({**person, name: np.full_like(person[name], end)}, shot) for end in (low, high)]
    changed = np.abs(ends[0].astype(int) - ends[1]).reshape(24, -1).max(axis=1) > 8
    assert changed.mean() > 0.3


@pytest.mark.parametrize("name", [name for name in IMAGE if name != "quality"])
def test_every_condition_shows(name: str) -> None:
    person, shot = parameters(24)
    for worn in ("glasses", "mask", "patch"):
        if name.startswith(f"{worn}_"):
            shot[worn] = np.zeros_like(shot[worn])
    low, high = IMAGE[name]
    high = high / 2 if name.endswith("angle") else high  # a whole turn changes nothing
    ends = [expose(person, {**shot, name: np.full_like(shot[name], end)}) for end in (low, high)]
    changed = np.abs(ends[0].astype(int) - ends[1]).reshape(24, -1).max(axis=1) > 8
    assert changed.mean() > 0.3


def test_bands_cut_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    bands = batch_of(300, 2)
    monkeypatch.setattr(Canvas, "band", lambda self, low, high: self)
    whole = batch_of(300, 2)
    assert np.array_equal(bands, whole)


def test_blur_keeps_flat_pictures_and_spreads_a_dot() -> None:
    dot = np.zeros((3, 1, 9, 9), np.float32)
    dot[:, :, 4, 4] = 1.0
    amount = np.full((1, 1, 1), 0.3, np.float32)
    blurred = face_camera._blur(dot, amount)
    assert np.allclose(blurred, blurred.swapaxes(2, 3), atol=1e-7)
    assert np.allclose(blurred, blurred[:, :, ::-1, ::-1], atol=1e-7)
    assert blurred.sum() == pytest.approx(3.0, abs=1e-5)
    assert np.count_nonzero(blurred[0, 0]) == 49
    assert np.allclose(face_camera._blur(np.ones_like(dot), amount), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_identities": 0}, "num_identities must be 1 to"),
        ({"images_per_identity": -3}, "images_per_identity must be 1 to 1000000000, not -3"),
        ({"size_px": 8}, "size_px must be 16 to 512, not 8"),
        ({"seed": -1}, "seed must be 0 to"),
    ],
)
def test_numbers_out_of_range(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        SyntheticFaces(**{"num_identities": 2, "images_per_identity": 2, **wrong})
    assert "\n" not in str(caught.value)


def test_synthesize_writes_a_packed_set(tmp_path: Path) -> None:
    spec = SyntheticFaces(7, 5, size_px=32, seed=4)
    manifest = synthesize(spec, str(tmp_path / "set"))
    assert manifest == json.loads((tmp_path / "set/manifest.json").read_text())
    assert manifest["images"] == 35
    assert manifest["classes"] == 7
    assert manifest["source"] == {
        "kind": "synthetic faces",
        "drawing": synthetic.DRAWING,
        "num_identities": 7,
        "images_per_identity": 5,
        "size_px": 32,
        "seed": 4,
    }
    faces = open_faces([str(tmp_path / "set")])
    assert faces.num_classes == 7
    assert faces.labels.tolist() == np.repeat(np.arange(7), 5).tolist()
    keys = [f"p{identity:05d}/{image:03d}.jpg" for identity in range(7) for image in range(5)]
    assert list(faces.keys) == keys
    for index in range(35):
        drawn = render(spec, *divmod(index, 5)).astype(int)
        assert np.abs(faces.image(index) - drawn).mean() < 12


def test_synthesize_twice_gives_the_same_set(tmp_path: Path) -> None:
    spec = SyntheticFaces(3, 4, size_px=16)
    first, second = (synthesize(spec, str(tmp_path / name)) for name in ("a", "b"))
    assert first == second
    assert synthesize(SyntheticFaces(3, 4, 16, seed=1), str(tmp_path / "c")) != first
    with pytest.raises(DataError, match="exist"):
        synthesize(spec, str(tmp_path / "a"))


def test_quality_varies_with_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    encode = synthetic.simplejpeg.encode_jpeg

    def spy(picture: Pixels, quality: int, colorsubsampling: str) -> bytes:
        found.append(quality)
        blob: bytes = encode(picture, quality=quality, colorsubsampling=colorsubsampling)
        assert decode_image(blob).shape == picture.shape
        return blob

    monkeypatch.setattr(synthetic.simplejpeg, "encode_jpeg", spy)
    records = list(synthetic._records(SyntheticFaces(4, 25, 16), ["a", "b", "c", "d"]))
    assert len(records) == 100
    assert 55 <= min(found) < 62
    assert 88 < max(found) <= 95
