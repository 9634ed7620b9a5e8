"""A model's part in doctor, overlap and noise, on people that even random weights tell apart."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from image_samples import encoded
from tiny_models import write_model

from lfs_ray.data.doctor.examining import examine
from lfs_ray.data.doctor.measuring import measure
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.driver import set_embeddings
from lfs_ray.driver.doctor_model import check_with_model
from lfs_ray.driver.noise import make_noise, mean_looks
from lfs_ray.driver.noise_model import centres_by_model
from lfs_ray.driver.overlap import find_matches, matches_csv, reasons
from lfs_ray.driver.overlap_model import match_by_model
from lfs_ray.driver.set_embeddings import embed_centres, embed_to_file
from lfs_ray.errors import DataError
from lfs_ray.training.embedder import Embedder

PEOPLE, IMAGES = 6, 5
COLOURS = np.array(
    [[250, 20, 20], [20, 250, 20], [20, 20, 250], [250, 250, 20], [10, 10, 10], [250, 250, 250]]
)


def pattern(person: int, image: int) -> np.ndarray:
    """Stripes of the person's own direction and colour, with a little noise."""
    y, x = np.mgrid[:32, :32] / 32
    angle = np.pi * person / PEOPLE
    wave = np.sin(20 * (x * np.cos(angle) + y * np.sin(angle)))
    rng = np.random.default_rng(100 * person + image)
    noise = rng.normal(0, 3, (32, 32, 3))
    colour = COLOURS[person] * (0.7 + 0.3 * wave[..., None])
    return np.clip(colour + noise, 0, 255).astype(np.uint8)


def write_people(root: Path, people: range, prefix: str = "p", first: int = 0) -> Path:
    for person in people:
        folder = root / f"{prefix}{person}"
        folder.mkdir(parents=True)
        for image in range(IMAGES):
            pixels = pattern(person, first + image)
            (folder / f"{image}.png").write_bytes(encoded(pixels, "PNG"))
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people") / "set", range(PEOPLE))


def test_blocks_give_what_one_pass_gives(
    people: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    specimen = open_specimen(people)
    places = np.arange(len(specimen))[::-1].copy()
    embedder = Embedder(model, batch_size=1)
    whole = embedder.embed(specimen, places).unit_ND
    monkeypatch.setattr(set_embeddings, "_BLOCK", 7)
    told: list[tuple[int, int]] = []
    rows = embed_to_file(embedder, specimen, places, lambda *done: told.append(done))
    assert np.allclose(rows, whole, atol=1e-6)
    assert told[-1] == (30, 30)
    assert [done for done, _ in told] == list(range(1, 31))
    labels = specimen.labels[places]
    centres = embed_centres(embedder, specimen, places, labels * 3)
    assert centres.labels.tolist() == [0, 3, 6, 9, 12, 15]
    assert centres.counts.tolist() == [IMAGES] * PEOPLE
    for row, label in enumerate(range(PEOPLE)):
        assert np.allclose(centres.sums_CD[row], whole[labels == label].sum(axis=0))


def test_the_doctor_finds_a_planted_mislabel(people: Path, model: str, tmp_path: Path) -> None:
    root = Path(shutil.copytree(people, tmp_path / "set"))
    clean = examine(open_specimen(root), faces=False)
    assert "likely-mislabels" not in {f.name for f in check_with_model(clean, model)}
    (root / "p0" / "4.png").rename(root / "p5" / "x.png")
    (root / "p1" / "0.png").write_bytes(b"no image")
    report = examine(open_specimen(root), faces=False)
    found = {finding.name: finding for finding in check_with_model(report, model)}
    assert found["likely-mislabels"].count == 1
    assert found["likely-mislabels"].examples[0].startswith("p5/x.png: own ")
    assert ", p0 " in found["likely-mislabels"].examples[0]


def test_the_doctor_embeds_nothing_where_nothing_is_labelled(model: str, tmp_path: Path) -> None:
    for image in range(3):
        (tmp_path / f"{image}.png").write_bytes(encoded(pattern(0, image), "PNG"))
    assert check_with_model(examine(open_specimen(tmp_path), faces=False), model) == []


def test_overlap_finds_the_same_people_under_other_names(
    people: Path, model: str, tmp_path: Path
) -> None:
    test = write_people(tmp_path / "test", range(2, 4), prefix="someone", first=50)
    train, other = open_specimen(people), open_specimen(test)
    by_model = partial(match_by_model, model, 0.995)
    matches = find_matches(train, [other], ["names", "hash", "model"], by_model=by_model)
    assert {(m.name, m.other_name, m.by) for m in matches if m.by == "model"} == {
        ("p2", "someone2", "model"),
        ("p3", "someone3", "model"),
    }
    assert all(m.score >= 0.995 for m in matches if m.by == "model")
    assert set(reasons(matches)) >= {2, 3}
    assert matches_csv(matches).splitlines()[0] == "label,name,other_set,other_name,by,score"


def test_without_a_threshold_the_halves_of_a_class_set_it(
    people: Path, model: str, tmp_path: Path
) -> None:
    test = write_people(tmp_path / "test", range(2, 4), prefix="someone", first=50)
    train, other = open_specimen(people), open_specimen(test)
    compared = [(other, measure(other))]
    matches = match_by_model(model, None, train, measure(train), compared)
    assert {(m.name, m.other_name) for m in matches} == {("p2", "someone2"), ("p3", "someone3")}
    few = open_specimen(write_people(tmp_path / "few", range(3)))
    with pytest.raises(DataError, match="--threshold"):
        match_by_model(model, None, few, measure(few), compared)


def test_overlap_takes_each_image_of_an_unlabelled_set_alone(
    people: Path, model: str, tmp_path: Path
) -> None:
    for image in range(2):
        (tmp_path / f"{image}.png").write_bytes(encoded(pattern(5, 70 + image), "PNG"))
    train, other = open_specimen(people), open_specimen(tmp_path)
    matches = match_by_model(model, 0.98, train, measure(train), [(other, measure(other))])
    assert {(m.name, m.other_name) for m in matches} == {("p5", "0.png"), ("p5", "1.png")}


def test_noise_goes_to_the_people_that_are_alike(people: Path, model: str, tmp_path: Path) -> None:
    specimen = open_specimen(people)
    by_model = partial(centres_by_model, model)
    manifest = make_noise(
        specimen,
        str(tmp_path / "noisy.txt"),
        share=0.5,
        kind="similar",
        seed=3,
        checkpoint=model,
        by_model=by_model,
    )
    assert manifest["flipped"] == 15
    assert manifest["similar_by"] == "model"
    assert len(str(manifest["model_sha256"])) == 64
    plain = make_noise(specimen, str(tmp_path / "b.txt"), share=0.5, kind="symmetric", seed=3)
    assert "similar_by" not in plain


def test_without_a_model_mean_images_tell_who_is_alike(people: Path, tmp_path: Path) -> None:
    specimen = open_specimen(people)
    looks = mean_looks(measure(specimen), specimen.labels)
    assert looks.shape == (PEOPLE, 256)
    assert np.allclose(np.linalg.norm(looks, axis=1), 1)
    manifest = make_noise(specimen, str(tmp_path / "a"), share=0.2, kind="similar", seed=0)
    assert manifest["similar_by"] == "mean images"
    assert manifest["neighbours"] == 5


def test_noise_needs_an_image_of_every_class(people: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(people, tmp_path / "set"))
    for file in (root / "p2").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="p2"):
        make_noise(open_specimen(root), str(tmp_path / "a"), share=0.2, kind="similar", seed=0)
    assert not (tmp_path / "a").exists()
