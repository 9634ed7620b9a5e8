"""Files of a run that were damaged by hand, through the command line: named, in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import content_of, lfs_ray, write_config, write_faces

from lfs_ray.execution.trial_runner import TrialRunner
from lfs_ray.search.messages import Lease, Outcome
from lfs_ray.trials.read import read_trials
from lfs_ray.trials.schema import RESULT_COLUMNS, column_names

Capture = pytest.CaptureFixture[str]
Damage = Callable[[bytes], bytes]
MAIN = "populations/main"
LAST, FIRST = f"{MAIN}/trials/round-000002.g000000.parquet", "rounds-000000-000001.g000000.parquet"
ROUNDS, MEMBERS = 3, 2


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def scribbled(content: bytes) -> bytes:
    """One bit of a value is another one; length and structure are as they were."""
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


def emptied(content: bytes) -> bytes:
    return b""


def damage(path: Path, how: Damage) -> None:
    path.write_bytes(how(path.read_bytes()))


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("damage")
    return write_config(
        folder,
        write_faces(folder),
        search={"rounds": ROUNDS, "members": MEMBERS},
        storage={"compact_rounds": 2},
    )


@pytest.fixture(scope="module")
def finished(config_file: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first two rounds are compacted."""
    run = tmp_path_factory.mktemp("finished") / "run"
    assert lfs_ray("search", config_file, "--run-dir", str(run)) == 0
    return run


@pytest.fixture(scope="module")
def unfinished(config_file: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted in its last round, with one trial in the journal."""
    run = tmp_path_factory.mktemp("unfinished") / "run"
    train, trained = TrialRunner.train, []

    def until(self: TrialRunner, lease: Lease) -> Outcome:
        if len(trained) == ROUNDS * MEMBERS - 1:
            raise KeyboardInterrupt
        trained.append(lease)
        return train(self, lease)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrialRunner, "train", until)
        assert lfs_ray("search", config_file, "--run-dir", str(run)) == 130
    return run


@pytest.fixture
def broken(unfinished: Path, tmp_path: Path) -> Path:
    """A copy of the interrupted run, to be damaged."""
    return Path(shutil.copytree(unfinished, tmp_path / "run"))


@pytest.fixture
def spoilt(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def resume(file: str, run: Path) -> int:
    return lfs_ray("search", file, "--run-dir", str(run), "--resume", "must")


def refused(file: str, run: Path, capsys: Capture) -> str:
    """The one line of a resume that is refused and changes nothing of what was there."""
    before = content_of(run)
    capsys.readouterr()
    assert resume(file, run) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert content_of(run).items() >= before.items()
    return line


def outcome(run: Path) -> tuple[list[str], bytes]:
    """Result columns as texts, and the final weights."""
    frame = read_trials(run).reset_index()
    rows = frame[column_names(["margin"], RESULT_COLUMNS)].to_csv().splitlines()
    return rows, (run / MAIN / "model.safetensors").read_bytes()


# ---- the journal


@pytest.mark.parametrize("how", [emptied, cut, scribbled])
def test_a_damaged_journal_entry_is_named_and_its_trial_trained_again(
    how: Damage, broken: Path, finished: Path, config_file: str, capsys: Capture
) -> None:
    (entry,) = (broken / MAIN / "journal").iterdir()
    damage(entry, how)
    capsys.readouterr()
    assert resume(config_file, broken) == 0
    printed = capsys.readouterr().out.splitlines()
    (line,) = [line for line in printed if "must be a complete trial" in line]
    assert line.startswith(f"{entry} must be a complete trial as lfs-ray wrote it, found ")
    assert line.endswith(": left out, the trial is trained again")
    assert outcome(broken) == outcome(finished)


# ---- committed rounds


@pytest.mark.parametrize("how", [emptied, cut, scribbled])
def test_a_damaged_last_round_is_named_and_may_be_moved_away(
    how: Damage, spoilt: Path, finished: Path, config_file: str, capsys: Capture
) -> None:
    damage(spoilt / LAST, how)
    line = refused(config_file, spoilt, capsys)
    assert line.startswith(f"lfs-ray: error: {spoilt / LAST} must be a Parquet file of trials, ")
    assert line.endswith(
        ": restore it from a copy, or move it out of the run: a resume then trains population "
        "main again from round 2 on, to the same rows"
    )
    assert lfs_ray("trials", str(spoilt)) == 1
    assert capsys.readouterr().err.splitlines() == [line]
    (spoilt / LAST).rename(spoilt.with_name("away"))
    assert resume(config_file, spoilt) == 0
    assert outcome(spoilt) == outcome(finished)


def test_a_damaged_round_whose_parent_is_gone_can_only_be_restored(
    spoilt: Path, config_file: str, capsys: Capture
) -> None:
    damage(spoilt / LAST, cut)
    for file in (spoilt / MAIN / "checkpoints").glob("round-000001-*"):
        file.unlink()
    line = refused(config_file, spoilt, capsys)
    assert line.endswith(
        ": restore it from a copy (rounds 0 to 1 are whole, but the parent of round 2 of "
        "population main is not kept any more)"
    )


def test_a_damaged_compacted_file_is_named_and_all_may_be_trained_again(
    spoilt: Path, finished: Path, config_file: str, capsys: Capture
) -> None:
    compacted = spoilt / MAIN / "trials" / FIRST
    damage(compacted, scribbled)
    line = refused(config_file, spoilt, capsys)
    assert line.startswith(f"lfs-ray: error: {compacted} must be a Parquet file of trials, found ")
    assert line.endswith("trains population main again from round 0 on, to the same rows")
    compacted.rename(spoilt.with_name("away"))
    assert resume(config_file, spoilt) == 0
    assert outcome(spoilt) == outcome(finished)


def test_damage_that_a_compaction_meets_is_named(
    config_file: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "run" / MAIN / "trials" / "round-000000.g000000.parquet"
    train = TrialRunner.train

    def damaging(self: TrialRunner, lease: Lease) -> Outcome:
        if lease.round == 1:
            damage(first, cut)
        return train(self, lease)

    monkeypatch.setattr(TrialRunner, "train", damaging)
    assert lfs_ray("search", config_file, "--run-dir", str(tmp_path / "run")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lfs-ray: error: {first} must be a Parquet file of trials, found ")


# ---- generations and parents


@pytest.mark.parametrize("content", [b"", b"[]", b'{"generation": 0}', b'{"generation": "x"}'])
def test_a_damaged_generation_is_named(
    content: bytes, broken: Path, config_file: str, capsys: Capture
) -> None:
    (generation,) = (broken / "generations").iterdir()
    generation.write_bytes(content)
    line = refused(config_file, broken, capsys)
    assert line.startswith(f"lfs-ray: error: {generation} must name a generation and the first ")
    assert line.endswith(": restore it from a copy")


@pytest.mark.parametrize("how", [emptied, cut, scribbled])
def test_a_damaged_parent_is_named(
    how: Damage, broken: Path, config_file: str, capsys: Capture
) -> None:
    (parent,) = (broken / MAIN / "checkpoints").glob("round-000001-*")
    damage(parent, how)
    line = refused(config_file, broken, capsys)
    assert str(parent) in line
    assert "restore it from a copy" in line
