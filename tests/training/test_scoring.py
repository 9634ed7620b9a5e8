from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lfs_ray.config.sections import Config, DataConfig, ModelConfig, ReportConfig, RewardConfig
from lfs_ray.data.pairs import Pairs
from lfs_ray.errors import DataError
from lfs_ray.training.scoring import embed, metric_mistakes, metric_of, score

CPU = torch.device("cpu")
MODEL = ModelConfig(pixel_mean=0.0, pixel_scale=1.0)
PLAIN = RewardConfig(flip=False, batch_size=2)


class TopLeft(nn.Module):
    """Embeds an image as its top left pixel, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.sizes.append(len(images))
        return images[:, :, 0, 0]


def some_images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, 4, 4, 3), np.uint8)


def test_embeddings_are_unit_vectors_in_order_whatever_the_batches() -> None:
    images, backbone = some_images(), TopLeft()
    found = embed(backbone.train(), images, MODEL, PLAIN, CPU)
    pixels = images[:, 0, 0].astype(np.float64)
    np.testing.assert_allclose(found, pixels / np.linalg.norm(pixels, axis=1, keepdims=True))
    assert backbone.sizes == [2, 2, 1]


def test_flip_sums_an_image_and_its_mirror() -> None:
    images = some_images()
    found = embed(TopLeft(), images, MODEL, replace(PLAIN, flip=True), CPU)
    both = images[:, 0, 0].astype(np.float64) + images[:, 0, -1]
    np.testing.assert_allclose(found, both / np.linalg.norm(both, axis=1, keepdims=True))


def test_images_of_another_colour_order_are_turned_into_the_models() -> None:
    images = some_images()
    bgr = replace(MODEL, colour="bgr")
    expected = embed(TopLeft(), images[..., ::-1].copy(), bgr, PLAIN, CPU)
    assert np.array_equal(embed(TopLeft(), images, bgr, PLAIN, CPU, colour="rgb"), expected)
    as_they_are = embed(TopLeft(), images, bgr, PLAIN, CPU, colour="bgr")
    assert np.array_equal(as_they_are, embed(TopLeft(), images, bgr, PLAIN, CPU))
    assert not np.array_equal(as_they_are, expected)


def pairs_of(folds: int) -> Pairs:
    """Four images of two people; in each fold one pair of one person, one of both."""
    return Pairs(
        keys=("a0", "a1", "b0", "b1"),
        first=np.tile([0, 0], folds),
        second=np.tile([1, 2], folds),
        same=np.tile([True, False], folds),
        fold=np.repeat(np.arange(folds), 2),
        identity=np.array([0, 0, 1, 1]),
    )


def test_separable_people_score_one_and_swapped_ones_nothing_like_it() -> None:
    apart = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert score(apart, pairs_of(10), PLAIN, seed=0).reward == 1.0
    mixed = apart[[0, 2, 1, 3]]
    assert score(mixed, pairs_of(10), PLAIN, seed=0).reward <= 0.5


def random_people() -> tuple[np.ndarray, Pairs]:
    """Embeddings of 20 people with one image each, and pairs among them."""
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(20, 3))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    first_of, second_of = random.integers(0, 10, 60), random.integers(10, 20, 60)
    pairs = Pairs(
        keys=tuple(map(str, range(20))),
        first=first_of,
        second=second_of,
        same=np.tile([True, False], 30),
        fold=np.repeat(np.arange(10), 6),
        identity=np.arange(20),
    )
    return embeddings, pairs


def test_the_standard_error_is_of_the_seed_alone() -> None:
    embeddings, pairs = random_people()
    first, again, other = (score(embeddings, pairs, PLAIN, seed=seed) for seed in (1, 1, 2))
    assert first.reward_se == again.reward_se
    assert first.reward_se != other.reward_se
    assert first.reward == other.reward


@pytest.mark.parametrize("rule", ["insightface", "facex-zoo", "lfs"])
def test_a_bare_accuracy_is_by_the_rewards_rule(rule: str) -> None:
    embeddings, pairs = random_people()
    result = score(embeddings, pairs, replace(PLAIN, rule=rule), seed=0)
    assert result.reward == result.verification.accuracy
    assert result.verification.rule == rule
    weighted = replace(PLAIN, rule=rule, metric="0.25*accuracy + 0.5 * auc")
    area = score(embeddings, pairs, replace(PLAIN, metric="auc"), seed=0).reward
    found = score(embeddings, pairs, weighted, seed=0)
    assert found.reward == pytest.approx(0.25 * result.reward + 0.5 * area)
    assert metric_of(weighted).name == f"0.25*accuracy@rule={rule} + 0.5*auc"


def test_an_accuracy_with_its_own_rule_keeps_it() -> None:
    given = replace(PLAIN, rule="lfs", metric="accuracy@rule=insightface + auc")
    assert metric_of(given).name == "1*accuracy@rule=insightface + 1*auc"


def test_the_reward_may_be_any_metric_of_pairs_and_images() -> None:
    embeddings, pairs = random_people()
    for name in ("tar@far=0.1", "tar@far=0.1,rule=nearest", "1-eer", "val@far=0.1"):
        found = score(embeddings, pairs, replace(PLAIN, metric=name), seed=0)
        assert 0 <= found.reward <= 1
        assert found.reward_se > 0
    grouped = replace_identity(pairs)
    for name in ("rank1", "map", "minp", "map@r", "precision@1", "r_precision", "tpr@fpr=0.1"):
        assert 0 <= score(embeddings, grouped, replace(PLAIN, metric=name), seed=0).reward <= 1
    ranks = np.arange(1, 21)
    top = score(embeddings, pairs, replace(PLAIN, metric="top5"), seed=0, class_rank_K=ranks)
    assert top.reward == 5 / 20


def replace_identity(pairs: Pairs) -> Pairs:
    """Ten people with two images each."""
    return replace(pairs, identity=np.arange(20) // 2)


def test_metrics_that_cannot_be_are_told_by_key() -> None:
    config = Config(
        reward=RewardConfig(metric="top1"),
        report={"lfw": ReportConfig(images="x", metrics=("auc", "top1", "accuracyy"))},
    )
    found = metric_mistakes(config)
    assert [line.split()[0] for line in found] == [
        "reward.metric",
        "report.lfw.metrics",
        "report.lfw.metrics",
    ]
    assert 'set it to "images"' in found[0]
    assert "leave it out" in found[1]
    assert "accuracyy" in found[2]
    images = replace(config, data=DataConfig(validation_split="images"), report={})
    assert metric_mistakes(images) == []


def test_embeddings_that_are_not_finite_are_one_line() -> None:
    broken = np.full((4, 2), np.nan)
    with pytest.raises(DataError) as error:
        score(broken, pairs_of(10), PLAIN, seed=0)
    assert len(str(error.value).splitlines()) == 1
