"""The command line, in this process and without Ray: what it does, says, leaves and exits with."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from broken_faces import break_images
from tiny_runs import (
    IMAGES_EACH,
    NUM_IDENTITIES,
    content_of,
    lfs_ray,
    write_config,
    write_faces,
    write_pairs,
)

import lfs_ray as package
from lfs_ray import cli
from lfs_ray.data.store import LmdbStore
from lfs_ray.execution.trial_runner import TrialRunner
from lfs_ray.search.messages import Lease, Outcome
from lfs_ray.trials.read import read_trials
from lfs_ray.trials.schema import RESULT_COLUMNS, column_names

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_faces(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def config_file(faces: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("configuration")
    return write_config(folder, faces, optimizer={"schedule": "constant"})


@pytest.fixture(scope="module")
def finished(config_file: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert lfs_ray("search", config_file, "--run-dir", str(folder)) == 0
    return folder


def errors_of(capsys: Capture) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("lfs-ray: error: ") for line in lines), lines
    return [line.removeprefix("lfs-ray: error: ") for line in lines]


def results_of(run: Path) -> list[list[object]]:
    frame = read_trials(run).reset_index()
    frame["parent_round"] = frame["parent_round"].astype("float")
    names = column_names(["margin"], RESULT_COLUMNS)
    return [[str(value) for value in row] for row in frame[names].to_numpy(dtype=object).tolist()]


def interrupt_at(monkeypatch: pytest.MonkeyPatch, trial: int) -> None:
    """Ctrl-C when so many trials were trained."""
    train, trained = TrialRunner.train, []

    def until(self: TrialRunner, lease: Lease) -> Outcome:
        if len(trained) == trial:
            raise KeyboardInterrupt
        trained.append(lease)
        return train(self, lease)

    monkeypatch.setattr(TrialRunner, "train", until)


# ---- a search


def test_a_search_leaves_a_run(finished: Path) -> None:
    names = set(content_of(finished))
    for name in (
        "config.toml",
        "environment.toml",
        "split.json",
        "results.csv",
        "populations/main/schedule.toml",
        "populations/main/model.safetensors",
    ):
        assert name in names
    assert not [name for name in names if ".tmp-" in name]
    trials = read_trials(finished)
    assert len(trials) == 4
    assert trials["reward"].between(0.0, 1.0).all()


def test_a_finished_run_says_so_whatever_is_asked(
    finished: Path, config_file: str, capsys: Capture
) -> None:
    before = content_of(finished)
    for words in (
        [config_file],
        [config_file, "--search.rounds", "9"],
        [],
        [config_file, "--resume", "auto"],
        ["--resume", "must"],
        ["--resume", "must", "--logging.live", "never"],
        ["--resume", "must", "--dry-run"],
    ):
        assert lfs_ray("search", *words, "--run-dir", str(finished)) == 0
        assert capsys.readouterr().out == f"The run {finished} is finished: nothing to do.\n"
    assert content_of(finished) == before


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    config_file: str, tmp_path: Path, capsys: Capture
) -> None:
    run = tmp_path / "run"
    assert lfs_ray("search", config_file, "--run-dir", str(run), "--dry-run") == 0
    plan = capsys.readouterr().out
    assert f"Run        {run}" in plan
    assert "48 images of 8 identities; reward on 80 pairs" in plan
    assert "tiny, 32 px, embedding 8, 7316 parameters" in plan
    assert "2 rounds x 2 members x 24 images = 96 images" in plan
    assert not run.exists()


def test_without_a_directory_a_dated_one_is_made(
    config_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lfs_ray("search", config_file, "--search.rounds=1") == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"tiny-\d{8}-\d{6}", run.name)
    assert f"Trials: lfs-ray trials runs/{run.name}" in capsys.readouterr().out


def test_a_run_may_lie_in_the_working_directory(
    config_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lfs_ray("search", config_file, "--run-dir", ".", "--search.rounds", "1") == 0
    assert lfs_ray("search", "--run-dir", ".", "--resume", "must", "--search.rounds", "2") == 0
    assert len(read_trials(tmp_path)) == 4


# ---- resume


def test_an_unfinished_run_shows_the_command_that_continues_it(
    finished: Path,
    config_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    run = tmp_path / "a run"
    search = ("search", config_file, "--run-dir", str(run), "--search.seed", "0")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert lfs_ray(*search) == 130
    assert errors_of_interrupt(capsys) == "lfs-ray: interrupted"
    before = content_of(run)
    assert lfs_ray(*search) == 1
    (line,) = errors_of(capsys)
    assert content_of(run) == before
    found = re.fullmatch(
        r"a run that exists must be resumed, found an unfinished one at .*: "
        r"continue it with `lfs-ray (.*)`",
        line,
    )
    assert found, line
    monkeypatch.chdir("/")
    assert lfs_ray(*shlex.split(found[1])) == 0
    assert results_of(run) == results_of(finished)
    model = "populations/main/model.safetensors"
    assert (run / model).read_bytes() == (finished / model).read_bytes()


def errors_of_interrupt(capsys: Capture) -> str:
    return capsys.readouterr().err.strip()


def test_auto_begins_and_continues(
    finished: Path, config_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    search = ("search", config_file, "--run-dir", str(run), "--resume=auto")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2)
        assert lfs_ray(*search) == 130
    assert lfs_ray(*search) == 0
    assert results_of(run) == results_of(finished)


def test_rounds_may_be_added_where_the_learning_rate_does_not_depend_on_them(
    config_file: str, tmp_path: Path, capsys: Capture
) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    assert lfs_ray("search", config_file, "--run-dir", str(short), "--search.rounds", "1") == 0
    resume = ("search", "--run-dir", str(short), "--resume", "must", "--search.rounds", "2")
    assert lfs_ray(*resume) == 0
    assert lfs_ray("search", config_file, "--run-dir", str(long)) == 0
    assert results_of(short) == results_of(long)
    capsys.readouterr()
    assert lfs_ray("search", "--run-dir", str(short), "--resume=must", "--search.rounds=1") == 1
    (line,) = errors_of(capsys)
    assert line.startswith("a resume must not lower search.rounds, got 1 instead of 2")


def test_a_report_set_may_be_added_to_a_finished_run(
    faces: str, config_file: str, tmp_path: Path, capsys: Capture
) -> None:
    run = tmp_path / "run"
    assert lfs_ray("search", config_file, "--run-dir", str(run), "--search.rounds", "1") == 0
    report = report_flags(faces, write_pairs(tmp_path / "p.tsv"))
    resume = ("search", "--run-dir", str(run), "--resume", "must")
    assert lfs_ray(*resume, *report) == 0
    assert "few_accuracy" in pd.read_csv(run / "results.csv")
    assert (run / "scores" / "few.parquet").exists()


@pytest.mark.parametrize(
    ("flags", "key"),
    [
        (["--loss.scale", "30"], "loss.scale"),
        (["--optimizer.learning-rate", "0.3"], "optimizer.learning_rate"),
        (["--worker.precision", "bf16"], "worker.precision"),
        (["--search.members", "3"], "search.members"),
        (["--run.seed", "3"], "run.seed"),
        (["--data.validation-share", "0.8"], "data.validation_share"),
    ],
)
def test_a_resume_refuses_a_change_by_name(
    finished: Path, capsys: Capture, flags: list[str], key: str
) -> None:
    before = content_of(finished)
    assert lfs_ray("search", "--run-dir", str(finished), "--resume", "must", *flags) == 1
    lines = errors_of(capsys)
    assert any(line.startswith(f"a resume must keep {key}, got ") for line in lines)
    assert content_of(finished) == before


def test_a_resume_on_other_data_is_refused_before_anything_is_written(
    finished: Path, faces: str, tmp_path: Path, capsys: Capture
) -> None:
    run, moved = tmp_path / "run", tmp_path / "faces"
    own = write_faces(tmp_path)
    assert own == str(moved)
    file = write_config(tmp_path, own, optimizer={"schedule": "constant"}, search={"rounds": 1})
    assert lfs_ray("search", file, "--run-dir", str(run)) == 0
    listing = (moved / "list.txt").read_text().splitlines()
    (moved / "list.txt").write_text("\n".join(reversed(listing)) + "\n")
    before = content_of(run)
    capsys.readouterr()
    resume = ("--run-dir", str(run), "--resume", "must", "--search.rounds", "2")
    assert lfs_ray("search", *resume) == 1
    (line,) = errors_of(capsys)
    assert line.startswith("a resume must see the data that its run began with, found digest")
    assert content_of(run) == before


@pytest.mark.parametrize("resume", ["must", "auto", "never"])
def test_a_directory_that_is_no_run_is_refused(
    config_file: str, tmp_path: Path, capsys: Capture, resume: str
) -> None:
    (tmp_path / "letter.txt").write_text("dear run")
    for place in (tmp_path, tmp_path / "letter.txt"):
        assert lfs_ray("search", config_file, "--run-dir", str(place), "--resume", resume) == 1
        (line,) = errors_of(capsys)
        assert line.startswith("--run-dir must be a run or a new directory, found ")
    assert content_of(tmp_path) == {"letter.txt": b"dear run"}


def test_what_must_be_resumed_must_be_there(
    config_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["--run-dir", "missing"], []):
        assert lfs_ray("search", config_file, *words, "--resume", "must") == 1
        (line,) = errors_of(capsys)
        assert line.startswith("--resume must needs a run to continue, found none at ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [b"[run", b"\xff\xfe", b'[run]\nname = 3\n[surch]\nx = "y"\n'])
def test_a_run_whose_configuration_is_broken_is_refused(
    tmp_path: Path, capsys: Capture, text: bytes
) -> None:
    (tmp_path / "config.toml").write_bytes(text)
    for resume in ("never", "must"):
        assert lfs_ray("search", "--run-dir", str(tmp_path), "--resume", resume) == 1
        assert errors_of(capsys)
    assert content_of(tmp_path) == {"config.toml": text}


# ---- bad input


def replace_in_list(old: str, new: str) -> Callable[[Path], None]:
    def change(faces: Path) -> None:
        text = (faces / "list.txt").read_text()
        assert text.count(old) >= 1
        (faces / "list.txt").write_text(text.replace(old, new))

    return change


def cut_lmdb(faces: Path) -> None:
    with (faces / "data.lmdb").open("r+b") as stream:
        stream.truncate(20_000)


def scribble_lmdb(faces: Path) -> None:
    (faces / "data.lmdb").write_bytes(b"no database" * 1000)


def remove(name: str) -> Callable[[Path], None]:
    return lambda faces: (faces / name).unlink()


@pytest.mark.parametrize(
    ("break_data", "told"),
    [
        (remove("list.txt"), r"training source .*faces must hold list\.txt"),
        (remove("data.lmdb"), r".*faces must be an LMDB"),
        (cut_lmdb, r"LMDB .*data\.lmdb must have \d+ bytes, it has 20000: the copy is cut off"),
        (scribble_lmdb, r".*data\.lmdb must be an LMDB file this user can read"),
        (
            replace_in_list("p00000/003.jpg 0\n", "p00000/003.jpg\n"),
            r".*list\.txt line 4 must be .key label., got .p00000/003\.jpg.",
        ),
        (
            replace_in_list("p00000/003.jpg 0\n", "p00000/003.jpg zero\n"),
            r".*list\.txt line 4 must end in an integer label",
        ),
        (
            replace_in_list("p00001/000.jpg 1\n", "p00001/nine.jpg 1\n"),
            r"key .p00001/nine\.jpg. must be in the LMDB .*, it is not$",
        ),
        (
            replace_in_list(f".jpg {NUM_IDENTITIES - 1}\n", f".jpg {NUM_IDENTITIES}\n"),
            r"labels must be 0 to C-1 without gaps, .*list\.txt has no label 27",
        ),
        (
            replace_in_list("p00000/000.jpg 0\n", "p00000/000.jpg -1\n"),
            r"labels must be 0 to C-1, .*list\.txt line 1 has label -1",
        ),
        (break_images, r"image .p000\d\d/000\.jpg. in "),
        (lambda faces: break_images(faces, NUM_IDENTITIES), r"image .p000\d\d/000\.jpg. in "),
    ],
    ids=[
        "no list",
        "no LMDB",
        "cut LMDB",
        "no database",
        "no label",
        "label no number",
        "key not in the LMDB",
        "labels with gaps",
        "negative label",
        "undecodable image",
        "undecodable images",
    ],
)
def test_bad_data_are_one_line_and_leave_nothing(
    tmp_path: Path, capsys: Capture, break_data: Callable[[Path], None], told: str
) -> None:
    faces = write_faces(tmp_path)
    break_data(Path(faces))
    file, run = write_config(tmp_path, faces), tmp_path / "runs" / "x"
    for words in (["--dry-run"], []):
        assert lfs_ray("search", file, "--run-dir", str(run), *words) == 1
        (line,) = errors_of(capsys)
        assert re.match(told, line), line
    assert not (tmp_path / "runs").exists()


def report_keys(faces: str, pairs: str) -> dict[str, Any]:
    """A report set of people that are trained on: its accuracy means nothing."""
    return {"images": faces, "pairs": pairs, "shares_people": True}


def report_flags(faces: str, pairs: str) -> list[str]:
    keys = report_keys(faces, pairs)
    return [f"--report.few.{key}={value}" for key, value in keys.items()]


def pair_keys(faces: str, path: str) -> dict[str, Any]:
    return {"data": {"validation_images": faces, "validation_pairs": path}}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            ["0\t1\tp00000/000.jpg\tp00000/777.jpg"],
            r"all .* images of the pairs .* 1 are missing",
        ),
        (["0\tyes\ta\tb"], r".*pairs\.tsv line 10 must have a fold"),
        (["7\t1\tp00000/000.jpg\tp00000/002.jpg"], None),
    ],
)
@pytest.mark.parametrize("place", ["validation", "report"])
def test_bad_pairs_are_one_line_and_leave_nothing(
    faces: str, tmp_path: Path, capsys: Capture, rows: list[str], told: str | None, place: str
) -> None:
    path = write_pairs(tmp_path / "pairs.tsv", *rows)
    sections: dict[str, Any] = (
        pair_keys(faces, path)
        if place == "validation"
        else {"report": {"few": report_keys(faces, path)}}
    )
    file, run = write_config(tmp_path, faces, **sections), tmp_path / "run"
    code = lfs_ray("search", file, "--run-dir", str(run), "--dry-run")
    if told is None:  # a fold with one kind of pair has its threshold from the others
        assert code == 0
        return
    assert code == 1
    (line,) = errors_of(capsys)
    assert re.match(told, line), line
    assert not run.exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [("pairs", "must be a readable file"), ("images", "must be a folder of images or an LMDB")],
)
def test_missing_pair_files_are_one_line(
    faces: str, tmp_path: Path, capsys: Capture, name: str, told: str
) -> None:
    paths = {"images": faces, "pairs": write_pairs(tmp_path / "pairs.tsv"), name: "/none/such"}
    file = write_config(tmp_path, faces, report={"few": paths})
    assert lfs_ray("search", file, "--run-dir", str(tmp_path / "run")) == 1
    (line,) = errors_of(capsys)
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", ["the reward's pairs", "report.few.pairs"])
def test_pairs_that_no_rule_can_score_are_found_before_training(
    faces: str, tmp_path: Path, capsys: Capture, place: str
) -> None:
    path = tmp_path / "pairs.tsv"
    rows = ["0\t1\tp00000/000.jpg\tp00000/001.jpg", "1\t0\tp00000/000.jpg\tp00001/001.jpg"]
    path.write_text("\n".join(["fold\tsame\ta\tb", *rows]) + "\n")
    report = {"report": {"few": report_keys(faces, str(path))}}
    sections = report if place.startswith("report") else pair_keys(faces, str(path))
    file = write_config(tmp_path, faces, **sections)
    assert lfs_ray("search", file, "--run-dir", str(tmp_path / "run")) == 1
    (line,) = errors_of(capsys)
    assert line.startswith(f"{place}: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"data": {"validation_share": 0.4}}, r"pairs in 10 folds need 20 identities"),
        ({"data": {"validation_pairs_per_fold": 500}}, r"fold 0 must have 500 same pairs"),
        ({"data": {"train": ["/none/such"]}}, r"training source /none/such must exist"),
        ({"data": {"validation_share": 0.999}}, r"both sides of the split"),
        ({"search": {"members": 1}}, r"search\.members must be at least 2 for policy pgpe"),
        ({"search": {"membres": 3}}, r"keys must be known, got search\.membres .*search\.members"),
        ({"search": {"members": "two"}}, r"search\.members must be a whole number, got 'two'"),
        ({"surch": {"members": 3}}, r"keys must be known, got surch"),
        (
            {"search": {"space": "released-local"}},
            r"search\.space must be one of margin, .* for loss global, got released-local: ",
        ),
        (
            {"loss": {"name": "arcfase"}},
            r"loss\.name must be one of .*'arcfase': did you mean 'arcface'",
        ),
        (
            {"loss": {"name": "arcface", "margin": 4}, "search": {"policy": "fixed"}},
            r"option margin of loss 'arcface' must be in \[0, 3\.1416\), found 4\.0: ",
        ),
        ({"search": {"sigma": "wide"}}, r"search\.sigma must be a number or a list of numbers"),
        ({"search": {"start": 1.5}}, r"search\.start must lie in \[0, 1\] .*, got 1\.5: "),
        ({"search": {"sigma": -1}}, r"search\.sigma must be above 0, got -1\.0: raise it"),
    ],
)
def test_a_bad_configuration_is_one_line_and_leaves_nothing(
    faces: str, tmp_path: Path, capsys: Capture, sections: dict[str, Any], told: str
) -> None:
    file = write_config(tmp_path, faces, **sections)
    assert lfs_ray("search", file, "--run-dir", str(tmp_path / "run")) == 1
    (line,) = errors_of(capsys)
    assert re.match(told, line), line
    assert not (tmp_path / "run").exists()


def test_images_without_a_second_one_make_no_pairs(
    faces: str, tmp_path: Path, capsys: Capture
) -> None:
    folder, store = tmp_path / "folder", LmdbStore(faces)
    for person in range(NUM_IDENTITIES):
        (folder / f"p{person}").mkdir(parents=True)
        (folder / f"p{person}" / "0.jpg").write_bytes(store.read(f"p{person:05d}/000.jpg"))
    assert lfs_ray("data", "pack", str(folder), str(tmp_path / "packed")) == 0
    file = write_config(tmp_path, str(tmp_path / "packed"))
    assert lfs_ray("search", file, "--run-dir", str(tmp_path / "run")) == 1
    (line,) = errors_of(capsys)
    assert "identities with two images or more, 0 of 20 have them" in line
    assert not (tmp_path / "run").exists()


def test_several_mistakes_are_told_at_once(faces: str, tmp_path: Path, capsys: Capture) -> None:
    file = write_config(
        tmp_path, faces, search={"membres": 3, "rounds": 1.5}, loss={"scale": -1.0}
    )
    flags = ("--optimizer.batch-size", "many", "--model.deep", "3")
    assert lfs_ray("search", file, "--run-dir", str(tmp_path / "run"), *flags) == 1
    lines = errors_of(capsys)
    assert len(lines) == 5
    for key in ("membres", "search.rounds", "loss.scale", "optimizer.batch_size", "model.deep"):
        assert sum(key in line for line in lines) == 1, key
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serch"], "the command must be one of"),
        (["data", "unpack"], f"the command must be one of {', '.join(cli.COMMANDS)}, got 'data u"),
        (["search", "/none/such.toml"], "the configuration file must be readable"),
        (["search", "--resume", "maybe"], "--resume must be one of never, auto, must"),
        (["search", "--run-dir"], "--run-dir must be followed by a value"),
        (["search", "--run-dir", "--dry-run"], "--run-dir must be followed by a value"),
        (["search", "--schedule", "x"], "flags must be known, got --schedule"),
        (["search", "--run-dir", "gopher://x/y"], "storage must be a path or a URI"),
        (["train", "--schedule", "/none/such.toml"], "--schedule must be a schedule.toml"),
        (["trials"], "lfs-ray trials: the following arguments are required: DIR"),
        (["trials", "/none/such"], "/none/such must be a run directory"),
        (["evaluate", "/none/c.safetensors", "."], "the files of . must tell their protocol"),
        (["evaluate", "/", "/none/p"], "the set must be a file or folder, nothing lies at /none"),
        (["evaluate", "c", "p", "--rule", "mine"], "lfs-ray evaluate: argument --rule"),
        (["data", "pack", "/none/such", "/none/dst"], "/none/such must be a folder of images"),
        (["data", "synthesize", "x", "--seed", "-1"], "synthetic faces: seed must be 0 to"),
        (["data", "synthesize", "x", "--images", "few"], "lfs-ray data synthesize: argument"),
        (["search", "--run-dir", "/proc/none/x", "--dry-run", "--run.sed", "1"], "flags must be"),
    ],
)
def test_a_wrong_command_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lfs_ray(*words) == 1
    (line,) = errors_of(capsys)
    assert line.startswith(told), line
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(config_file: str, capsys: Capture) -> None:
    assert lfs_ray("search", config_file, "--run-dir", "/proc/none/run") == 1
    (line,) = errors_of(capsys)
    assert "/proc/none/run" in line


def test_what_the_system_refuses_is_one_line(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full(args: list[str]) -> None:
        raise OSError(28, "No space left on device", "/data/x")

    monkeypatch.setattr("lfs_ray.commands.trials.run", full)
    assert lfs_ray("trials", str(finished)) == 1
    (line,) = errors_of(capsys)
    assert "No space left on device: '/data/x'" in line


# ---- trials that fail


def test_when_all_members_fail_the_run_stops_and_goes_on_after_the_repair(
    finished: Path, tmp_path: Path, capsys: Capture
) -> None:
    # All images break between the driver's look at them and the training, and are mended after.
    faces = write_faces(tmp_path)
    file = write_config(tmp_path, faces, optimizer={"schedule": "constant"})
    run, lmdb_file = tmp_path / "run", Path(faces) / "data.lmdb"
    whole = lmdb_file.read_bytes()
    train = TrialRunner.train

    def break_first(self: TrialRunner, lease: Lease) -> Outcome:
        if lmdb_file.read_bytes() != whole:
            return train(self, lease)
        program = (
            f"from broken_faces import break_images; break_images({faces!r}, {NUM_IDENTITIES})"
        )
        subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent)
        return train(self, lease)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrialRunner, "train", break_first)
        assert lfs_ray("search", file, "--run-dir", str(run)) == 1
    (line,) = errors_of(capsys)
    assert line.startswith("at least one member of round 0 of population main must survive, all 2")
    assert "/000.jpg" in line
    command = re.search(r"correct the cause and resume: `lfs-ray (.*)`$", line)
    assert command, line
    assert "no trials yet" in trials_text(run, capsys)
    lmdb_file.write_bytes(whole)
    assert lfs_ray(*shlex.split(command[1])) == 0
    own, others = results_of(run), results_of(finished)
    assert own == others


def test_a_loss_that_explodes_in_all_members_stops_the_run_with_the_reason(
    config_file: str, tmp_path: Path, capsys: Capture
) -> None:
    flags = ("--optimizer.learning-rate=1e30", "--optimizer.clip-norm=0")
    limit = "--optimizer.max-nonfinite-steps=0"
    run = str(tmp_path / "run")
    assert lfs_ray("search", config_file, "--run-dir", run, *flags, limit) == 1
    (line,) = errors_of(capsys)
    assert "(member 0: TrainingError: at most 0 steps of a trial may be non-finite" in line
    assert "lower optimizer.learning_rate" in line


def trials_text(run: Path, capsys: Capture) -> str:
    assert lfs_ray("trials", str(run)) == 0
    return capsys.readouterr().out


def test_a_member_whose_loss_is_not_a_number_is_a_failed_row(
    config_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    train, run = TrialRunner.train, tmp_path / "run"

    def fail(self: TrialRunner, lease: Lease) -> Outcome:
        outcome = train(self, lease)
        return Outcome(train_loss=float("nan")) if lease.member == 1 else outcome

    monkeypatch.setattr(TrialRunner, "train", fail)
    assert lfs_ray("search", config_file, "--run-dir", str(run)) == 0
    trials = read_trials(run)
    failed = trials.xs(1, level="member")
    assert failed["status"].tolist() == ["failed", "failed"]
    assert failed[["reward", "advantage"]].isna().all(axis=None)
    assert trials.xs(0, level="member")["selected"].all()


def test_images_up_to_the_limit_are_skipped(tmp_path: Path, capsys: Capture) -> None:
    faces = write_faces(tmp_path)
    break_images(Path(faces), NUM_IDENTITIES)
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(Path(write_pairs(pairs)).read_text().replace("000.jpg", "002.jpg"))
    data = {**pair_keys(faces, str(pairs))["data"], "max_bad_images": NUM_IDENTITIES}
    file = write_config(tmp_path, faces, data=data, search={"rounds": 1, "round_epochs": 1.0})
    assert lfs_ray("search", file, "--run-dir", str(tmp_path / "run")) == 0
    assert (read_trials(tmp_path / "run")["status"] == "ok").all()
    assert f"{NUM_IDENTITIES * IMAGES_EACH} images" in capsys.readouterr().out


# ---- the other commands


def test_trials_prints_and_writes_the_table(
    finished: Path, tmp_path: Path, capsys: Capture
) -> None:
    text = trials_text(finished, capsys)
    assert len(text.splitlines()) == 5
    assert lfs_ray("trials", str(finished), "--sort", "reward") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    column = rows[0].index("reward")
    rewards = [float(row[column]) for row in rows[1:]]
    assert rewards == sorted(rewards, reverse=True)
    file = tmp_path / "trials.csv"
    assert lfs_ray("trials", str(finished), "--sort", "reward", "--csv", str(file)) == 0
    assert len(pd.read_csv(file)) == 4
    assert capsys.readouterr().out == f"4 trials written to {file}\n"
    assert lfs_ray("trials", str(finished), "--sort", "rewrad") == 1
    (line,) = errors_of(capsys)
    assert "rewrad" in line
    assert lfs_ray("trials", str(finished), "--csv", "/none/such/x.csv") == 1
    assert len(errors_of(capsys)) == 1


def test_evaluate_scores_a_model_as_the_run_does(
    faces: str, config_file: str, tmp_path: Path, capsys: Capture
) -> None:
    run, pairs = tmp_path / "run", write_pairs(tmp_path / "pairs.tsv")
    report = report_flags(faces, pairs)
    assert lfs_ray("search", config_file, "--run-dir", str(run), "--search.rounds=1", *report) == 0
    (expected,) = pd.read_csv(run / "results.csv")["few_accuracy"]
    model = run / "populations" / "main" / "model.safetensors"
    (checkpoint,) = model.parent.glob("checkpoints/*.safetensors")
    capsys.readouterr()
    for file in (model, checkpoint):
        out = tmp_path / file.stem
        words = ["evaluate", str(file), pairs, "--images", faces, "--out", str(out)]
        assert lfs_ray(*words) == 0
        (found,) = pd.read_csv(out / "table.csv").query("metric == 'accuracy'").itertuples()
        assert found.value == pytest.approx(expected, abs=1e-9)
        assert (found.count, found.rule, found.flip) == (8, "insightface", "sum")
        assert f" {found.value:.4f} " in capsys.readouterr().out
    words = ["evaluate", str(model), pairs, "--images", faces, "--no-flip", "--no-files"]
    assert lfs_ray(*words) == 0
    assert "flip none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("config.toml", "must be a safetensors checkpoint, found"),
        (".", "the checkpoint must be a readable file"),
        ("populations/main/model.safetensors/x", "the checkpoint must be a readable file"),
    ],
)
def test_evaluate_takes_checkpoints_only(
    finished: Path, tmp_path: Path, capsys: Capture, name: str, told: str
) -> None:
    pairs = write_pairs(tmp_path / "pairs.tsv")
    assert lfs_ray("evaluate", str(finished / name), pairs) == 1
    (line,) = errors_of(capsys)
    assert told in line


def test_evaluate_names_missing_images(finished: Path, tmp_path: Path, capsys: Capture) -> None:
    model = str(finished / "populations/main/model.safetensors")
    assert lfs_ray("evaluate", model, write_pairs(tmp_path / "pairs.tsv")) == 1
    (line,) = errors_of(capsys)
    assert line.startswith("all 12 images of the pairs must be in")
    assert lfs_ray("evaluate", model, str(tmp_path / "none.tsv")) == 1
    assert len(errors_of(capsys)) == 1


def test_train_is_one_member_under_one_loss(faces: str, tmp_path: Path, capsys: Capture) -> None:
    file = write_config(tmp_path, faces, loss={"name": "arcface"})
    run = tmp_path / "run"
    assert lfs_ray("train", file, "--run-dir", str(run), "--loss.margin", "0.3") == 0
    trials = read_trials(run)
    assert len(trials) == 2
    assert trials["method"].tolist() == ["fixed", "fixed"]
    assert trials["selected"].all()
    assert 'name = "arcface"\nscale = 16.0\nmargin = 0.3' in (run / "config.toml").read_text()
    capsys.readouterr()
    assert lfs_ray("train", "--run-dir", str(run), "--resume", "must") == 0
    assert "is finished" in capsys.readouterr().out


def test_packing_and_synthesizing_make_data_for_a_search(tmp_path: Path, capsys: Capture) -> None:
    packed, drawn = str(tmp_path / "packed"), str(tmp_path / "drawn")
    words = ("--identities", "3", "--images", "2", "--size-px", "32", "--seed", "4")
    assert lfs_ray("data", "synthesize", drawn, *words) == 0
    assert capsys.readouterr().out == f"6 images of 3 classes in {drawn}\n"
    store = LmdbStore(drawn)
    listing = tmp_path / "list.txt"
    for number, key in enumerate(store.keys()):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / f"{number}.jpg").write_bytes(store.read(key))
    listing.write_text("".join(f"{number}.jpg {number // 2}\n" for number in range(6)))
    pack = ("data", "pack", str(tmp_path / "images"), packed, "--list", str(listing))
    assert lfs_ray(*pack, "--size-px", "48") == 0
    assert capsys.readouterr().out.startswith(f"6 images of 3 classes in {packed}\n")
    before = content_of(tmp_path)
    assert lfs_ray(*pack) == 1
    (line,) = errors_of(capsys)
    assert "must be a new directory" in line
    assert content_of(tmp_path) == before


# ---- exits


def test_help_and_version(capsys: Capture) -> None:
    for words in ([], ["--help"], ["-h"]):
        assert lfs_ray(*words) == 0
        text = capsys.readouterr().out
        assert all(f"  {command}" in text for command in cli.COMMANDS)
    assert lfs_ray("--version") == 0
    assert capsys.readouterr().out == f"lfs-ray {package.__version__}\n"


@pytest.mark.parametrize("words", [["data"], ["data", "--help"], ["data", "-h"]])
def test_the_commands_of_a_group(words: list[str], capsys: Capture) -> None:
    assert cli.run(words) == 0
    named = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert [line.split("  ")[1] for line in named] == [
        name for name in cli.COMMANDS if name.startswith("data ")
    ]


def test_the_list_of_commands_fits_a_terminal(capsys: Capture) -> None:
    assert cli.run([]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_its_help(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as exit_info:
        lfs_ray(*command.split(), "--help")
    assert exit_info.value.code == 0
    assert f"lfs-ray {command}" in capsys.readouterr().out


def test_a_bug_leaves_its_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    def broken(args: list[str]) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("lfs_ray.commands.trials.run", broken)
    assert lfs_ray("trials") == 3
    line = capsys.readouterr().err
    assert line.startswith("lfs-ray: this is a bug: ZeroDivisionError: a bug; the traceback is in")
    (log,) = tmp_path.iterdir()
    assert str(log) in line
    assert "in broken" in log.read_text()


def test_the_reader_of_the_output_may_leave(finished: Path) -> None:
    program = "from lfs_ray.cli import main; main()"
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-c", program, "trials", str(finished)],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.ray
def test_a_search_on_ray_gives_the_rows_of_a_serial_one(
    finished: Path, config_file: str, tmp_path: Path
) -> None:
    run, program = tmp_path / "run", "from lfs_ray.cli import main; main()"
    words = ["search", config_file, "--run-dir", str(run), "--worker.executor", "ray"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    ended = subprocess.run(
        [sys.executable, "-c", program, *words, "--worker.count", "1", "--worker.cpus", "0.5"],
        capture_output=True,
        env=environment,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "raylet" not in ended.stdout + ended.stderr, "Ray's own words are no user's business"
    assert results_of(run) == results_of(finished)
