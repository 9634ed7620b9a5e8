"""docs/losses.md is what the catalogue gives, and a stale page or picture is found."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import make_losses
import pytest
from loss_curves import NUM_CLASSES, Line, Picture, curves_of, digest
from loss_facts import docs_of, text_of
from loss_settings import PICTURES, picture_of
from make_losses import outdated
from markdown import anchors

from lfs_ray.losses.catalogue import LOSSES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGE = (DOCS / "losses.md").read_text("utf-8")
MOST_BYTES = 40_000


@dataclass(frozen=True)
class Entry:
    """What stands below one second-level heading."""

    name: str
    text: str


ENTRIES = [Entry(*part.split("\n", 1)) for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]]


def entry_of(name: str) -> str:
    (text,) = (entry.text for entry in ENTRIES if entry.name == name)
    return text


def test_page_and_pictures_are_current() -> None:
    assert outdated(DOCS) == [], f"run {make_losses.COMMAND}"


def test_every_loss_has_one_heading_in_the_catalogues_order() -> None:
    names = [entry.name for entry in ENTRIES if entry.name in LOSSES]
    assert names == list(LOSSES)
    assert set(LOSSES) <= anchors(PAGE)


@pytest.mark.parametrize("name", LOSSES)
def test_an_entry_holds_what_its_loss_says(name: str) -> None:
    text, spec = entry_of(name), LOSSES[name]
    docs = docs_of(spec)
    for option, known in spec.options.items():
        assert f"| `{option}` | `{text_of(known.default)}` | {known.allowed} |" in text
    assert docs.formula
    assert docs.formula in text
    assert docs.others_differ
    assert docs.others_differ in text
    assert f"(losses/{name}.svg)" in text
    assert re.search(r"\d{4}|eq\.|released", docs.source), docs.summary


def test_every_picture_is_small_and_of_a_loss() -> None:
    sizes = {path.stem: path.stat().st_size for path in (DOCS / "losses").iterdir()}
    assert set(sizes) == set(LOSSES)
    assert {name: size for name, size in sizes.items() if size >= MOST_BYTES} == {}
    assert set(PICTURES) <= set(LOSSES)


def test_the_readme_counts_the_losses() -> None:
    said = re.findall(r"\[(\d+)\s+losses\]\(docs/losses\.md\)", (ROOT / "README.md").read_text())
    assert set(said) <= {str(len(LOSSES))}
    assert "docs/losses.md" in (ROOT / "README.md").read_text()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(DOCS, tmp_path / "docs")
    return tmp_path / "docs"


def test_what_is_out_of_date_is_named(copied: Path) -> None:
    page, pictures = copied / "losses.md", copied / "losses"
    page.write_text(PAGE.replace("ArcFace eq. 3", "ArcFace eq. 4", 1))
    (pictures / "arcface.svg").unlink()
    shutil.copy(pictures / "circle.svg", pictures / "normface.svg")
    shutil.copy(pictures / "circle.svg", pictures / "square.svg")
    assert outdated(copied) == [
        "losses.md differs",
        "losses/square.svg belongs to no loss",
        "losses/normface.svg shows other numbers",
        "losses/arcface.svg is missing",
    ]


def test_check_fails_with_one_line_that_says_what_to_run(copied: Path) -> None:
    (copied / "losses.md").unlink()
    done = subprocess.run(
        [sys.executable, copied / "make_losses.py", "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "losses.md is missing" in line
    assert line.endswith("run python docs/make_losses.py")


def test_writing_again_draws_what_was_missing_in_the_same_bytes(copied: Path) -> None:
    (copied / "losses" / "normface.svg").unlink()
    (copied / "losses.md").write_text("")
    make_losses.write(copied)
    assert outdated(copied) == []
    drawn, kept = (folder / "losses" / "normface.svg" for folder in (copied, DOCS))
    assert b"numbers " in drawn.read_bytes()
    make_losses.write(copied)
    assert len(list((copied / "losses").iterdir())) == len(LOSSES)
    assert drawn.read_bytes().count(b"<path") == kept.read_bytes().count(b"<path")


@pytest.mark.parametrize(
    ("name", "picture", "angle_deg", "expected"),
    [
        ("am_softmax", Picture(), 60.0, 0.5 - 0.35),
        ("global", Picture(lines=(Line(theta=(0.2,)),), from_loss=True), 90.0, -0.2),
        ("softmax", Picture(inner_products=True), 0.0, 1.0),
        ("softmax", Picture(inner_products=True), 180.0, -1.0),
        ("npcface", Picture(), 45.0, math.cos(math.pi / 4.0 + 0.4)),
        ("npcface", Picture(), 60.0, math.cos(math.pi / 3.0 + 0.4 + 0.2 * 0.2)),
    ],
)
def test_target_curves_are_those_of_the_formulas(
    name: str, picture: Picture, angle_deg: float, expected: float
) -> None:
    (curve,) = curves_of(name, picture)
    assert dict(curve.target)[angle_deg] == pytest.approx(expected, abs=1e-9)


def test_loss_curves_are_those_of_the_formulas() -> None:
    (plain,) = curves_of("normface", Picture())
    for x, loss in plain.loss:
        assert loss == pytest.approx(math.log1p(math.exp(-x)), abs=1e-9)
    (margin,) = curves_of("am_softmax", Picture())
    assert dict(margin.loss)[0.0] == pytest.approx(64.0 * 0.35, abs=1e-8)


def test_the_digest_tells_numbers_apart() -> None:
    pictures = [Picture(), Picture(other=0.1), Picture(times=1.001), Picture(axis="p")]
    digests = {digest(curves_of("normface", picture)) for picture in pictures}
    assert len(digests) == len(pictures)
    assert digest(curves_of("normface", pictures[0])) in digests


def test_a_taylor_picture_shows_the_expansion_of_cross_entropy() -> None:
    picture = picture_of("taylor")
    (curve,) = curves_of("taylor", picture)
    assert picture.times == NUM_CLASSES
    at_half = dict(curve.loss)[0.5]
    assert at_half == pytest.approx(0.6931471805599453, abs=1e-6)
