"""The page and the CSV file say what was found, whole, escaped, the same each time."""

from __future__ import annotations

import base64
import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import sick_sets
from PIL import Image
from sick_sets import files, pixels_of

from lfs_ray.data.doctor.examining import Report, examine
from lfs_ray.data.doctor.histogram import histogram
from lfs_ray.data.doctor.label_checks import ClassCounts
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.data.doctor.report_csv import COLUMNS, findings_csv, write_csv
from lfs_ray.data.doctor.report_html import html_page, verdict, write_html
from lfs_ray.errors import DataError


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    root = sick_sets.write_faces(tmp_path_factory.mktemp("sick") / "faces", prefix="<b>&")
    sick_sets.single_image(root)
    for file in files(root)[20:32]:
        file.write_bytes(b"no image")
    return examine(open_specimen(root))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "img", "line", "rect") or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_well_formed_and_needs_nothing_else(report: Report) -> None:
    page = html_page(report)
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert all(link.startswith("data:image/png;base64,") for link in tags.links)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page == html_page(report)


def test_the_page_tells_every_finding_with_its_examples(report: Report) -> None:
    tags = _Tags()
    tags.feed(html_page(report))
    text = "".join(tags.text)
    for finding in report.findings:
        assert f"{finding.severity}: {finding.name}" in text
        assert finding.kind.advice in text
        assert all(example in text for example in finding.examples)
    assert "and 2 more" in text
    assert verdict(report) in text
    assert verdict(report) == "not healthy: 1 fault, 1 notice"
    assert "<b>&_" in text
    assert "<b>&_" not in html_page(report)


def test_the_mean_image_is_the_mean(report: Report) -> None:
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html_page(report))
    shown = np.array(Image.open(BytesIO(base64.b64decode(data))), float)
    assert shown.shape == (56, 56, 3)
    good = [file for file in files(Path(report.specimen.path)) if file.stat().st_size > 100]
    wanted = np.mean([pixels_of(file).mean(axis=(0, 1)) for file in good], axis=0)
    assert np.allclose(shown.mean(axis=(0, 1)), wanted, atol=1)


def test_the_histogram_counts_every_identity_once() -> None:
    counts = np.array([1, 1, 2, 3, 4, 5, 9, 16, 17, 200])
    bins = histogram(ClassCounts(np.arange(10), counts))
    assert [(part.name, part.identities) for part in bins] == [
        ("1", 2),
        ("2", 1),
        ("3-4", 2),
        ("5-8", 1),
        ("9-16", 2),
        ("17-32", 1),
        ("33-64", 0),
        ("65-128", 0),
        ("129-256", 1),
    ]
    assert sum(part.images for part in bins) == counts.sum()
    assert histogram(ClassCounts(np.arange(1), np.array([5])))[0].name == "5-8"
    assert histogram(ClassCounts(np.arange(0), np.arange(0))) == []


def test_the_drawing_is_as_high_as_its_numbers(report: Report) -> None:
    (svg,) = re.findall(r"<svg.*?</svg>", html_page(report), re.S)
    bars = [float(bar.get("height", "0")) for bar in ElementTree.fromstring(svg).iter("rect")]
    counts = [part.identities for part in histogram(report.classes)]
    assert bars == pytest.approx([130 * count / max(counts) for count in counts], abs=0.06)


def test_the_csv_file_has_a_line_a_finding(report: Report, tmp_path: Path) -> None:
    write_csv(report, tmp_path / "findings.csv")
    text = (tmp_path / "findings.csv").read_text()
    assert text == findings_csv(report)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["name"] for row in rows] == [finding.name for finding in report.findings]
    assert rows[0]["examples"].split("\n") == list(report.findings[0].examples)
    assert int(rows[0]["count"]) == 12


def test_files_that_cannot_be_written_are_told(report: Report, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for place in (tmp_path / "no" / "page.html", tmp_path / "old"):
        with pytest.raises(DataError, match="writable"):
            write_html(report, place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_a_set_of_nothing_that_decodes_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"")
    report = examine(open_specimen(tmp_path))
    assert not report.is_healthy
    assert "<img" not in html_page(report)
