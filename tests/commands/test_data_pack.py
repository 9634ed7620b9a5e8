"""`lfs-ray data pack` from the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from image_samples import encoded, pixels_of

from lfs_ray import cli
from lfs_ray.commands import packing_progress
from lfs_ray.commands.packing_progress import PackingCount
from lfs_ray.data import pack as pack_module

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of 60 images."""
    root = tmp_path / "images"
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for place in range(60):
            (root / name / f"{place:02d}.png").write_bytes(encoded(pixels_of(place, 8), "PNG"))
    return root


def lfs_ray(*words: object) -> int:
    return cli.run([str(word) for word in words])


def test_what_it_prints(images: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "set"
    assert lfs_ray("data", "pack", images, target, "--threads", 1) == 0
    said = capsys.readouterr()
    first, second, third = said.out.splitlines()
    assert first == f"120 images of 2 classes in {target}"
    assert second == (
        "verified: 120 images read back, checksums of 1 shard match, 120 images decoded"
    )
    assert re.fullmatch(r"120 images packed now, [0-9]+ images/s", third)
    assert said.err == ""


def test_options_arrive(images: Path, tmp_path: Path) -> None:
    listing = tmp_path / "some.lst"
    listing.write_text("a/00.png 0\nb/01.png 1\n")
    words = ("--list", listing, "--size-px", 4, "--format", "png", "--kind", "list")
    assert lfs_ray("data", "pack", images, tmp_path / "set", *words) == 0
    manifest = json.loads((tmp_path / "set/manifest.json").read_text())
    assert manifest["images"] == 2
    assert manifest["changed"] == {"size_px": 4, "format": "png"}
    assert lfs_ray("data", "pack", images, images, tmp_path / "two", "--quality", 90) == 0
    manifest = json.loads((tmp_path / "two/manifest.json").read_text())
    assert [row["name"] for row in manifest["source"]["sources"]] == ["images", "images-2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["only-one"], "lfs-ray data pack: the following arguments are required: DST"),
        (["{images}", "{images}"], "must be a new directory, {images} exists"),
        (["{tmp}/none", "{tmp}/set"], "{tmp}/none"),
        (["{images}", "{tmp}/set", "--threads", "-1"], "packing needs threads >= 0, got -1"),
        (["{images}", "{tmp}/set", "--quality", "0"], "quality 1 to 100"),
        (["{images}", "{tmp}/set", "--format", "gif"], "invalid choice: 'gif'"),
        (["{images}", "{tmp}/set", "--landmarks", "{tmp}/no"], "landmarks {tmp}/no must be"),
    ],
)
def test_mistakes_are_one_line(
    images: Path, tmp_path: Path, capsys: Capture, words: list[str], message: str
) -> None:
    said = [word.format(images=images, tmp=tmp_path) for word in words]
    assert lfs_ray("data", "pack", *said) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message.format(images=images, tmp=tmp_path) in line
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_an_interrupt_says_what_is_kept(
    images: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pack_module, "_blocks", interrupted)
        assert lfs_ray("data", "pack", images, tmp_path / "set") == 130
    assert capsys.readouterr().err == "lfs-ray: interrupted: nothing is kept\n"
    with monkeypatch.context() as patched:
        patched.setattr(pack_module.PackedWriter, "finish", interrupted)
        assert lfs_ray("data", "pack", images, tmp_path / "set") == 130
    assert capsys.readouterr().err == (
        f"lfs-ray: interrupted: the same command goes on from {tmp_path}/.set.unfinished\n"
    )
    assert lfs_ray("data", "pack", images, tmp_path / "set") == 0
    assert "\n0 images packed now" in capsys.readouterr().out


def test_lines_where_there_is_no_terminal(
    images: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing_progress, "_LINE_EVERY_S", 0.0)
    assert lfs_ray("data", "pack", images, tmp_path / "set") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "packing: 0 of 120 images, 0 images/s"
    assert re.fullmatch(r"packing: 40 of 120 images, [0-9]+ images/s, 0:00:0\d left", lines[1])
    assert lines[-1].startswith("packing: 120 of 120 images, ")


def test_the_rate_is_of_this_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 110.0, 110.0, 110.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    count = PackingCount()
    count.update(5_000, 20_000)
    count.update(8_000, 20_000)
    assert count.num_packed == 3_000
    assert count.images_per_s == 300.0
    assert count.line() == "packing: 8000 of 20000 images, 300 images/s, 0:00:40 left"


@pytest.mark.slow
def test_ctrl_c_in_a_shell(images: Path, tmp_path: Path) -> None:
    """The signal itself, in a process of its own, at any time: the same set in the end."""
    code = (
        "import sys, time; from lfs_ray import cli; from lfs_ray.data.packing import folder\n"
        "read = folder.read_image_file\n"
        "folder.read_image_file = lambda path: (time.sleep(0.2), read(path))[1]\n"
        f"sys.exit(cli.run(['data', 'pack', {str(images)!r}, {str(tmp_path / 'set')!r}]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / ".set.unfinished/data.lmdb").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.startswith("lfs-ray: interrupted: ")
    assert not (tmp_path / "set").exists()
    assert lfs_ray("data", "pack", images, tmp_path / "set") == 0
