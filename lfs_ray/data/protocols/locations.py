"""Where the files of a set lie, and whether its images are there.

Data flow: folder as given -> here -> the readers beside this module; keys and a store -> here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lfs_ray.data.store import ImageStore
from lfs_ray.errors import DataError

IMAGE_ENDINGS = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".webp"))
_SHOWN_NAMES = 5


def first_existing(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of some places below `root` that exists.

    Raises:
        DataError: None does; names them.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    raise DataError(f"{root} must hold {what}: {' or '.join(names)}, it holds none")


def image_files(root: Path, below: str = "") -> list[str]:
    """Paths of the images in the folder `below` and its folders, relative to `root`, sorted.

    Raises:
        DataError: It is no folder, or holds no image.
    """
    folder = root / below
    if not folder.is_dir():
        raise DataError(f"{folder} must be a folder of images, there is none")
    keys = sorted(
        file.relative_to(root).as_posix()
        for file in folder.rglob("*")
        if file.suffix.lower() in IMAGE_ENDINGS
        and not any(part.startswith(".") for part in file.relative_to(root).parts)
    )
    if not keys:
        raise DataError(f"{folder} must hold images, it holds none")
    return keys


def read_names(path: Path, what: str) -> list[str]:
    """Lines of a UTF-8 text without blanks around them; blank ones and `#` comments are left out.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{what} {path} must be a readable file ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{what} {path} must be UTF-8 text ({error.reason})") from None
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def refuse_missing(keys: Sequence[str], store: ImageStore, what: str) -> None:
    """Raise DataError when the store lacks some images; names the first and counts all."""
    missing = store.missing(iter(keys))
    if missing:
        names = ", ".join(missing[:_SHOWN_NAMES])
        more = ", ..." if len(missing) > _SHOWN_NAMES else ""
        raise DataError(
            f"all {len(keys)} {what} must be in {store.path}, {len(missing)} are missing: "
            f"{names}{more}"
        )


def refuse_repeated(keys: Sequence[str], place: str) -> None:
    """Raise DataError when a list names an image twice."""
    if len(set(keys)) < len(keys):
        again = Counter(keys).most_common(1)[0][0]
        raise DataError(f'{place} must name each image once, "{again}" comes twice')
