from __future__ import annotations

import threading
from pathlib import Path

import lmdb
import numpy as np
import pytest
import tiny_runs
from tiny_runs import EPOCH_IMAGES, HELD_OUT, NUM_IDENTITIES, tiny_config

from lfs_ray.config.sections import ReportConfig
from lfs_ray.data import datum
from lfs_ray.data.pack import pack
from lfs_ray.data.pairs import person_of
from lfs_ray.data.sources import open_faces
from lfs_ray.data.synthetic import SyntheticFaces, synthesize
from lfs_ray.errors import DataError
from lfs_ray.training import material as material_module
from lfs_ray.training.material import (
    Material,
    check_material,
    open_material,
    open_pairs,
    synthetic_set,
)


def test_identities_are_trained_on_or_held_out(faces: str, material: Material) -> None:
    assert material.held_out is not None
    assert len(material.held_out) == HELD_OUT
    assert material.faces.num_classes == NUM_IDENTITIES - HELD_OUT
    whole = open_faces([faces])
    held_out = set(material.held_out.tolist())
    held_out_keys = {
        key
        for key, label in zip(whole.keys, whole.labels.tolist(), strict=True)
        if label in held_out
    }
    trained_keys = set(material.faces.keys)
    assert not trained_keys & held_out_keys
    assert trained_keys | held_out_keys == set(whole.keys)


def test_the_pairs_are_of_held_out_people(faces: str, material: Material) -> None:
    assert material.held_out is not None
    validation = open_faces([faces]).select(material.held_out)
    pairs = material.reward.pairs
    for place in (0, len(pairs.keys) - 1):
        index = int(pairs.keys[place])
        np.testing.assert_array_equal(
            material.reward.images_KHWC[place], validation.image(index, "rgb")
        )
        assert pairs.identity[place] == validation.labels[index]
    assert len(pairs) == 10 * 2 * 4


def test_the_same_configuration_gives_the_same_material(faces: str, material: Material) -> None:
    again = open_material(tiny_config(faces))
    assert again.manifest() == material.manifest()
    np.testing.assert_array_equal(again.reward.images_KHWC, material.reward.images_KHWC)
    other = open_material(tiny_config(faces, run={"seed": 1}))
    assert other.held_out is not None
    assert other.held_out.tolist() != again.held_out.tolist()  # type: ignore[union-attr]


def test_images_of_every_identity_may_be_held_out_instead(faces: str, material: Material) -> None:
    config = tiny_config(
        faces,
        data={"validation_split": "images", "validation_share": 0.5},
        reward={"metric": "top1"},
    )
    opened = open_material(config)
    whole = open_faces([faces])
    assert opened.faces.num_classes == whole.num_classes == NUM_IDENTITIES
    assert opened.held_out is None
    per_class = len(whole) // NUM_IDENTITIES
    held_out = round(per_class * 0.5)
    assert len(opened.faces) == (per_class - held_out) * NUM_IDENTITIES
    targets = opened.reward.targets_K
    assert targets is not None
    assert np.bincount(targets).tolist() == [held_out] * NUM_IDENTITIES
    pairs = opened.reward.pairs
    np.testing.assert_array_equal(pairs.identity, targets)
    same = targets[pairs.first] == targets[pairs.second]
    np.testing.assert_array_equal(same, pairs.same)
    pixels = {opened.faces.image(index).tobytes() for index in range(len(opened.faces))}
    assert not pixels & {image.tobytes() for image in opened.reward.images_KHWC}


def test_the_manifest_says_what_was_opened(faces: str, material: Material) -> None:
    manifest = material.manifest()
    assert manifest["images"] == EPOCH_IMAGES
    assert manifest["identities"] == NUM_IDENTITIES - HELD_OUT
    assert manifest["reward_pairs"] == 80
    assert manifest["sources"] == [
        {"source": faces, "offset": 0, "identities": NUM_IDENTITIES, "images": 168}
    ]


def test_images_come_in_the_models_size_and_colour(faces: str, material: Material) -> None:
    model = {"input_size_px": 48, "colour": "bgr"}
    resized = open_material(tiny_config(faces, model=model)).reward.images_KHWC
    assert resized.shape[1:] == (48, 48, 3)
    swapped = open_material(tiny_config(faces, model={"colour": "bgr"})).reward.images_KHWC
    np.testing.assert_array_equal(swapped[..., ::-1], material.reward.images_KHWC)


def write_pairs(path: Path, rows: str) -> str:
    path.write_text("fold\tsame\ta\tb\n" + rows)
    return str(path)


ROWS = "0\t1\tp00000/000.jpg\tp00000/001.jpg\n1\t0\tp00000/000.jpg\tp00001/000.jpg\n"


def test_pairs_that_are_given_take_no_identity_away(faces: str, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.tsv", ROWS)
    keys = {"validation_images": faces, "validation_pairs": pairs}
    material = open_material(tiny_config(faces, data=keys))
    assert material.held_out is None
    assert material.faces.num_classes == NUM_IDENTITIES
    assert material.reward.images_KHWC.shape == (3, 32, 32, 3)


def test_a_pair_that_names_a_missing_image_is_one_line(faces: str, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.tsv", ROWS + "1\t1\tp00002/000.jpg\tp00002/099.jpg\n")
    with pytest.raises(DataError, match=r"must be in .*, 1 are missing: p00002/099\.jpg$"):
        open_pairs(ReportConfig(images=faces, pairs=pairs), tiny_config(faces).model)


def break_image(faces: str, key: str) -> None:
    env = lmdb.open(f"{faces}/data.lmdb", subdir=False, lock=False)
    with env.begin(write=True) as txn:
        assert txn.put(key.encode(), datum.encode(b"no image", 0))
    env.close()


def test_undecodable_images_stop_the_driver_or_are_counted(tmp_path: Path) -> None:
    path = str(tmp_path / "faces")
    synthesize(SyntheticFaces(NUM_IDENTITIES, 6, 32, 0), path)
    first = open_material(tiny_config(path)).faces.keys[0]
    break_image(path, first)
    config = tiny_config(path)
    with pytest.raises(DataError, match=f'image "{first}"'):
        check_material(config, open_material(config))
    lenient = tiny_config(path, data={"max_bad_images": 1})
    check_material(lenient, open_material(lenient))


def test_a_classifier_of_one_identity_is_refused(faces: str) -> None:
    config = tiny_config(faces, data={"validation_share": 0.97})
    with pytest.raises(DataError, match="at least 2 identities"):
        check_material(config, open_material(config))


# ---- the synthetic set


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lfs-ray"


def test_synthetic_faces_are_drawn_once(cache: Path) -> None:
    config = tiny_config("", data={"train": [], "synthetic_identities": 4, "synthetic_images": 2})
    path = Path(synthetic_set(config))
    assert path.parent == cache
    before = (path / "data.lmdb").stat()
    assert synthetic_set(config) == str(path)
    assert (path / "data.lmdb").stat() == before


def test_other_synthetic_faces_lie_elsewhere(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = {"train": [], "synthetic_identities": 4, "synthetic_images": 2}
    configs = [
        tiny_config("", data=base),
        tiny_config("", data={**base, "synthetic_identities": 5}),
        tiny_config("", data={**base, "synthetic_images": 3}),
        tiny_config("", data={**base, "synthetic_seed": 1}),
        tiny_config("", data=base, model={"input_size_px": 48}),
    ]
    paths = [synthetic_set(config) for config in configs]
    # A new way of drawing must not meet the pictures of the one before.
    monkeypatch.setattr(material_module, "DRAWING", material_module.DRAWING + 1)
    paths.append(synthetic_set(configs[0]))
    assert len(set(paths)) == len(paths)


def test_processes_that_draw_at_once_share_the_first_result(cache: Path) -> None:
    config = tiny_config("", data={"train": [], "synthetic_identities": 6, "synthetic_images": 4})
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(synthetic_set(config))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert [entry.name for entry in cache.iterdir()] == [Path(found[0]).name]


def test_a_cache_that_cannot_be_written_is_one_line(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    config = tiny_config("", data={"train": [], "synthetic_identities": 4, "synthetic_images": 2})
    with pytest.raises(DataError) as error:
        synthetic_set(config)
    assert len(str(error.value).splitlines()) == 1


def test_several_sources_are_joined(faces: str, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    pixels = (open_faces([faces]).stores[0].read(f"p0000{i}/000.jpg") for i in range(2))
    for name, blob in zip("ab", pixels, strict=True):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.jpg").write_bytes(blob)
    pack(str(folder), str(tmp_path / "packed"))
    keys = {"train": [faces, str(tmp_path / "packed")], "validation_share": 0.7}
    manifest = open_material(tiny_config(faces, data=keys)).manifest()
    assert [source["offset"] for source in manifest["sources"]] == [0, NUM_IDENTITIES]  # type: ignore[attr-defined]


def test_report_pairs_are_made_of_a_packed_sets_own_people(faces: str) -> None:
    config = tiny_config(faces)
    report = ReportConfig(images=faces, pairs_per_fold=4)
    first, again = (open_pairs(report, config.model) for _ in range(2))
    assert len(first.pairs) == 10 * 2 * 4
    assert first.pairs.keys == again.pairs.keys
    person = [person_of(first.pairs.keys[place]) for place in first.pairs.first]
    other = [person_of(first.pairs.keys[place]) for place in first.pairs.second]
    assert [a == b for a, b in zip(person, other, strict=True)] == first.pairs.same.tolist()
    assert first.pairs.people() <= open_faces((faces,)).people()


def test_people_of_training_and_reward_are_known_by_their_folders(faces: str) -> None:
    material = open_material(tiny_config(faces))
    assert material.people == open_faces((faces,)).people()
    assert len(material.people) == NUM_IDENTITIES


def test_a_report_set_shares_no_people_unless_told_so(faces: str, tmp_path: Path) -> None:
    keys = {"images": faces, "pairs": tiny_runs.write_pairs(tmp_path / "pairs.tsv")}
    config = tiny_config(faces, report={"own": keys})
    with pytest.raises(
        DataError, match=r"^report\.own must share no people .* found 8 by .*: p00000, p"
    ):
        check_material(config, open_material(config))
    config = tiny_config(faces, report={"own": {**keys, "shares_people": True}})
    check_material(config, open_material(config))
