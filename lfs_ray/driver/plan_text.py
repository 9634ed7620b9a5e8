"""What a search is about to do, in words: shown before it starts, and by `--dry-run`."""

from __future__ import annotations

import math

from lfs_ray.config.sections import Config, ModelConfig
from lfs_ray.execution.blueprint import lengths, plan_population
from lfs_ray.training.backbone import measure
from lfs_ray.training.material import Material


def describe(config: Config, material: Material, url: str) -> str:
    """Data, populations and lengths of a resolved configuration."""
    populations = [_population(config, name, len(material.faces)) for name in config.populations]
    return "\n".join([describe_data(config, material, url), *populations])


def describe_data(config: Config, material: Material, url: str) -> str:
    """Run directory, data and model of a resolved configuration."""
    faces, reward = material.faces, material.reward
    lines = [
        f"Run        {url}",
        f"Data       {len(faces)} images of {faces.num_classes} identities; reward on "
        f"{len(reward.pairs.same)} pairs of {len(reward.images_KHWC)} images",
        f"Model      {_model(config.model)}; {config.worker.precision}",
    ]
    return "\n".join(lines)


def _model(model: ModelConfig) -> str:
    size = measure(model)
    chunked = model.classifier == "chunked"
    chunks = f"; classifier in chunks of {model.classifier_chunk} classes" if chunked else ""
    return (
        f"{model.backbone}, {model.input_size_px} px, embedding {model.embedding_dim}, "
        f"{size.parameters} parameters, {size.multiply_adds / 1e6:.1f} million multiply-adds"
        f"{chunks}"
    )


def _population(config: Config, name: str, epoch_images: int) -> str:
    population = config.populations[name]
    search, loss = population.search, population.loss
    plan, searcher = plan_population(config, name, epoch_images)
    length = lengths(config, population, epoch_images)
    margin = searcher.margin_of(searcher.initial_state())
    total = length.total_images * plan.members
    space = f" ({search.space})" if searcher.space.names else ""
    return (
        f"Population {name}: {search.policy} on {loss.name}{space}, "
        f"{plan.rounds} rounds x {plan.members} members x {length.round_images} images "
        f"= {total} images, {plan.rounds * plan.round_epochs:.2f} lineage epochs"
        + ("" if math.isnan(margin) else f", margin {margin:.3f}")
    )
