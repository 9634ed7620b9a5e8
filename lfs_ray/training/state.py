"""Everything a trial hands on: backbone, classifier, loss state, momentum, scaler.

`TrainingState` holds the live torch objects of a process and turns them into named arrays and
back, so that a trial can start from any parent, in any process.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lfs_ray.config.sections import ModelConfig, OptimizerConfig
from lfs_ray.errors import RunError
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.models.classifier import CosineClassifier
from lfs_ray.training.backbone import new_backbone

Arrays = Mapping[str, npt.NDArray[np.generic]]
_MOMENTUM = "momentum_buffer"
_DECAY = "decay"


class TrainingState:
    """A model in training on one device.

    Args:
        model: the section `model`.
        optimizer: the section `optimizer`.
        num_classes: C.
        loss: the trial's loss; its parameters are trained too.
        device: where it lives.
        init_seed: seed of the initial weights; None leaves them unset, for a state that is loaded.
        use_scaler: whether gradients are scaled (fp16).
    """

    def __init__(
        self,
        model: ModelConfig,
        optimizer: OptimizerConfig,
        num_classes: int,
        loss: ClassifierLoss,
        device: torch.device,
        *,
        init_seed: int | None,
        use_scaler: bool = False,
    ) -> None:
        if init_seed is None:
            # Drawing weights that a parent's replace takes longer than loading the parent's.
            nowhere = copy.deepcopy(_without_numbers(model, num_classes, loss.sub_centers))
            backbone, classifier = nowhere
            self.backbone = backbone.to_empty(device=device)
            self.classifier = classifier.to_empty(device=device)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(init_seed)
                backbone, classifier = _new_model(model, num_classes, loss.sub_centers)
            self.backbone, self.classifier = backbone.to(device), classifier.to(device)
        self.loss = loss.to(device)
        self.optimizer = torch.optim.SGD(
            self._groups(optimizer), lr=optimizer.learning_rate, momentum=optimizer.momentum
        )
        self.optimizer.register_step_pre_hook(_decay_in_place)
        self.scaler = torch.amp.GradScaler(device.type, enabled=use_scaler)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """The modules by the first part of their arrays' names."""
        return {"backbone": self.backbone, "classifier": self.classifier, "loss": self.loss}

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Trainable parameters with their full names."""
        for part, module in self.parts.items():
            for name, parameter in module.named_parameters(prefix=part):
                if parameter.requires_grad:
                    yield name, parameter

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Everything, by name; on CPU the arrays share memory with this state."""
        tensors: dict[str, Tensor] = {}
        for part, module in self.parts.items():
            tensors |= {f"{part}.{name}": value for name, value in module.state_dict().items()}
        for name, parameter in self.parameters():
            buffer = self.optimizer.state[parameter].get(_MOMENTUM)
            if buffer is not None:
                tensors[f"momentum.{name}"] = buffer
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        scaler = {key: np.float64(value) for key, value in self.scaler.state_dict().items()}
        return arrays | {f"scaler.{key}": np.asarray(value) for key, value in scaler.items()}

    def load(self, arrays: Arrays, *, name: str) -> None:
        """Continue from a parent's arrays.

        Raises:
            RunError: they are of another model.
        """
        try:
            for part, module in self.parts.items():
                module.load_state_dict(_tensors(arrays, f"{part}."))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise RunError(
                f"{name} must hold the model that the configuration describes, found another "
                f"({reason}): use the configuration it was trained with"
            ) from error
        momentum = _tensors(arrays, "momentum.")
        for key, parameter in self.parameters():
            if key in momentum:
                self.optimizer.state[parameter][_MOMENTUM] = momentum[key].to(parameter.device)
        scaler = {key: value.item() for key, value in _tensors(arrays, "scaler.").items()}
        if scaler and self.scaler.is_enabled():
            counters = {"growth_interval", "_growth_tracker"}
            self.scaler.load_state_dict(
                {key: int(value) if key in counters else value for key, value in scaler.items()}
            )

    def _groups(self, optimizer: OptimizerConfig) -> list[dict[str, object]]:
        """Parameter groups: all decay, or all but vectors (normalisation and bias) do."""
        every = list(self.parameters())
        if optimizer.decay_norm_and_bias:
            chosen = {name for name, _ in every}
        else:
            chosen = {name for name, parameter in every if parameter.ndim > 1}
        decayed = [parameter for name, parameter in every if name in chosen]
        plain = [parameter for name, parameter in every if name not in chosen]
        groups = [{"params": decayed, _DECAY: optimizer.weight_decay}]
        return [*groups, {"params": plain, _DECAY: 0.0}] if plain else [*groups]


def _decay_in_place(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Add the decayed weights to the gradients; SGD's own weight_decay copies every gradient."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if group[_DECAY] and parameter.grad is not None:
                parameter.grad.add_(parameter.detach(), alpha=group[_DECAY])


def _new_model(
    model: ModelConfig, num_classes: int, sub_centers: int
) -> tuple[nn.Module, CosineClassifier]:
    backbone = new_backbone(model)
    return backbone, CosineClassifier(model.embedding_dim, num_classes, sub_centers)


@functools.lru_cache(maxsize=2)
def _without_numbers(
    model: ModelConfig, num_classes: int, sub_centers: int
) -> tuple[nn.Module, CosineClassifier]:
    """Backbone and classifier as shapes alone."""
    with torch.device("meta"):
        return _new_model(model, num_classes, sub_centers)


def _tensors(arrays: Arrays, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(array))
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
