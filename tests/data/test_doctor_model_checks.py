"""Findings of embeddings: planted mislabels, look-alike classes, swapped channels; none else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lfs_ray.data.doctor.model_checks import check_embeddings, check_swap, right_share
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.listing import Keys

PEOPLE, IMAGES, DIM = 12, 8, 32


def embeddings(seed: int = 0, spread: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Tight classes around random directions."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(PEOPLE), IMAGES)
    rows = rng.normal(size=(PEOPLE, DIM))[labels] / DIM**0.5
    rows = rows + spread * rng.normal(size=rows.shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), labels


def specimen(labels: np.ndarray) -> Specimen:
    return Specimen(
        path="set",
        form="test",
        keys=Keys.of(b"p%02d/%d.jpg" % (n // IMAGES, n % IMAGES) for n in range(len(labels))),
        written_labels=labels.astype(float),
        class_names=[f"p{label:02d}" for label in range(PEOPLE)],
        fetch=lambda place: Path("none").read_bytes(),
    )


def findings(labels: np.ndarray, rows: np.ndarray) -> dict[str, tuple[int, tuple[str, ...]]]:
    found = check_embeddings(specimen(labels), np.arange(len(labels)), rows)
    return {finding.name: (finding.count, finding.examples) for finding in found}


def test_clean_labels_give_nothing() -> None:
    rows, labels = embeddings()
    assert findings(labels, rows) == {}


def test_planted_mislabels_are_found_with_the_class_they_belong_to() -> None:
    rows, labels = embeddings(1)
    labels[[3, 40]] = [5, 2]
    count, examples = findings(labels, rows)["likely-mislabels"]
    assert count == 2
    told = {tuple(example.replace(",", ":").split(":")[::2]) for example in examples}
    assert {(key, other.split()[0]) for key, other in told} == {
        ("p00/3.jpg", "p00"),
        ("p05/0.jpg", "p05"),
    }


def test_one_person_under_two_labels_is_found() -> None:
    rows, labels = embeddings(2)
    labels[labels == 7] = np.where(np.arange(IMAGES) % 2, 7, PEOPLE)
    found = findings(labels, rows)
    assert found["alike-classes"][0] == 1
    assert set(found) == {"alike-classes"}


def test_images_without_label_and_single_images_are_left_out() -> None:
    rows, labels = embeddings(3)
    labels[:IMAGES] = -1
    labels[IMAGES] = PEOPLE + 3
    assert "likely-mislabels" not in findings(labels, rows)
    assert findings(np.zeros(len(labels)), rows) == {}


def test_swapped_channels_are_found_when_the_model_does_better_so() -> None:
    good, labels = embeddings(4)
    poor, _ = embeddings(4, spread=0.6)
    assert right_share(good, labels) == 1
    assert right_share(poor, labels) < 0.9
    (finding,) = check_swap(poor, good, labels)
    assert finding.name == "swapped-colours-by-model"
    assert finding.count == len(labels)
    assert check_swap(good, poor, labels) == []
    assert check_swap(good, good, labels) == []
    assert check_swap(good[:4], good[:4], np.zeros(4, int)) == []
