from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch

from lfs_ray.config.sections import ModelConfig, OptimizerConfig
from lfs_ray.data.loader import Batch
from lfs_ray.errors import RunError
from lfs_ray.losses.catalogue import build_loss
from lfs_ray.training.checkpoint import decode, encode
from lfs_ray.training.device import AUTOCAST
from lfs_ray.training.schedule import RateSchedule
from lfs_ray.training.state import Arrays, TrainingState
from lfs_ray.training.steps import Loop

CPU = torch.device("cpu")
MODEL = ModelConfig(width=4, embedding_dim=8, input_size_px=32)
OPTIMIZER = OptimizerConfig(batch_size=8, warmup_epochs=0.0, momentum=0.9)
NUM_CLASSES = 5


def new_state(
    model: ModelConfig = MODEL, optimizer: OptimizerConfig = OPTIMIZER, **options: object
) -> TrainingState:
    settings = {"init_seed": 1, **options}
    loss = build_loss("global", scale=16.0, theta=[0.2])
    return TrainingState(model, optimizer, NUM_CLASSES, loss, CPU, **settings)  # type: ignore[arg-type]


def some_batches(count: int, size: int = 8) -> list[Batch]:
    random = np.random.default_rng(0)
    return [
        Batch(
            random.integers(0, 256, (size, 32, 32, 3), np.uint8),
            random.integers(0, NUM_CLASSES, size),
            0,
            0.0,
        )
        for _ in range(count)
    ]


def train(
    state: TrainingState, batches: Iterable[Batch], seen: int = 0, precision: str = "fp32"
) -> None:
    rates = RateSchedule(OPTIMIZER, 32, 128)
    loop = Loop(model=MODEL, optimizer=OPTIMIZER, rates=rates, device=CPU, precision=precision)
    loop.run(state, batches, seen)


def frozen(state: TrainingState) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in state.arrays().items()}


def through_a_file(state: TrainingState) -> Arrays:
    return decode(b"".join(encode(state.arrays(), {})), name="c")[0]


@pytest.mark.parametrize("precision", list(AUTOCAST))
def test_half_and_half_through_a_file_is_the_whole_bit_for_bit(precision: str) -> None:
    batches = some_batches(6)
    scaled = precision == "fp16"
    whole, first = new_state(use_scaler=scaled), new_state(use_scaler=scaled)
    train(whole, batches, precision=precision)
    train(first, batches[:3], precision=precision)
    # Its own initial weights must not matter, nor what it would draw next.
    second = new_state(use_scaler=scaled, init_seed=2)
    torch.rand(3)
    second.load(through_a_file(first), name="c")
    assert frozen(second) == frozen(first)
    train(second, batches[3:], seen=24, precision=precision)
    assert frozen(second) == frozen(whole)
    assert frozen(first) != frozen(whole)


def test_everything_that_training_changes_is_in_the_arrays() -> None:
    state = new_state(use_scaler=True)
    before = state.arrays()
    assert not [name for name in before if name.startswith("momentum.")]
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 64.0})
    train(state, some_batches(3), precision="fp16")
    after = state.arrays()
    trained = [name for name, _ in state.parameters()]
    assert after.keys() >= {f"momentum.{name}" for name in trained} | set(trained)
    assert after["backbone.stages.1.num_batches_tracked"] == 3
    assert after["backbone.stages.1.running_mean"].any()
    assert after["scaler._growth_tracker"] == 3
    assert after["scaler.scale"] == 64.0
    assert "classifier.weight_CD" in after


def test_momentum_matters_to_the_next_step() -> None:
    batches = some_batches(4)
    first = new_state()
    train(first, batches[:3])
    kept, dropped = new_state(), new_state()
    arrays = through_a_file(first)
    kept.load(arrays, name="c")
    dropped.load(
        {name: value for name, value in arrays.items() if not name.startswith("momentum.")},
        name="c",
    )
    for state in (kept, dropped):
        train(state, batches[3:], seen=24)
    name = "backbone.stages.0.weight"
    assert frozen(kept)[name] != frozen(dropped)[name]


def test_a_scaler_continues_where_it_was() -> None:
    first = new_state(use_scaler=True)
    first.scaler.load_state_dict({**first.scaler.state_dict(), "scale": 8.0, "_growth_tracker": 5})
    second = new_state(use_scaler=True)
    second.load(through_a_file(first), name="c")
    assert second.scaler.state_dict() == first.scaler.state_dict()
    assert type(second.scaler.state_dict()["_growth_tracker"]) is int


def test_a_state_with_a_scaler_can_go_on_without_one() -> None:
    first, second = new_state(use_scaler=True), new_state(init_seed=2)
    second.load(through_a_file(first), name="c")
    assert second.scaler.state_dict() == {}


def test_the_next_state_leaves_the_arrays_of_the_last_one_alone() -> None:
    first = new_state()
    train(first, some_batches(2))
    arrays = first.arrays()
    before = {name: array.tobytes() for name, array in arrays.items()}
    second = new_state()
    second.load(arrays, name="c")
    train(second, some_batches(2))
    assert {name: array.tobytes() for name, array in arrays.items()} == before


@pytest.mark.parametrize(
    "model",
    [
        replace(MODEL, embedding_dim=9),
        replace(MODEL, width=5),
        replace(MODEL, input_size_px=48),
        replace(MODEL, backbone="mobilefacenet"),
    ],
)
def test_another_model_is_refused_in_one_line(model: ModelConfig) -> None:
    arrays = new_state().arrays()
    with pytest.raises(RunError, match=r"^parents/c must hold the model that .*: use ") as error:
        new_state(model).load(arrays, name="parents/c")
    assert len(str(error.value).splitlines()) == 1


def test_the_seed_alone_gives_the_initial_weights() -> None:
    torch.manual_seed(5)
    one = new_state(init_seed=7)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == drawn, "building a state drew from the process's generator"
    assert frozen(new_state(init_seed=7)) == frozen(one)
    assert frozen(new_state(init_seed=8)) != frozen(one)


@pytest.mark.parametrize("decayed", [True, False])
def test_weight_decay_reaches_what_it_should(decayed: bool) -> None:
    optimizer = replace(OPTIMIZER, decay_norm_and_bias=decayed, weight_decay=0.01)
    state = new_state(optimizer=optimizer)
    decay_of = {
        id(parameter): group["decay"]
        for group in state.optimizer.param_groups
        for parameter in group["params"]
    }
    decays = {name: decay_of[id(parameter)] for name, parameter in state.parameters()}
    assert decays["backbone.stages.0.weight"] == decays["classifier.weight_CD"] == 0.01
    expected = 0.01 if decayed else 0.0
    assert decays["backbone.stages.1.weight"] == decays["backbone.stages.1.bias"] == expected
    assert decays["backbone.head.2.bias"] == expected


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_decay_without_a_copy_is_sgd_s_own_weight_decay(momentum: float) -> None:
    optimizer = replace(OPTIMIZER, weight_decay=0.01, momentum=momentum)
    state = new_state(optimizer=optimizer)
    parameter = state.classifier.weight_CD
    usual = parameter.detach().clone().requires_grad_()
    sgd = torch.optim.SGD(
        [usual], lr=optimizer.learning_rate, momentum=momentum, weight_decay=0.01
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad, usual.grad = gradient.clone(), gradient
        state.optimizer.step()
        sgd.step()
        assert torch.equal(parameter, usual)


@pytest.mark.parametrize("backbone", ["tiny", "mobilefacenet", "iresnet18", "seresnet50_ir"])
def test_a_state_that_is_loaded_needs_no_initial_weights(backbone: str) -> None:
    model = ModelConfig(backbone=backbone, width=4, embedding_dim=8, input_size_px=112)
    parent, generator = new_state(model), torch.get_rng_state()
    unset = new_state(model, init_seed=None)
    assert torch.equal(torch.get_rng_state(), generator)
    unset.load(parent.arrays(), name="c")
    assert frozen(unset) == frozen(parent)
    strides = {name: value.stride() for name, value in parent.parameters()}
    assert {name: value.stride() for name, value in unset.parameters()} == strides
    images = torch.zeros(1, 3, 112, 112)
    assert torch.equal(unset.backbone.eval()(images), parent.backbone.eval()(images))


def test_states_without_initial_weights_share_nothing() -> None:
    first, second = new_state(init_seed=None), new_state(init_seed=None)
    first.load(new_state().arrays(), name="c")
    second.load(new_state(init_seed=2).arrays(), name="c")
    assert frozen(first) == frozen(new_state())
