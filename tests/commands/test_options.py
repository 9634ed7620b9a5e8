"""Options out of their range are one line, for every command that takes them."""

from __future__ import annotations

import pytest

from lfs_ray import cli

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("evaluate m s --far 2", "argument --far: must be a number from 0 to 1, got '2'"),
        ("evaluate m s --far nan", "argument --far: must be a number from 0 to 1, got 'nan'"),
        ("evaluate m s --far much", "argument --far: must be a number from 0 to 1, got 'much'"),
        ("evaluate m s --threads 0", "argument --threads: must be a whole number >= 1, got '0'"),
        (
            "evaluate m s --shuffle-folds -1",
            "argument --shuffle-folds: must be a whole number >= 0, got '-1'",
        ),
        ("embed m s d --threads x", "argument --threads: must be a whole number >= 1, got 'x'"),
    ],
)
def test_one_line_says_what_must_hold(words: str, expected: str, capsys: Capture) -> None:
    assert cli.run(words.split()) == 1
    command = words.split()[0]
    assert capsys.readouterr().err == (
        f"lfs-ray: error: lfs-ray {command}: {expected}: see `lfs-ray {command} --help`\n"
    )
