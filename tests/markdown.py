"""What the tests of the documents read from Markdown: blocks, links, headings, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def blocks(markdown: str, language: str) -> list[str]:
    """Contents of the fenced blocks in `language`."""
    return [body for found, body in _FENCE.findall(markdown) if found == language]


def prose(markdown: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", markdown)


def links(markdown: str) -> list[str]:
    """Targets of links and images, in order."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(markdown))


def anchors(markdown: str) -> set[str]:
    """The names by which `#name` links reach the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def shell_commands(markdown: str) -> Iterator[list[str]]:
    """Words of every simple command in bash blocks."""
    for block in blocks(markdown, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = next((i for i, word in enumerate(words) if word in _SEPARATORS), len(words))
                if words[:end]:
                    yield words[:end]
                words = words[end + 1 :]


_SEPARATORS = frozenset({"&&", "||", ";", "|", "&"})


def commands_of(program: str, markdown: str) -> list[list[str]]:
    """Arguments of every call of `program`: in bash blocks, and in inline code of the prose."""
    inline = (shlex.split(re.sub(r"[\[\]{}|]", " ", code)) for code in _inline_code(markdown))
    return [
        words[1:]
        for words in [*shell_commands(markdown), *inline]
        if words and words[0] == program
    ]


def _inline_code(markdown: str) -> list[str]:
    return [code for code in _INLINE.findall(prose(markdown)) if "'" not in code]
