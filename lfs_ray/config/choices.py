"""The names that a key of the configuration may take, where it takes one of several.

The rooms that give them a meaning hold the same names; a test compares them. Names of losses and
search spaces are texts, judged by the loss catalogue (execution/fit.py).
"""

from __future__ import annotations

from typing import Literal

BackboneName = Literal[
    "tiny", "mobilefacenet", "iresnet18", "iresnet34", "iresnet50", "iresnet100", "seresnet50_ir"
]
PolicyName = Literal[
    "fixed",
    "grid",
    "random",
    "selection_only",
    "reinforce",
    "reinforce_adaptive",
    "paper",
    "pgpe",
    "cma",
    "tpe",
    "schedule",
]
CompatName = Literal[
    "released",
    "selection_only",
    "unfolded_score",
    "range_reward",
    "ten_component_policy",
    "released_scale",
    "fixed_first_epochs",
    "duplicate_identity_weight",
    "probability_space_loss",
    "early_lr_step",
    "repeat_first_permutation",
    "same_order",
    "independent_init",
    "keep_momentum",
    "lfw_reward",
    "lowest_rank_ties",
    "easy_heads",
    "weight_decay_1e-4",
    "lfs_pixels",
]
ShapingName = Literal["std", "centre", "range", "rank"]
RuleName = Literal["insightface", "facex-zoo", "facex", "lfs"]
