"""Pictures of an evaluation are whole files that show every curve; nothing temporary stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfs_ray.trials.curve_pictures import cmc_picture, roc_picture, score_histogram
from lfs_ray.trials.image_sheet import SheetRow, image_sheet

FAR = np.array([0.0, 0.001, 0.01, 1.0])
TAR = np.array([0.2, 0.4, 0.8, 1.0])


def draw(name: str, path: Path) -> None:
    random = np.random.default_rng(0)
    if name == "roc":
        roc_picture({"first set": (FAR, TAR), "second set": (FAR, TAR / 2)}, path)
    elif name == "cmc":
        cmc_picture({"first set": (np.array([1, 5]), np.array([0.5, 0.9]))}, path)
    else:
        score_histogram(random.normal(0.5, 0.1, 50), random.normal(0, 0.1, 70), [0.3], path)


@pytest.mark.parametrize("name", ["roc", "cmc", "histogram"])
def test_an_svg_names_its_curves_and_axes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.svg"
    draw(name, path)
    text = path.read_text(encoding="utf-8")
    shown = {
        "roc": ("first set", "second set", "false accept rate"),
        "cmc": ("first set", "rank", "share of probes found"),
        "histogram": ("one person, 50 pairs", "two people, 70 pairs", "threshold"),
    }
    for words in shown[name]:
        assert f"<!-- {words} -->" in text
    assert [file.name for file in tmp_path.iterdir()] == ["a.svg"]


@pytest.mark.parametrize("name", ["roc", "cmc", "histogram"])
def test_a_png_holds_ink(tmp_path: Path, name: str) -> None:
    draw(name, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (768, 552)
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 10


def test_distractors_are_named_on_the_axis(tmp_path: Path) -> None:
    curve = (np.array([10, 1000]), np.array([0.9, 0.5]))
    cmc_picture({"faces, rank 1": curve}, tmp_path / "a.svg")
    assert "<!-- distractors -->" in (tmp_path / "a.svg").read_text()


def test_curves_without_an_impostor_in_front_are_drawn(tmp_path: Path) -> None:
    roc_picture({"all right": (np.array([0.0, 0.0, 1.0]), np.ones(3))}, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Format"):
        draw("roc", tmp_path / "a.nothing")
    assert not list(tmp_path.iterdir())


def test_a_sheet_shows_every_pair_where_it_belongs(tmp_path: Path) -> None:
    def plain(level: int) -> np.ndarray:
        return np.full((20, 20, 3), level, np.uint8)

    rows = [SheetRow(plain(10 * k), plain(10 * k + 5), f"two people, {k}") for k in range(7)]
    image_sheet(rows, tmp_path / "errors.png")
    with Image.open(tmp_path / "errors.png") as image:
        pixels = np.asarray(image)
    width, height = 2 * 112 + 18, 112 + 30 + 12
    assert pixels.shape == (2 * height, 5 * width, 3)
    for place in range(7):
        top, left = place // 5 * height + 50, place % 5 * width + 50
        assert pixels[top, left].tolist() == [10 * place] * 3
        assert pixels[top, left + 118].tolist() == [10 * place + 5] * 3
    assert [file.name for file in tmp_path.iterdir()] == ["errors.png"]
