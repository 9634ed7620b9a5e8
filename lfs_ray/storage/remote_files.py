"""Files of any filesystem that pyarrow opens: s3://, gs:// and others.

Object stores have no rename and need none: an object appears when its upload is complete. But
pyarrow's stream completes an upload when it is closed, also by an exception and by its own end,
with whatever was written until then. Hence nothing may happen between the parts of a file: they
are written in a thread of their own, which no signal (Ctrl-C, SIGTERM) interrupts; a part that
could not be sent is remembered by the stream, whose end then fails; a process that is killed
completes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import parse_qsl

import pyarrow as pa
from pyarrow import fs

from lfs_ray.storage.retry import NeverThereError

Answer = TypeVar("Answer")

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 30.0
"""Seconds without a byte after which a request has failed; slow answers are none of them."""
ATTEMPTS = 3
"""Of one request, within pyarrow: one failed part doesn't send a whole checkpoint again."""
_WITHOUT_FOLDERS = ("s3", "gcs")
_OWN_PARAMETERS = {"region", "scheme", "endpoint_override", "tls_ca_file_path"}
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|NoSuchBucket")


class RemoteFiles:
    """A folder of a pyarrow filesystem.

    Args:
        filesystem: the opened one.
        root: path of the folder in it; of an object store, it begins with the bucket.
        known: the bucket was seen before: where it is missing now, it is out of reach.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str, *, known: bool = False) -> None:
        self.filesystem = filesystem
        self.root = root
        self.known = known

    def read(self, name: str) -> bytes:
        """Whole content."""
        found = self._twice(lambda: self._content(name))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._at(name))
        return found

    def write(self, name: str, parts: Sequence[memoryview]) -> None:
        """Write one file."""
        with self._asked(), ThreadPoolExecutor(1) as apart:
            apart.submit(self._upload, self._at(name), parts).result()

    def _upload(self, path: str, parts: Sequence[memoryview]) -> None:
        if self.filesystem.type_name not in _WITHOUT_FOLDERS:
            self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        with self.filesystem.open_output_stream(path) as stream:
            for part in parts:
                stream.write(part)

    def exists(self, name: str) -> bool:
        """Whether a file or folder is there."""
        return self._twice(lambda: self._info(name)) is not None

    def size(self, name: str) -> int | None:
        """Size of a file, bytes."""
        info = self._twice(lambda: self._info(name))
        return int(info.size) if info and info.type == fs.FileType.File else None

    def list(self, folder: str) -> list[str]:
        """Names in a folder, [] where there is none."""
        return [*(self._twice(lambda: self._names(folder)) or ())]

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._twice(lambda: self._deleted(name))

    def _content(self, name: str) -> bytes | None:
        try:
            # One request: a stream that is read to its end asks for 256 KiB at a time.
            with self.filesystem.open_input_file(self._at(name)) as file:
                size = file.size()
                content = bytes(file.read(size))
        except FileNotFoundError:
            return None
        if len(content) != size:
            raise OSError(f"{len(content)} bytes came of {size}")
        return content

    def sweep(self, folder: str) -> None:
        """Nothing: an upload that was broken off leaves no object."""

    def _info(self, name: str) -> fs.FileInfo | None:
        info = self.filesystem.get_file_info(self._at(name))
        return None if info.type == fs.FileType.NotFound else info

    def _names(self, folder: str) -> Sequence[str] | None:
        chosen = fs.FileSelector(self._at(folder), allow_not_found=True)
        return [info.base_name for info in self.filesystem.get_file_info(chosen)] or None

    def _deleted(self, name: str) -> bool | None:
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(self._at(name))
            return True
        return None

    def _twice(self, ask: Callable[[], Answer | None]) -> Answer | None:
        """The answer; asked again where it is None, nothing there.

        pyarrow says that of a missing bucket too. Hence the bucket is looked at, and then it is
        asked again: the bucket may have come back in between.
        """
        with self._asked():
            answer = ask()
            if answer is not None or self.filesystem.type_name != "s3":
                return answer
            self._look_at_bucket()
            return ask()

    def _look_at_bucket(self) -> None:
        bucket = self.root.partition("/")[0]
        try:
            found = self.filesystem.get_file_info(bucket).type != fs.FileType.NotFound
        except OSError as error:
            if "ACCESS_DENIED" not in str(error):
                raise
            found = True  # said of buckets that are there: a role may be confined to a prefix
        if not found:
            raise OSError(f"NO_SUCH_BUCKET: the bucket {bucket} is not there")

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Around requests: every failure is an OSError."""
        try:
            yield
        except pa.ArrowException as error:
            raise OSError(str(error)) from error
        except OSError as error:
            if _NO_BUCKET.search(str(error)) and not self.known:
                raise NeverThereError(str(error)) from error
            raise
        self.known = True

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root


def open_uri(uri: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a URI, set so that it neither hangs nor gives up on a slow answer.

    Returns:
        The filesystem, and the path in it without a slash at its end.

    Raises:
        OSError: it can't be reached.
        ValueError: pyarrow knows no such URI.
    """
    place, _, query = uri.partition("?")
    parameters = dict(parse_qsl(query))
    if place.startswith(("gs://", "gcs://")) and "retry_limit_seconds" not in parameters:
        # Google's client would try for a quarter of an hour.
        query = "&".join(filter(None, [query, f"retry_limit_seconds={SILENCE_TIMEOUT_S:.0f}"]))
        uri = f"{place}?{query}"
    opened, root = fs.FileSystem.from_uri(uri)
    if opened.type_name == "s3" and parameters.keys() <= _OWN_PARAMETERS:
        opened = _patient_s3(opened, parameters)
    return opened, str(root).rstrip("/")


def _patient_s3(opened: fs.S3FileSystem, parameters: Mapping[str, str]) -> fs.S3FileSystem:
    """The same filesystem with our timeouts, which a URI can't express."""
    variables = map(os.environ.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    endpoint = parameters.get("endpoint_override") or next(filter(None, variables), None)
    return fs.S3FileSystem(
        region=opened.region or None,
        scheme=parameters.get("scheme", "https"),
        endpoint_override=endpoint,
        tls_ca_file_path=parameters.get("tls_ca_file_path"),
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=SILENCE_TIMEOUT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        # A file of one part is sent by one request.
        allow_delayed_open=True,
    )
