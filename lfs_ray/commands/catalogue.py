"""The commands by name. A command's module is imported when the command is called, not before."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Where a command's function stands, and what it does."""

    module: str
    """Module of the room `commands`."""
    about: str
    """One line, shown by `lfs-ray --help` and on top of the command's own help."""
    function: str = "run"
    """Function of the module: takes the arguments, returns the exit code (None: 0)."""


COMMANDS: dict[str, Command] = {
    "search": Command(
        "fits",
        "Search the loss while the model trains; no file: the example.",
        "search",
    ),
    "train": Command(
        "fits", "Train under one fixed loss, or under a schedule of a search.", "train"
    ),
    "compare": Command(
        "fits",
        "Compare methods over seeds at one budget, in one run.",
        "compare",
    ),
    "trials": Command("trials", "Show the trial table of one or several runs."),
    "evaluate": Command(
        "evaluate", "Score a checkpoint, or embeddings, by a test set's protocol."
    ),
    "embed": Command("embed", "Embed all images of a folder or packed set."),
    "data pack": Command(
        "data_pack", "Pack folders, lists, .rec, tars, Parquet, LMDBs into a set."
    ),
    "data convert": Command(
        "data_convert", "Turn a .bin verification set into a packed set with pairs."
    ),
    "data doctor": Command(
        "data_doctor", "Examine labels, images, duplicates, colours, crops, pairs."
    ),
    "data overlap": Command(
        "data_overlap", "Find and remove identities that are in test sets, too."
    ),
    "data noise": Command("data_noise", "Flip a share of a set's labels, for studies of noise."),
    "data synthesize": Command("data_synthesize", "Draw synthetic faces into a packed data set."),
}
"""In the order of the help."""
