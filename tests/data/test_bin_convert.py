from __future__ import annotations

import json
from pathlib import Path

import generated_sets
import numpy as np
import pytest

from lfs_ray.cli import run
from lfs_ray.data.bin_convert import convert_bin
from lfs_ray.data.bin_set import read_bin_set
from lfs_ray.data.pairs import check_images, pairs_of_bin, read_pairs
from lfs_ray.data.store import open_store
from lfs_ray.errors import DataError


@pytest.fixture
def bin_file(tmp_path: Path) -> Path:
    return generated_sets.bin_set(tmp_path / "set") / "lfw.bin"


def test_a_converted_set_holds_the_same_pairs_and_bytes(bin_file: Path, tmp_path: Path) -> None:
    done = convert_bin(bin_file, tmp_path / "plain")
    assert (done.pairs, done.same, done.height_width_px) == (120, 60, (32, 32))
    assert not done.is_swapped
    found, before = read_pairs(tmp_path / "plain" / "pairs.tsv"), read_bin_set(bin_file)
    store = open_store(tmp_path / "plain")
    check_images(found, store)
    assert [store.read(key) for key in found.keys] == before.images
    expected = pairs_of_bin(before, "x.bin")
    for name in ("first", "second", "same", "fold", "identity"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    manifest = json.loads((tmp_path / "plain" / "manifest.json").read_text())
    assert manifest["source"]["kind"] == ".bin set"
    assert manifest["images"] == 240


def test_nothing_is_left_of_a_set_that_is_refused(bin_file: Path, tmp_path: Path) -> None:
    bin_file.write_bytes(bin_file.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"lfw\.bin must be a `\.bin` set"):
        convert_bin(bin_file, tmp_path / "plain")
    assert [place.name for place in tmp_path.iterdir()] == ["set"]


def test_the_command(bin_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "convert", str(bin_file), str(tmp_path / "plain")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        f"120 pairs (60 same) of 32 x 32 images in {tmp_path / 'plain'}\nmean red"
    )
    assert "exchanged" not in shown
    assert run(["data", "convert", str(bin_file), str(tmp_path / "plain")]) == 1
    assert "plain exists" in capsys.readouterr().err
