"""Credentials in an address, through the command line: refused, not repeated, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_runs import content_of, lfs_ray

pytestmark = pytest.mark.usefixtures("all_loaded")

SECRET = "wJalrXUtnFEMI"
URI = f"s3://AKIA:{SECRET}@bucket/runs"
COMMANDS = {
    "run dir": ["search", "--run-dir", URI],
    "run dir to resume": ["search", "--run-dir", URI, "--resume", "auto"],
    "run.dir": ["search", "--run.dir", URI],
    "data": ["search", "--data.train", URI, "--run-dir", "x"],
    "report": ["search", "report.toml", "--run-dir", "x"],
    "comparison": ["compare", "--run-dir", URI, "--resume", "auto"],
    "schedule": ["train", "--schedule", f"{URI}/schedule.toml", "--run-dir", "x"],
    "trials": ["trials", URI],
    "several trials": ["trials", URI, URI],
    "model": ["evaluate", f"{URI}/model.safetensors", "pairs.tsv", "--images", "images"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_an_address_with_credentials_is_refused(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "pairs.tsv").write_text("")
    (tmp_path / "report.toml").write_text(f"[report.x]\nimages = '{URI}'\npairs = '{URI}'\n")
    before = content_of(tmp_path)
    assert lfs_ray(*words) == 1
    printed = capsys.readouterr()
    assert "credentials" in printed.err
    assert SECRET not in printed.err + printed.out
    assert content_of(tmp_path) == before
