"""`lfs-ray data doctor`, `overlap` and `noise` as they are typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sick_sets
from sick_sets import files, fresh_copy, pixels_of
from tiny_models import write_model

from lfs_ray.cli import run


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sick_sets.write_faces(tmp_path_factory.mktemp("healthy") / "faces")


def test_a_healthy_set_gives_0(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "doctor", str(healthy), "--threads", "2"]) == 0
    out = capsys.readouterr().out
    assert "healthy: no faults, no notices" in out
    assert "144, of which 144 decode" in out


def test_a_fault_gives_1_and_all_outputs(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fresh_copy(healthy, tmp_path)
    files(root)[7].write_bytes(b"no image")
    outputs = ["--html", str(tmp_path / "page.html"), "--csv", str(tmp_path / "found.csv")]
    assert run(["data", "doctor", str(root), *outputs]) == 1
    out = capsys.readouterr().out
    assert "undecodable-images" in out
    assert "person_01/001.jpg" in out
    assert "not healthy: 1 fault, no notices" in out
    assert "undecodable-images" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "found.csv").read_text().startswith("severity,name,count")


def test_pairs_landmarks_and_other_sets(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fresh_copy(healthy, tmp_path)
    other = sick_sets.other_set(root)
    pairs = sick_sets.PLANTED["few-folds"][0](root).pairs
    landmarks = sick_sets.PLANTED["landmarks-missing"][0](root).landmarks
    more = ["--pairs", pairs, "--against", str(other), "--landmarks", landmarks]
    assert run(["data", "doctor", str(root), *more]) == 1
    out = capsys.readouterr().out
    assert "few-folds" in out
    assert "landmarks-missing" in out
    assert "1 fault, 1 notice" in out
    assert run(["data", "doctor", str(other), "--pairs", pairs, "--images", str(root)]) == 1
    assert "few-folds" in capsys.readouterr().out


def test_a_model_is_asked_where_it_is_given(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path)
    run(["data", "doctor", str(healthy), "--model", model])
    assert "likely-mislabels" in capsys.readouterr().out  # random weights: nearly all


def test_no_torch_without_a_model(healthy: Path) -> None:
    code = (
        "import sys; from lfs_ray.cli import run; "
        f"assert run(['data', 'doctor', {str(healthy)!r}]) == 0; "
        f"assert run(['data', 'overlap', {str(healthy)!r}, {str(healthy)!r}]) == 1; "
        "assert not {'torch', 'ray', 'pandas', 'matplotlib'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_overlap_finds_and_writes(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = fresh_copy(healthy, tmp_path)
    other = sick_sets.other_set(root)
    (other / "stranger_01").rename(other / "Person 04")
    (other / "stranger_02" / "x.jpg").write_bytes(sick_sets.brighter(pixels_of(files(root)[13])))
    names, listed = tmp_path / "names.txt", tmp_path / "remove.txt"
    names.write_text("person_06\n")
    listed.write_text("person_09\nnobody at all\n")
    args = ["data", "overlap", str(root), str(other), "--by", "names,hash"]
    more = ["--names", str(names), "--remove", str(listed), "--write", str(tmp_path / "clean.txt")]
    assert run([*args, *more, "--matches", str(tmp_path / "m.csv")]) == 0
    out = capsys.readouterr().out
    assert "1 lines name no identity of the set, such as 'nobody at all'" in out
    assert "4 of 24 identities to remove; 20 stay, with 120 of 144 images" in out
    removed = (tmp_path / "clean.txt.removed.tsv").read_text()
    assert [line.split("\t")[1] for line in removed.splitlines()[1:]] == [
        "person_02",
        "person_04",
        "person_06",
        "person_09",
    ]
    assert len((tmp_path / "m.csv").read_text().splitlines()) == 4


def test_keep_lists_keep(healthy: Path, tmp_path: Path) -> None:
    listed = tmp_path / "keep.txt"
    listed.write_text("".join(f"person_{number:02d}\n" for number in range(20)))
    args = ["data", "overlap", str(healthy), "--keep", str(listed)]
    assert run([*args, "--write", str(tmp_path / "clean.txt")]) == 0
    assert len((tmp_path / "clean.txt").read_text().splitlines()) == 120


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["overlap", "SET"], "TEST set"),
        (["overlap", "SET", "SET", "--by", "smell"], "names, pixels, hash, model"),
        (["overlap", "SET", "SET", "--by", "model"], "--model"),
        (["overlap", "SET", "SET", "--threshold", "3"], "--threshold"),
        (["noise", "SET", "x.txt", "--share", "2"], "share"),
        (["noise", "SET", "x.txt", "--share", ".1", "--model", "m"], "--kind similar"),
        (["noise", "SET", "x.txt", "--share", ".1", "--seed", "-1"], "--seed"),
        (["noise", "none", "x.txt", "--share", ".1"], "none"),
        (["doctor", "SET", "--threads", "-1"], "--threads"),
        (["doctor", "SET", "--landmarks", "none.txt"], "none.txt"),
    ],
)
def test_mistakes_are_one_line(
    args: list[str],
    says: str,
    healthy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["data", *(str(healthy) if arg == "SET" else arg for arg in args)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("lfs-ray: error: ")
    assert error.count("\n") == 1
    assert says in error
    assert not list(tmp_path.iterdir())


def test_noise_writes_list_and_manifest(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("symmetric", "similar"):
        target = tmp_path / f"{kind}.txt"
        args = ["data", "noise", str(healthy), str(target), "--share", "0.1", "--kind", kind]
        assert run([*args, "--seed", "4"]) == 0
        assert "14 of 144 labels flipped, 24 classes" in capsys.readouterr().out
        assert target.is_file()
        assert f'"kind": "{kind}"' in Path(f"{target}.json").read_text()
