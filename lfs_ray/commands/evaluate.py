"""`lfs-ray evaluate`: a checkpoint or embeddings by the protocol of a test set."""

from __future__ import annotations

from datetime import datetime

from lfs_ray.commands.parser import at_least, make_parser, share
from lfs_ray.commands.progress import shown_progress
from lfs_ray.data.pair_lists import FORMATS
from lfs_ray.driver.evaluate.request import EvaluationRequest
from lfs_ray.driver.evaluate.run import PROTOCOLS, evaluate
from lfs_ray.driver.evaluate.table import text_of
from lfs_ray.evaluation.rules import RULE_NAMES

_MORE = """The protocol is told by the files of SET: a pair list (LFW, CALFW, CPLFW, AgeDB-30,
SLLFW, path1 path2 label, or a table with the header fold same a b), a .bin set or what
`lfs-ray data convert` makes of it, the folders of CFP, RFW, IJB-B, IJB-C, MegaFace, TinyFace and
Market-1501, or any folder with one folder a person. docs/evaluation.md describes each, and every
rule."""


def run(args: list[str]) -> None:
    """Carry out `lfs-ray evaluate`."""
    parser = make_parser("evaluate", _MORE)
    add = parser.add_argument
    add("source", metavar="MODEL", help="*.safetensors of a run, or a directory of embeddings")
    add("target", metavar="SET", help="list, .bin file or folder of the test set")
    add("--protocol", default="auto", choices=["auto", *PROTOCOLS], help="default: auto")
    add("--images", default="", metavar="DIR", help="folder or packed set with the images")
    add("--format", default="", choices=FORMATS, help="format of a pair list")
    add("--distractors", default="", metavar="PLACE", help="other images, or a list of them")
    add(
        "--rule",
        action="append",
        choices=[*RULE_NAMES, "all"],
        help="rule of the 10-fold accuracy, may be repeated; default: insightface",
    )
    add("--far", type=share, action="append", metavar="F", help="false accept rate, repeatable")
    add("--no-flip", action="store_true", help="without the mirrors' embeddings")
    add("--single-shot", action="store_true", help="re-identification: CUHK03's CMC, too")
    add(
        "--shuffle-folds",
        type=at_least(0),
        metavar="SEED",
        help="deal the pairs anew to the folds",
    )
    add("--skip-missing", action="store_true", help="leave out pairs without their images")
    add("--threads", type=at_least(1), default=1, help="decoding threads")
    add("--out", default="", metavar="DIR", help="new directory for table and pictures")
    add("--no-files", action="store_true", help="print the table only")
    options = parser.parse_args(args)
    rules = options.rule or ["insightface"]
    request = EvaluationRequest(
        source=options.source,
        target=options.target,
        protocol=options.protocol,
        images=options.images,
        format=options.format,
        distractors=options.distractors,
        rules=RULE_NAMES if "all" in rules else tuple(dict.fromkeys(rules)),
        fars=tuple(dict.fromkeys(options.far or ())),
        flip=not options.no_flip,
        single_shot=options.single_shot,
        shuffle_seed=options.shuffle_folds,
        skip_missing=options.skip_missing,
        threads=options.threads,
    )
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    out = options.out or f"evaluations/{request.set_name}-{now}"
    with shown_progress("embedding") as progress:
        table = evaluate(request, out="" if options.no_files else out, progress=progress)
    print(text_of(table))
    if not options.no_files:
        print(f"\ntable and pictures in {out}")
