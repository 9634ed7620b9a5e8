"""`lfs-ray evaluate`: score a checkpoint on a pair list."""

from __future__ import annotations

from dataclasses import replace

from lfs_ray.commands.parser import make_parser
from lfs_ray.config.sections import RewardConfig
from lfs_ray.driver.evaluate import evaluate
from lfs_ray.evaluation.verification import RULES


def run(args: list[str]) -> None:
    """Carry out `lfs-ray evaluate`."""
    parser = make_parser("evaluate")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="*.safetensors of a run")
    parser.add_argument(
        "pairs", metavar="PAIRS", help="pair list (TSV, pairs.txt, development list)"
    )
    parser.add_argument("--images", default="", metavar="DIR", help="their folder or packed set")
    parser.add_argument("--rule", default="insightface", choices=sorted(RULES))
    parser.add_argument("--no-flip", action="store_true", help="original view only")
    options = parser.parse_args(args)
    reward = replace(RewardConfig(), rule=options.rule, flip=not options.no_flip)
    table = evaluate(options.checkpoint, options.pairs, options.images, reward)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
