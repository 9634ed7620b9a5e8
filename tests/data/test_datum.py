from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data import datum, datum_pb2
from lfs_ray.errors import DataError

ROOT = Path(__file__).parents[2]
PROTO = "lfs_ray/data/datum.proto"


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field, by hand."""
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def varint(number: int, value: int) -> bytes:
    assert value < 128
    return bytes([number << 3, value])


def test_generated_file_is_that_of_the_proto_file(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc")
    output = tmp_path / "descriptor"
    assert protoc.main(["", f"-I{ROOT}", f"--descriptor_set_out={output}", str(ROOT / PROTO)]) == 0
    (fresh,) = FileDescriptorSet.FromString(output.read_bytes()).file
    for message in fresh.message_type:
        for member in message.field:
            member.ClearField("json_name")  # protoc adds it to files, but not to generated code
    kept = FileDescriptorProto.FromString(datum_pb2.DESCRIPTOR.serialized_pb)
    assert fresh == kept


@given(st.binary(max_size=300), st.integers(0, 2**31 - 1))
def test_encoding_is_that_of_the_generated_class(image: bytes, label: int) -> None:
    message = datum_pb2.Datum(data=image, label=label, encoded=True)
    assert datum.encode(image, label) == message.SerializeToString(deterministic=True)


@given(st.binary(min_size=1), st.integers(0, 2**31 - 1))
def test_encoded_image_comes_back(image: bytes, label: int) -> None:
    assert datum.decode(datum.encode(image, label)) == datum.StoredImage(image, label, None)


def test_bytes_on_the_wire() -> None:
    assert datum.encode(b"abc", 5) == field(4, b"abc") + varint(5, 5) + varint(7, 1)


def test_minimal_message_holds_the_image_in_field_1() -> None:
    value = field(9, b"other") + field(1, b"abc") + varint(2, 7)
    assert datum.decode(value).data == b"abc"
    assert datum.decode(value).shape_chw is None


def test_field_4_counts_before_field_1() -> None:
    assert datum.decode(field(1, b"one") + field(4, b"four")).data == b"four"


def test_raw_planes_are_blue_green_red() -> None:
    planes = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    value = varint(1, 3) + varint(2, 2) + varint(3, 4) + field(4, planes.tobytes())
    image = datum.decode(value)
    assert image.shape_chw == (3, 2, 4)
    rgb = image.planes_rgb()
    assert rgb.shape == (2, 4, 3)
    assert rgb[1, 2].tolist() == [planes[2, 1, 2], planes[1, 1, 2], planes[0, 1, 2]]


def test_grey_plane_is_repeated() -> None:
    value = varint(1, 1) + varint(2, 1) + varint(3, 2) + field(4, b"\x05\x09")
    assert datum.decode(value).planes_rgb().tolist() == [[[5, 5, 5], [9, 9, 9]]]


@pytest.mark.parametrize(
    ("channels", "size", "extra"),
    [(3, 6, varint(7, 1)), (3, 5, b""), (2, 4, b"")],
    ids=["encoded", "shape does not fit", "two channels"],
)
def test_a_shape_beside_an_encoded_image_is_ignored(
    channels: int, size: int, extra: bytes
) -> None:
    value = varint(1, channels) + varint(2, 1) + varint(3, 2) + field(4, b"x" * size) + extra
    assert datum.decode(value).shape_chw is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "must hold an image in field 4 or 1"),
        (varint(1, 3) + varint(5, 2), "must hold an image in field 4 or 1"),
        (b"\x22\x7fshort", "must be a Datum message"),
    ],
)
def test_refused(value: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        datum.decode(value)


def test_planes_of_an_encoded_image_are_refused() -> None:
    with pytest.raises(DataError, match="raw planes"):
        datum.decode(datum.encode(b"abc", 0)).planes_rgb()


@given(st.integers(0, 70_000), st.integers(0, 2**31 - 1))
def test_the_image_of_a_message_of_ours_is_found_in_place(size: int, label: int) -> None:
    image = (bytes(range(256)) * (size // 256 + 1))[:size]
    found = datum.encoded_part(memoryview(datum.encode(image, label)))
    assert (found is None) == (size == 0)
    assert found is None or bytes(found) == image


@given(st.binary(max_size=300), st.integers(0, 2**31 - 1), st.integers(0, 400), st.binary())
def test_what_is_found_in_place_is_what_decoding_finds(
    image: bytes, label: int, place: int, other: bytes
) -> None:
    """Messages with some bytes replaced, dropped or added."""
    value = datum.encode(image, label)
    place %= len(value)
    for changed in (
        value[:place] + other + value[place + len(other) :],
        value[:place] + other + value[place:],
        value[:place],
        value[:-1] + other,
        value[:-2] + b"\x88\x80\x80\x80\x80\x80\x80\x80\x80\x01\x38\x01",
    ):
        found = datum.encoded_part(memoryview(changed))
        assert found is None or datum.decode(changed) == datum.StoredImage(
            bytes(found), datum.decode(changed).label, None
        )


@pytest.mark.parametrize(
    "value",
    [
        field(1, b"minimal"),
        varint(1, 3) + field(4, b"abc") + varint(7, 1),
        field(4, b"abc") + varint(5, 5),
        field(4, b"abc") + varint(7, 0),
        field(4, b"abc") + varint(7, 1) + field(4, b"the last one counts"),
        b"",
    ],
)
def test_other_messages_are_left_to_decoding(value: bytes) -> None:
    assert datum.encoded_part(memoryview(value)) is None
