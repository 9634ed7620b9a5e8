"""Every protocol from its file layout to its table, by embeddings that know the answer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import generated_sets
import numpy as np
import pandas as pd
import pytest
from tiny_models import write_model

from lfs_ray.cli import run
from lfs_ray.data.bin_set import read_bin_set
from lfs_ray.data.pairs import pairs_of_bin
from lfs_ray.driver.evaluate.embeddings import open_embeddings
from lfs_ray.driver.evaluate.request import EvaluationRequest, detect_protocol
from lfs_ray.driver.evaluate.run import PROTOCOLS, evaluate
from lfs_ray.errors import DataError, LfsRayError

Capture = pytest.CaptureFixture[str]


def folder_of(key: str) -> str:
    return key.rsplit("/", 2)[-2]


def before_number(key: str) -> str:
    return key.rsplit("_", 1)[0]


LAYOUTS: dict[str, tuple[str, str, str, Callable[[str], str], dict[str, str]]] = {
    "lfw": ("lfw", "pairs.txt", "pairs", folder_of, {}),
    "lfw-development": ("lfw", "pairsDevTest.txt", "pairs", folder_of, {}),
    "table": ("table", "pairs.tsv", "pairs", folder_of, {}),
    "path-label": ("path_label", "pair_list.txt", "pairs", folder_of, {}),
    "sllfw": ("sllfw", "pair_SLLFW.txt", "pairs", folder_of, {}),
    "calfw": ("calfw", "pairs_CALFW.txt", "pairs", before_number, {}),
    "agedb": ("agedb", "", "pairs", lambda key: key.split("_")[1], {}),
    "cfp": ("cfp", "", "cfp", lambda key: key.split("/")[0], {}),
    "rfw": ("rfw", "", "rfw", folder_of, {}),
    "ijb": ("ijb", "", "ijb", lambda key: str((int(key[:-4]) - 1) // 6), {}),
    "megaface": ("megaface", "", "megaface", lambda key: key.split("/")[0], {}),
    "probes": (
        "megaface",
        "facescrub",
        "probes",
        lambda key: key.split("/")[0],
        {"distractors": "megaface"},
    ),
    "trillion-pairs": (
        "trillion_pairs",
        "probes.txt",
        "trillion-pairs",
        folder_of,
        {"distractors": "distractors.txt", "images": "images", "protocol": "trillion-pairs"},
    ),
    "tinyface": ("tinyface", "", "tinyface", lambda key: key.split("/")[-1].split("_")[0], {}),
    "market1501": ("market1501", "", "reid", lambda key: key.split("/")[-1].split("_")[0], {}),
    "single-shot": (
        "market1501",
        "",
        "reid",
        lambda key: key.split("/")[-1].split("_")[0],
        {"single_shot": "yes"},
    ),
    "reid-csv": ("reid_csv", "list.csv", "reid", folder_of, {}),
    "retrieval": ("class_folders", "", "retrieval", folder_of, {}),
}
"""Layout, file, protocol, person of a key, and further words of the request; by name."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    for name in {layout for layout, *_ in LAYOUTS.values()} | {"bin_set"}:
        getattr(generated_sets, name)(root / name)
    return root


def request_for(sets: Path, name: str, source: str) -> EvaluationRequest:
    layout, file, _, _, words = LAYOUTS[name]
    places = {
        key: word if key in ("protocol", "single_shot") else str(sets / layout / word)
        for key, word in words.items()
    }
    return EvaluationRequest(source=source, target=str(sets / layout / file), **places)  # type: ignore[arg-type]


class AllKnowing:
    """Embeds an image as the axis of its person: every protocol has its best value."""

    name, flip = "all-knowing", "none"

    def __init__(self, person_of: Callable[[str], str], *, blind: bool = False) -> None:
        self.person_of = person_of
        self.blind = blind
        self.axis: dict[str, int] = {}

    def raw(self, store: object, keys: list[str], progress: object = None) -> np.ndarray:
        people = [self.person_of(key) for key in keys]
        axes = [self.axis.setdefault(person, len(self.axis)) for person in people]
        if self.blind:
            axes = [sum(key.encode()) % 3 for key in keys]
        return np.eye(400)[axes]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_tells_its_protocol(sets: Path, name: str) -> None:
    request = request_for(sets, name, "x")
    if request.protocol == "auto":
        assert detect_protocol(request) == LAYOUTS[name][2]


BEST = {"eer": 0.0, "deviation": 0.0, "largest": 0.0, "standard": 0.0}
COUNTED = ("templates", "pairs left out")


@pytest.mark.parametrize("name", LAYOUTS)
def test_who_knows_everybody_has_the_best_value_of_every_figure(sets: Path, name: str) -> None:
    person_of, protocol = LAYOUTS[name][3], LAYOUTS[name][2]
    request = request_for(sets, name, "x")
    found = PROTOCOLS[protocol](request, AllKnowing(person_of), None)
    assert found.rows
    for row in found.rows:
        if row.metric not in COUNTED:
            best = BEST.get(row.metric.split()[0], 1.0)
            assert row.value == pytest.approx(best, abs=1e-12), row
            assert row.rule
    blind = PROTOCOLS[protocol](request, AllKnowing(person_of, blind=True), None)
    figures = [row for row in blind.rows if row.metric not in COUNTED]
    assert np.mean([row.value for row in figures]) < 0.7


def test_the_same_pairs_have_the_same_figures_in_every_layout(sets: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path)
    tables = {}
    for name in ("lfw", "table", "path-label", "sllfw", "calfw", "agedb"):
        tables[name] = evaluate(request_for(sets, name, model))
    tables["bin"] = evaluate(EvaluationRequest(source=model, target=f"{sets}/bin_set/lfw.bin"))
    assert run(["data", "convert", f"{sets}/bin_set/lfw.bin", str(tmp_path / "plain")]) == 0
    tables["converted"] = evaluate(EvaluationRequest(source=model, target=f"{tmp_path}/plain"))
    expected = tables["lfw"].set_index(["metric", "rule"])["value"]
    for table in tables.values():
        values = table.set_index(["metric", "rule"])["value"]
        pd.testing.assert_series_equal(values, expected[values.index], atol=1e-12)
        assert len(values) >= 10


def test_the_rule_is_chosen_and_named(sets: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["evaluate", write_model(tmp_path), f"{sets}/lfw/pairs.txt", "--no-files"]
    assert run([*words, "--rule", "all"]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines() if " accuracy " in line]
    assert {line[2] for line in lines if line[1] == "accuracy"} == {
        "insightface",
        "facex-zoo",
        "lfs",
    }
    assert run([*words, "--rule", "lfs", "--far", "0.05"]) == 0
    text = capsys.readouterr().out
    assert "insightface" not in text
    assert "tar@far=0.05" in text
    assert "tar@far=0.1" not in text


def test_folds_are_dealt_anew_on_request_only(sets: Path, tmp_path: Path) -> None:
    model, target = write_model(tmp_path), f"{sets}/lfw/pairs.txt"
    values = [
        evaluate(EvaluationRequest(source=model, target=target, shuffle_seed=seed))["value"]
        for seed in (None, None, 1, 1, 2)
    ]
    given, again, first, first_again, second = (list(one) for one in values)
    assert given == again
    assert first == first_again
    assert len({tuple(one) for one in (given, first, second)}) == 3
    assert first[-1] == given[-1]  # the AUC has no folds


def relisted(sets: Path, target: Path, change: Callable[[list[str]], list[str] | None]) -> Path:
    """The table of pairs with its rows changed, or left out."""
    (source,) = (sets / "table").glob("*.tsv")
    header, *rows = source.read_text().splitlines()
    changed = filter(None, (change(row.split("\t")) for row in rows))
    target.write_text("\n".join([header, *("\t".join(row) for row in changed)]) + "\n")
    return target


def test_pairs_of_one_fold_are_dealt_to_ten(sets: Path, tmp_path: Path) -> None:
    one = relisted(sets, tmp_path / "one.tsv", lambda row: ["0", *row[1:]])
    images = next(str(place) for place in sets.glob("table/*") if place.is_dir())
    request = EvaluationRequest(source=write_model(tmp_path), target=str(one), images=images)
    with pytest.raises(DataError, match=r"at least 2 folds, found 1: .* have them dealt anew"):
        evaluate(request)
    table = evaluate(replace(request, shuffle_seed=3))
    assert table["note"][0] == ""  # else it would say that there are not ten


def test_a_figure_that_is_not_defined_says_so(sets: Path, tmp_path: Path) -> None:
    def without_different(row: list[str]) -> list[str] | None:
        return None if row[:2] == ["3", "0"] else row

    some = relisted(sets, tmp_path / "some.tsv", without_different)
    images = next(str(place) for place in sets.glob("table/*") if place.is_dir())
    table = evaluate(
        EvaluationRequest(source=write_model(tmp_path), target=str(some), images=images)
    )
    (row,) = table[table["metric"] == "val@far"].to_dict("records")
    assert np.isnan(row["value"])
    assert row["note"] == "not defined: a fold has pairs of one kind only"


def test_table_and_pictures_are_written_whole(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["evaluate", write_model(tmp_path), f"{sets}/lfw/pairs.txt", "--out", str(out)]
    assert run(words) == 0
    names = {file.name for file in out.iterdir()}
    assert {"table.csv", "roc.png", "roc.svg", "scores-pairs.png", "errors.png"} <= names
    assert "accuracy" in set(pd.read_csv(out / "table.csv")["metric"])
    assert run(words) == 1  # it exists


def test_stored_embeddings_give_what_the_checkpoint_gives(sets: Path, tmp_path: Path) -> None:
    model, stored = write_model(tmp_path), str(tmp_path / "embeddings")
    assert run(["embed", model, f"{sets}/lfw/images", stored]) == 0
    request = request_for(sets, "lfw", model)
    by_model = evaluate(request)
    by_rows = evaluate(request_for(sets, "lfw", stored))
    pd.testing.assert_series_equal(by_rows["value"], by_model["value"], atol=1e-7)
    assert set(by_rows["flip"]) == {"sum"}
    plain = evaluate(EvaluationRequest(source=stored, target=request.target, flip=False))
    assert set(plain["flip"]) == {"none"}
    assert not np.allclose(plain["value"], by_model["value"])


def test_a_full_disk_is_told_before_anything_is_embedded(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(number: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    model = write_model(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full)
    target = tmp_path / "full" / "embeddings"
    assert run(["embed", model, str(sets / "lfw/images"), str(target)]) == 1
    assert "must have room for 0.0 MB, it has not (No space" in capsys.readouterr().err
    assert list(target.parent.iterdir()) == []


def write_embeddings(folder: Path, rows: np.ndarray, keys: list[str]) -> str:
    folder.mkdir()
    np.save(folder / "embeddings.npy", rows)
    (folder / "keys.txt").write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("rows", "keys", "asked", "told"),
    [
        (np.eye(2), ["a", "b"], ["a", "c"], '1 of 2 are missing, the first is "c"'),
        (np.eye(2), ["a", "a"], ["a"], '"a" comes twice'),
        (np.eye(3), ["a", "b"], ["a"], "found 2 keys and \\(3, 3\\)"),
        (np.array([[1.0, 0], [0, 0]]), ["a", "b"], ["b"], 'has all zeros for "b"'),
        (np.array([[1.0, 0], [np.nan, 0]]), ["a", "b"], ["b"], 'NaN or infinity for "b"'),
        (np.array([[1, 0]]), ["a"], ["a"], "must hold floats"),
        (np.array([1.0, 0.0]), ["a"], ["a"], "must hold floats"),
    ],
)
def test_embeddings_that_cannot_be_used_are_one_line(
    tmp_path: Path, rows: np.ndarray, keys: list[str], asked: list[str], told: str
) -> None:
    folder = write_embeddings(tmp_path / "stored", rows, keys)
    with pytest.raises(DataError, match=told) as error:
        open_embeddings(folder, flip=True).raw(None, asked)
    assert len(str(error.value).splitlines()) == 1


def test_rows_that_are_not_asked_for_may_be_anything(tmp_path: Path) -> None:
    folder = write_embeddings(tmp_path / "stored", np.array([[1.0, 0], [np.nan, 0]]), ["a", "b"])
    assert open_embeddings(folder, flip=True).raw(None, ["a"]).tolist() == [[1.0, 0.0]]


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    folder = tmp_path / "stored"
    folder.mkdir()
    np.save(folder / "embeddings.npy", np.array([{"a": 1}], object), allow_pickle=True)
    (folder / "keys.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"must be a whole \.npy file of floats: it is cut off"):
        open_embeddings(str(folder), flip=True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{set}/none"], "nothing lies at"),
        (["{set}/lfw/images", "--protocol", "probes"], "give --distractors"),
        (
            ["{set}/trillion_pairs/probes.txt", "--protocol", "trillion-pairs"],
            "--distractors LIST",
        ),
        (["{set}/lfw/pairs.txt", "--images", "{set}/lfw"], "images of the pairs must be in"),
        (
            ["{set}/class_folders", "--protocol", "classification"],
            "checkpoint with its classifier",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(
    sets: Path, tmp_path: Path, capsys: Capture, words: list[str], told: str
) -> None:
    out = tmp_path / "out"
    model = write_model(tmp_path)
    given = [word.format(set=sets) for word in words]
    assert run(["evaluate", model, *given, "--out", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors"}


def test_missing_images_are_left_out_on_request_and_counted(sets: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    text = (sets / "table" / "pairs.tsv").read_text()
    pairs.write_text(text + "0\t1\tnobody/1.jpg\tnobody/2.jpg\n")
    request = EvaluationRequest(
        source=write_model(tmp_path), target=str(pairs), images=f"{sets}/table/images"
    )
    with pytest.raises(LfsRayError, match="2 are missing"):
        evaluate(request)
    skipping = EvaluationRequest(
        source=request.source, target=request.target, images=request.images, skip_missing=True
    )
    table = evaluate(skipping).set_index("metric")
    assert table.loc["pairs left out", "value"] == 1
    assert table.loc["accuracy", "count"] == text.count("\n") - 1


def test_a_bin_set_has_no_people_to_resample(sets: Path) -> None:
    assert not pairs_of_bin(read_bin_set(f"{sets}/bin_set/lfw.bin"), "lfw.bin").people()
