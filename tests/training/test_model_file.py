from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lfs_ray.config.sections import ModelConfig, OptimizerConfig
from lfs_ray.errors import RunError
from lfs_ray.losses.catalogue import build_loss
from lfs_ray.training.checkpoint import Arrays, decode, encode, model_facts
from lfs_ray.training.model_file import extract_backbone, load_backbone
from lfs_ray.training.state import TrainingState

MODEL = ModelConfig(width=4, embedding_dim=8, input_size_px=32, colour="bgr", pixel_mean=100.0)


def trained(model: ModelConfig = MODEL) -> TrainingState:
    loss = build_loss("normface", scale=16.0)
    device = torch.device("cpu")
    state = TrainingState(model, OptimizerConfig(), 5, loss, device, init_seed=3)
    state.backbone.train()
    state.backbone(torch.randn(4, 3, 32, 32))  # moves the statistics
    return state


def file_of(arrays: Arrays, model: ModelConfig = MODEL) -> bytes:
    return b"".join(encode(arrays, {"model": model_facts(model), "round": 2}))


def test_a_model_file_is_the_backbone_and_what_it_expects() -> None:
    state = trained()
    checkpoint = file_of(state.arrays())
    blob = extract_backbone(checkpoint, {"reward": 0.75}, name="c")
    arrays, facts = decode(blob, name="m")
    assert {name.split(".")[0] for name in arrays} == {"backbone"}
    assert (facts["round"], facts["reward"]) == (2, 0.75)
    for one in (blob, checkpoint):
        backbone, model = load_backbone(one, name="m")
        assert model == MODEL
        assert not backbone.training
        images = torch.randn(2, 3, 32, 32)
        assert torch.equal(backbone(images), state.backbone.eval()(images))


def test_loading_draws_nothing_from_the_process() -> None:
    blob = file_of(trained().arrays())
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_backbone(blob, name="m")
    assert torch.rand(1) == expected


def test_a_backbone_that_is_not_the_described_one_is_one_line() -> None:
    arrays = trained().arrays()
    missing = {name: value for name, value in arrays.items() if "head" not in name}
    for blob in (
        file_of(arrays, replace(MODEL, width=5)),
        file_of(arrays, replace(MODEL, backbone="iresnet18")),
        file_of(missing),
        file_of({}),
    ):
        with pytest.raises(RunError, match=r"^m must hold the backbone that its header") as error:
            load_backbone(blob, name="m")
        assert len(str(error.value).splitlines()) == 1


def test_a_description_that_no_net_fits_is_one_line() -> None:
    for model in (replace(MODEL, input_size_px=33), replace(MODEL, embedding_dim=0)):
        with pytest.raises(RunError, match=r"^m must hold the backbone") as error:
            load_backbone(file_of(trained().arrays(), model), name="m")
        assert len(str(error.value).splitlines()) == 1
