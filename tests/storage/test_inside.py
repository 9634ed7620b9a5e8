"""Names that lead out of a run are refused, whoever gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage
from lfs_ray.storage.inside import check_name

OUT = (
    *("..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", "a/./b", "a/.."),
    *("C:/x", "c:x", "a\\..\\x", "\\x", "a\0b", "a\nb"),
)
OPERATIONS: dict[str, Callable[[Storage, str], object]] = {
    "read": Storage.read,
    "write": lambda storage, name: storage.write(name, b"x"),
    "exists": Storage.exists,
    "size": Storage.size,
    "list": Storage.list,
    "delete": Storage.delete,
}


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("url", ["", "mock:///run"])
def test_a_name_that_leads_out_is_refused(
    url: str, operation: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("secret")
    storage = Storage(url or tmp_path / "run")
    with pytest.raises(RunError, match="must be relative and stay in the run") as caught:
        OPERATIONS[operation](storage, name)
    assert repr(name) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x"]


@pytest.mark.parametrize("name", ["", "a", "a/b-c_d.e", "...", "a..b/c", "a b", "pop:1/x"])
def test_a_name_that_stays_is_taken(name: str) -> None:
    assert check_name(name, "run") == name


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_that_leads_out_is_refused(operation: str, link: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("secret")
    run = tmp_path / "run"
    run.mkdir()
    if link == "file":
        (run / "f").symlink_to(tmp_path / "outside/f")
        name = "f"
    else:
        (run / "folder").symlink_to("../outside")
        name = "folder/f"
    with pytest.raises(RunError, match=r"must lie in it, found .*, a link to .*outside"):
        OPERATIONS[operation](Storage(run), name)
    assert (tmp_path / "outside/f").read_text() == "secret"


def test_links_within_the_run_and_to_the_run_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real/a").mkdir(parents=True)
    (tmp_path / "real/a/f").write_text("f")
    (tmp_path / "real/b").symlink_to("a")
    (tmp_path / "run").symlink_to("real")
    storage = Storage(tmp_path / "run")
    assert storage.read("b/f") == b"f"
    assert storage.list("b") == ["f"]
