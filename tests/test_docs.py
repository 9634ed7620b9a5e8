"""README and CHANGELOG say what is there: links, code blocks, commands, words, set-up commands."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from markdown import anchors, blocks, commands_of, links, shell_commands

import lfs_ray
from lfs_ray.config.load import read_config
from lfs_ray.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
FOLDERS = ("*.md", "docs/**/*.md", "experiments/**/*.md")
DOCUMENTS = sorted(path for folder in FOLDERS for path in ROOT.glob(folder))
WORDS = [
    *("theta", "draw", "search space", "policy", "population", "member", "round", "trial"),
    *("parent", "reward", "advantage", "worker", "lease", "schedule", "run"),
]
SET_UP = {
    "user": "pip install -c constraints.txt . && lfs-ray search",
    "developer": "pip install -c constraints.txt -e '.[dev]' && pytest",
}


def broken_links(markdown: str, folder: Path) -> list[str]:
    """Relative links whose file is missing, and anchors without a heading."""
    local = [link for link in links(markdown) if not re.match(r"[a-z]+:", link)]
    return [
        link
        for link in local
        if (link.startswith("#") and link[1:] not in anchors(markdown))
        or not (folder / link.split("#")[0]).exists()
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document.read_text("utf-8"), document.parent) == []


def test_broken_links_are_seen() -> None:
    text = "# One two\n[a](#one-two) [b](#three) [c](README.md) [d](no/file.md) [e](https://x.y)"
    assert broken_links(text, ROOT) == ["#three", "no/file.md"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_compile(document: Path) -> None:
    for block in blocks(document.read_text("utf-8"), "python"):
        compile(block, str(document), "exec")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_toml_blocks_are_configurations(document: Path) -> None:
    for block in blocks(document.read_text("utf-8"), "toml"):
        read_config(block, place=document.name)


def test_a_misspelt_key_in_a_toml_block_would_be_seen() -> None:
    (block,) = blocks("```toml\n[run]\nsede = 1\n```\n", "toml")
    with pytest.raises(ConfigError, match="sede"):
        read_config(block, place="README.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_bash_blocks_parse(document: Path) -> None:
    text = document.read_text("utf-8")
    assert all(words for words in shell_commands(text))
    for block in blocks(text, "bash"):
        subprocess.run(["bash", "-n", "-c", block], check=True)


@cache
def help_of(*command: str) -> str:
    """What `lfs-ray COMMAND --help` prints, on a wide page."""
    program = Path(sys.executable).with_name("lfs-ray")
    done = subprocess.run(
        [program, *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "300"},
    )
    return done.stdout if done.returncode == 0 else ""


def unknown_in(arguments: list[str]) -> list[str]:
    """The command, or the flags, of one `lfs-ray` call that the help does not name."""
    words = [word for word in arguments[:2] if re.fullmatch(r"[a-z]+", word)]
    candidates = [words[:num_words] for num_words in (2, 1) if len(words) >= num_words]
    command = next(filter(is_listed, candidates), [])
    if words and not command:
        return [" ".join(words)]
    flags = [word.split("=")[0] for word in arguments if word.startswith("--")]
    return [flag for flag in flags if not re.search(rf"{flag}(?![\w.-])", help_of(*command))]


def is_listed(command: list[str]) -> bool:
    """Whether the top help has a line that starts with the command and goes on to explain it."""
    return re.search(rf"^\W+{' '.join(command)}  ", help_of(), re.MULTILINE) is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_flags_exist(document: Path) -> None:
    calls = commands_of("lfs-ray", document.read_text("utf-8"))
    assert {" ".join(call): unknown for call in calls if (unknown := unknown_in(call))} == {}


def test_an_unknown_command_or_flag_would_be_seen() -> None:
    text = (
        "`lfs-ray serach`, `lfs-ray search [--run-dri DIR]`\n```bash\nx && lfs-ray data pak\n```\n"
    )
    found = [unknown_in(call) for call in commands_of("lfs-ray", text)]
    assert found == [["data pak"], ["serach"], ["--run-dri"]]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_design_is_in_the_readme(word: str) -> None:
    assert re.search(rf"\b{word}\b", README, re.IGNORECASE)


@pytest.mark.parametrize("name", SET_UP)
def test_ci_runs_the_set_up_commands_of_the_readme(name: str) -> None:
    script = ROOT / ".ci" / "readme_command.py"
    done = subprocess.run(
        [sys.executable, script, ROOT / "README.md", name], capture_output=True, text=True
    )
    assert done.stdout == SET_UP[name] + "\n"
    assert f'readme_command "{name}"' in (ROOT / ".ci" / "run").read_text("utf-8")


def test_a_missing_or_doubled_mark_stops_ci() -> None:
    marked_command = runpy.run_path(str(ROOT / ".ci" / "readme_command.py"))["marked_command"]
    block = "<!-- ci: user -->\n```bash\nfirst \\\n  second\n```\n"
    assert marked_command(block, "user") == "first \\\n  second"
    for text in ("", block + block, block.replace("bash", "sh")):
        with pytest.raises(SystemExit, match="one bash block"):
            marked_command(text, "user")


def test_the_changelog_knows_this_version() -> None:
    sections = re.findall(r"^## \[([^\]]+)\]", CHANGELOG, re.MULTILINE)
    assert {"Unreleased", lfs_ray.__version__} & set(sections)
    assert sections == sorted(sections, key=lambda name: name != "Unreleased")
