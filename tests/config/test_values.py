from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.config.values import example, expected, from_toml, from_words, show

Colour = Literal["rgb", "bgr"]


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 0.1, 0.1),
        (bool, True, True),
        (str, "none", "none"),
        (Colour, "bgr", "bgr"),
        (tuple[float, ...], [1, 0.5], (1.0, 0.5)),
        (tuple[str, ...], [], ()),
        (tuple[float, ...], 3, (3.0,)),
        (tuple[float, ...], 0.1, (0.1,)),
        (tuple[float, ...], "None", ()),
        (float | None, "none", None),
        (int | None, 4, 4),
    ],
)
def test_a_toml_value_becomes_a_value_of_the_type(
    kind: Any, value: object, result: object
) -> None:
    got = from_toml(kind, value)
    assert got == result
    assert type(got) is type(result)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, True),
        (int, 3.0),
        (int, "3"),
        (float, True),
        (float, "0.5"),
        (float, 10**400),
        (bool, 1),
        (bool, "true"),
        (str, 3),
        (Colour, "gbr"),
        (Colour, ["rgb"]),
        (tuple[str, ...], "x"),
        (tuple[str, ...], "none"),
        (tuple[int, ...], 3),
        (tuple[float, ...], True),
        (tuple[float, ...], "0.5"),
        (tuple[float, ...], ["none"]),
        (tuple[float, ...], [1.0, "2"]),
        (int, "none"),
        (float | None, "nothing"),
        (int, {"a": 1}),
    ],
)
def test_a_toml_value_of_another_type_is_refused(kind: Any, value: object) -> None:
    with pytest.raises(ValueError):
        from_toml(kind, value)


@pytest.mark.parametrize(
    ("kind", "words", "result"),
    [
        (int, ["-3"], -3),
        (float, ["3"], 3.0),
        (float, ["1e-4"], 1e-4),
        (bool, ["true"], True),
        (bool, ["False"], False),
        (str, [""], ""),
        (Colour, ["rgb"], "rgb"),
        (tuple[float, ...], ["1", "2.5"], (1.0, 2.5)),
        (tuple[str, ...], [], ()),
        (tuple[str, ...], ["none"], ("none",)),
        (tuple[float, ...], ["None"], ()),
        (float | None, ["None"], None),
        (float | None, ["2"], 2.0),
    ],
)
def test_words_become_a_value_of_the_type(kind: Any, words: list[str], result: object) -> None:
    got = from_words(kind, words)
    assert got == result
    assert type(got) is type(result)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, []),
        (int, ["1", "2"]),
        (int, ["1.0"]),
        (float, ["much"]),
        (bool, ["yes"]),
        (bool, [""]),
        (Colour, ["RGB"]),
        (int, ["none"]),
        (tuple[float, ...], ["1", "x"]),
        (tuple[float, ...], ["1", "none"]),
    ],
)
def test_words_of_another_type_are_refused(kind: Any, words: list[str]) -> None:
    with pytest.raises(ValueError):
        from_words(kind, words)


@given(st.floats(allow_nan=False))
def test_a_number_means_the_same_in_a_file_and_as_a_flag(number: float) -> None:
    assert from_words(float, [repr(number)]) == from_toml(float, number) == number


def test_expected_says_what_a_value_must_be() -> None:
    assert expected(int) == "a whole number"
    assert expected(float | None) == "a number or none"
    assert expected(tuple[str, ...]) == "a list of texts"
    assert expected(tuple[float, ...]) == "a number or a list of numbers"
    assert expected(tuple[Colour, ...]) == "a list of names among rgb, bgr"
    assert expected(Colour) == "one of rgb, bgr"


def test_an_example_can_be_read_back_and_is_near_what_was_meant() -> None:
    assert example(Colour, "bg") == '"bgr"'
    assert example(Colour, 7) == '"rgb"'
    assert example(tuple[float, ...], 0) == "0.5"
    assert example(tuple[int, ...], 0) == "[4]"
    assert from_words(bool, [example(bool, "maybe")]) is True


def test_show_writes_one_line() -> None:
    shown = show([None, True, "two\nlines", {"a": 1}, 0.5])
    assert shown == "[none, true, 'two\\nlines', a table, 0.5]"


def test_one_number_of_a_list_key_is_shown_as_the_number() -> None:
    assert show((0.5,)) == "0.5"
    assert show((0.5, 1.0)) == "[0.5, 1.0]"
    assert show(()) == "[]"
    assert show(("a",)) == "['a']"
    assert show([0.5]) == "[0.5]"  # as it stands in a file, where a number was wanted
