"""A run whose files were changed to lead out of it, through the command line."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_runs import content_of, lfs_ray, write_config, write_faces

from lfs_ray.trials.read import read_trials

OUT = ("../../secret.safetensors", "/etc/passwd", "populations/main/../../../x", "..\\x")
TABLE = "populations/main/trials/round-000001.g000000.parquet"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A configuration file, and its finished run."""
    folder = tmp_path_factory.mktemp("doctored")
    constant = {"schedule": "constant"}
    file = write_config(folder, write_faces(folder), optimizer=constant)
    assert lfs_ray("search", file, "--run-dir", str(folder / "run")) == 0
    return file, folder / "run"


@pytest.fixture
def run(finished: tuple[str, Path], tmp_path: Path) -> Path:
    """A copy to be changed, beside a file that nothing of it may touch."""
    (tmp_path / "secret.safetensors").write_text("secret")
    return Path(shutil.copytree(finished[1], tmp_path / "a/run"))


def doctor_table(run: Path, name: str) -> None:
    """Let the last round's parent lie elsewhere."""
    table = pq.read_table(run / TABLE)
    selected = table.column("selected").to_pylist()
    paths = [name if chosen else None for chosen in selected]
    column = table.schema.get_field_index("checkpoint")
    field = table.schema.field(column)
    changed = table.set_column(column, field, pa.array(paths, field.type))
    sink = io.BytesIO()
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), sink)
    (run / TABLE).write_bytes(sink.getvalue())


def resume_longer(file: str, run: Path) -> int:
    words = ("--resume", "must", "--search.rounds", "3")
    return lfs_ray("search", file, "--run-dir", str(run), *words)


def export_again(file: str, run: Path) -> int:
    (run / "results.csv").unlink()
    return lfs_ray("search", file, "--run-dir", str(run), "--resume", "must")


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("use", [resume_longer, export_again])
def test_a_table_whose_parent_lies_elsewhere_is_refused(
    use: Callable[[str, Path], int],
    name: str,
    finished: tuple[str, Path],
    run: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    doctor_table(run, name)
    capsys.readouterr()
    assert use(finished[0], run) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "must be relative and stay in the run" in line
    assert repr(name) in line
    assert (run.parents[1] / "secret.safetensors").read_text() == "secret"


def test_showing_such_a_table_opens_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor_table(run, OUT[0])
    before = content_of(run.parents[1])
    assert lfs_ray("trials", str(run)) == 0
    assert content_of(run.parents[1]) == before


@pytest.mark.parametrize("use", [resume_longer, export_again])
def test_a_parent_that_is_a_link_out_of_the_run_is_refused(
    use: Callable[[str, Path], int],
    finished: tuple[str, Path],
    run: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = max((run / "populations/main/checkpoints").iterdir())
    outside = run.parents[1] / "outside.safetensors"
    shutil.move(checkpoint, outside)
    checkpoint.symlink_to(outside)
    capsys.readouterr()
    assert use(finished[0], run) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "files of a run must lie in it" in line


@pytest.mark.parametrize("name", OUT)
def test_a_journal_whose_checkpoint_lies_elsewhere_is_named_and_left_out(
    name: str, finished: tuple[str, Path], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {
        "round": 2,
        "member": 0,
        "attempts": 1,
        "outcome": {"reward": 0.5},
        "checkpoint": {"name": name, "size_bytes": 6, "digest": "d"},
    }
    journal = run / "populations/main/journal"
    journal.mkdir(exist_ok=True)
    (journal / "round-000002-member-0000.json").write_text(json.dumps(entry))
    capsys.readouterr()
    assert resume_longer(finished[0], run) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "round-000002-member-0000.json" in line]
    assert "trained again" in line
    (row,) = [row for row in read_trials(run).loc["main", 2].itertuples() if row.selected]
    assert row.reward != 0.5
    assert row.checkpoint.startswith("populations/main/checkpoints/")


def test_a_schedule_that_names_other_places_leads_nowhere(
    finished: tuple[str, Path], run: Path, tmp_path: Path
) -> None:
    schedule = run / "populations/main/schedule.toml"
    text = schedule.read_text().replace('population = "main"', 'population = "../../../x"')
    assert "../x" in text
    schedule.write_text(text)
    before = content_of(run.parents[1])
    words = ("--run-dir", str(tmp_path / "replay"), "--schedule", str(schedule))
    assert lfs_ray("train", finished[0], *words) == 0
    after = content_of(run.parents[1])
    assert {k: v for k, v in after.items() if not k.startswith("replay/")} == before
