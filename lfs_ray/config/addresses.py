"""Addresses of folders and files: local paths, and URIs (s3://bucket/run?region=eu-west-1).

Pure functions of text. Credentials have no place in an address: it is written to config.toml,
shown, and sent to workers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

CREDENTIALS_ADVICE = (
    "leave them out, and give them in the environment (AWS_ACCESS_KEY_ID and its like), in the "
    "provider's own file, or by the machine's role"
)
_URI = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PASSWORD = re.compile(r"^[^/@]*:[^@]*@|^[^/@]+:(?!\d*(/|$))")
_SECRET_WORDS = re.compile(
    r"secret|token|passw|credential|signature|access.?key|account.?key|api.?key|^key$|^sig$",
    re.IGNORECASE,
)


def is_uri(address: str) -> bool:
    """Whether an address is a URI, not a local path.

    >>> is_uri("s3://bucket/run"), is_uri("C:/run")
    (True, False)
    """
    return bool(_URI.match(address))


def joined(folder: str, name: str) -> str:
    """Address of `name` in a folder; the query of a URI stays at the end.

    >>> joined("s3://bucket/runs/?region=x", "a/b")
    's3://bucket/runs/a/b?region=x'
    """
    place, mark, query = _parted(folder)
    stem = place if place.endswith("://") else place.rstrip("/")
    return f"{stem}/{name}{mark}{query}" if name else f"{stem or '/'}{mark}{query}"


def parted(address: str) -> tuple[str, str]:
    """The folder that an address lies in, and its name there.

    >>> parted("s3://bucket/runs/a.toml?region=x")
    ('s3://bucket/runs?region=x', 'a.toml')
    >>> parted("/a.toml")
    ('/', 'a.toml')
    """
    place, mark, query = _parted(address)
    folder, _, name = place.rpartition("/")
    return f"{folder or '/'}{mark}{query}", name


def last_part(address: str) -> str:
    """Name of the folder or file that an address ends with.

    >>> last_part("s3://bucket/runs/x/?region=y")
    'x'
    """
    return _parted(address)[0].rstrip("/").rpartition("/")[2]


def has_credentials(address: str) -> bool:
    """Whether a URI holds a password, or a parameter that names a secret.

    >>> has_credentials("s3://KEY:SECRET@bucket/run"), has_credentials("s3://bucket:9000/run")
    (True, False)
    """
    scheme = _URI.match(address)
    if not scheme:
        return False
    rest, _, query = address[scheme.end() :].partition("?")
    parameters = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    return bool(_PASSWORD.search(unquote(rest))) or any(
        _SECRET_WORDS.search(name) or _PASSWORD.match(_URI.sub("", value))
        for name, value in parameters
    )


def credential_mistakes(section: Any, where: str = "") -> Iterator[str]:
    """One line for every key, of all sections, that holds an address with credentials."""
    if is_dataclass(section):
        section = {item.name: getattr(section, item.name) for item in fields(section)}
    if isinstance(section, dict):
        for name, value in section.items():
            yield from credential_mistakes(value, f"{where}.{name}" if where else str(name))
    values = section if isinstance(section, tuple) else (section,)
    if any(isinstance(value, str) and has_credentials(value) for value in values):
        yield f"{where} must be an address without credentials, got one with: {CREDENTIALS_ADVICE}"


def _parted(address: str) -> tuple[str, str, str]:
    """Place, "?" where a URI has a query, and the query."""
    return address.partition("?") if is_uri(address) else (address, "", "")
