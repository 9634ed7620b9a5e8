"""The leak checks and the rule on skips see what they are there for."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py").read_text("utf-8")
INI = "[pytest]\nmarkers =\n    gpu: needs a GPU\n    ray: starts Ray\n"
SINS = """
import os, threading, time, pytest

def test_clean():
    thread = threading.Thread(target=time.sleep, args=(0.05,))
    thread.start()

def test_leaked_thread():
    threading.Thread(target=time.sleep, args=(3,), name="leak").start()

def test_leaked_variable():
    os.environ["LEFT_BEHIND"] = "1"

def test_undone_variable(monkeypatch):
    monkeypatch.setenv("UNDONE", "1")

def test_skipped():
    pytest.skip("no such thing")

@pytest.mark.gpu
def test_skipped_for_want_of_a_gpu():
    pytest.skip("no GPU")

@pytest.mark.xfail(reason="known", strict=True)
def test_known_failure():
    assert False
"""


@pytest.mark.parametrize("in_ci", [True, False])
def test_leaks_and_skips(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_ci: bool
) -> None:
    monkeypatch.setenv("CI", "true") if in_ci else monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makefile(".ini", pytest=INI)
    pytester.makepyfile(SINS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    skips = {"failed": 1, "skipped": 1} if in_ci else {"skipped": 2}
    result.assert_outcomes(**({"passed": 4, "xfailed": 1, "errors": 2} | skips))
    result.stdout.fnmatch_lines(["*threads left running: *leak*", "*changed: *LEFT_BEHIND*"])


def test_a_module_that_skips_itself_fails_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makeconftest(CONFTEST)
    pytester.makefile(".ini", pytest=INI)
    pytester.makepyfile("import pytest\npytest.importorskip('no_such_package')\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*skipped in CI*"])
