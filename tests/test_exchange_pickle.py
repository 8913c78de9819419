"""Plain pickles: Python's own pickle is the oracle; all but arrays and containers is refused."""

import collections
import io
import pickle
import pickletools
import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amanda.exchange.picklewriter import StreamedArray, write_plain
from amanda.exchange.plainpickle import load_plain, load_plain_stream
from amanda.store.errors import InputError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(raw: bytes):
    return load_plain_stream(io.BytesIO(raw), "f.pkl", len(raw))


def assert_same(a, b) -> None:
    """Equal values of equal types, through containers and arrays of objects."""
    assert type(a) is type(b) or isinstance(b, collections.OrderedDict | np.generic)
    if isinstance(b, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if b.dtype == object:
            for x, y in zip(a.ravel(), b.ravel(), strict=True):
                assert_same(x, y)
        else:
            np.testing.assert_array_equal(a, b)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for key in b:
            assert_same(a[key], b[key])
    elif isinstance(b, list | tuple):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reads_what_pickle_writes(protocol):
    shared = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {
        "c order": shared,
        "same": [shared, shared],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
        "strided": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        "big-endian": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 5)),
        "bool": np.array([True, False]),
        "texts": np.array(["a", "éé"]),
        "bytes": np.array([b"a", b"bcd"]),
        "objects": np.array([np.zeros(2), None, "s"], dtype=object),
        "numbers": [np.float32(3), np.int64(-4), np.str_("x"), 5, -(2**70), 2.5, True, None],
        "containers": [(), (1,), (1, 2, 3, 4), {1, 2}, frozenset([3]), [[]], {}, b"", b"\xff\n"],
        "ordered": collections.OrderedDict(b=1, a=2),
    }
    found = load(pickle.dumps(content, protocol=protocol))
    assert_same(found, content)
    assert found["same"][0] is found["same"][1]  # one array in memory, as pickle has it


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@given(plain, st.sampled_from(PROTOCOLS))
@settings(max_examples=60, deadline=None)
def test_agrees_with_pickle(content, protocol):
    raw = pickle.dumps(content, protocol=protocol)
    assert load(raw) == pickle.loads(raw) == content


def test_python_2_and_numpy_1_names():
    """Protocol 2 as Python 2 and NumPy 1 wrote it: array bytes are a str."""
    raw = (
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08" + struct.pack("<2f", 1.5, -2) + b"tbs."
    )
    np.testing.assert_array_equal(load(raw)["a"], np.array([1.5, -2], np.float32))


class Calls:
    """Pickles to a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_function_of_the_file_is_called(tmp_path, protocol):
    import os

    mark = tmp_path / "called"
    raw = pickle.dumps({"audio": [1, Calls(os.mkdir, str(mark))]}, protocol=protocol)
    with pytest.raises(InputError, match=r"names '(posix|nt|os)\.mkdir'.*nothing was run"):
        load(raw)
    assert not mark.exists()
    pickle.loads(raw)
    assert mark.exists()  # the trap works: pickle itself walks into it


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy", "fromfile"),
        ("numpy", "ndarray.tofile"),
        ("numpy._core.multiarray", "_reconstruct.__globals__"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("functools", "partial"),
        ("copyreg", "_reconstructor"),
        ("_codecs", "decode"),
    ],
)
def test_every_other_name_is_told(module, name):
    for raw in (
        f"c{module}\n{name}\n.".encode(),
        b"\x80\x04X"
        + len(module).to_bytes(4, "little")
        + module.encode()
        + b"X"
        + len(name).to_bytes(4, "little")
        + name.encode()
        + b"\x93.",
    ):
        with pytest.raises(InputError, match=f"names '{module}.{name}'"):
            load(raw)


@pytest.mark.parametrize(
    ("raw", "opcode"),
    [
        (b"(ios\nsystem\n.", "INST"),
        (b"(cnumpy\nndarray\no.", "OBJ"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"Pname\n.", "PERSID"),
        (b"\x82\x01.", "EXT1"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"]}b.", "state of list"),
        (b"cnumpy\nndarray\n}b.", "state of the type of arrays"),
    ],
)
def test_other_ways_to_reach_objects_are_refused(raw, opcode):
    with pytest.raises(InputError, match=opcode):
        load(raw)


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


def dtype(text: bytes, order: bytes = b"<", fields: bytes = b"NNN") -> bytes:
    named = b"X" + len(text).to_bytes(4, "little") + text
    return (
        b"cnumpy\ndtype\n"
        + named
        + b"\x89\x88\x87R(K\x03C\x01"
        + order
        + fields
        + b"K\x00K\x00K\x00tb"
    )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        # An array of 2^40 elements out of 4 bytes.
        (ARRAY + b"(K\x01\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85" + dtype(b"f4")
         + b"\x89C\x040000tb.", "other bytes than theirs"),
        (ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + dtype(b"f4") + b"\x89C\x040000tb.", "no count"),
        (ARRAY + b"(K\x01K\x01\x85" + dtype(b"V8") + b"\x89C\x0800000000tb.",
         "elements of type 'V8'"),
        (ARRAY + b"(K\x01K\x01\x85" + dtype(b"U0") + b"\x89C\x00tb.", "elements of type 'U0'"),
        (ARRAY + b"(K\x01K\x01\x85" + dtype(b"f4", fields=b"N}N") + b"\x89C\x040000tb.",
         "elements of type"),
        (ARRAY + b"(K\x01K\x02\x85" + dtype(b"O8", b"|") + b"\x89]tb.", "without its objects"),
        (ARRAY + b"q\x00h\x00.", "contains itself"),
        (ARRAY + b".", "parts are left over"),
        (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85C\x01b\x87R.",
         "another type than numpy.ndarray"),
        (b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"abc", "only 3 remain"),
        (b"\x80\x04\x8d" + (2**33).to_bytes(8, "little") + b"abc", "only 3 remain"),
        (b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b"1.", "damaged"),
        (b"\x8b" + (20).to_bytes(4, "little") + b"\x01" * 20 + b".", "hundreds of digits"),
        (b"I" + b"9" * 5000 + b"\n.", "damaged"),
        (b"(" * 10_000 + b".", "stack is empty"),
        (b"]" * 10_000 + b".", "left over"),
        (b"0.", "stack is empty"),
        (b"h\x05.", "damaged"),
        (b"]K\x01a", "before seeing STOP"),
        (b"", "before seeing STOP"),
        (b"}]K\x01s.", "a key of type list"),
        (b"}X" + (20_000).to_bytes(4, "little") + b"k" * 20_000 + b"Ns.", "more than 10,000 char"),
    ],
)  # fmt: skip
def test_damaged_and_hostile_pickles_are_one_sentence(raw, said):
    with pytest.raises(InputError, match=said):
        load(raw)


def test_bombs_end_soon():
    """Each is a few kilobytes that cost another reader gigabytes or for ever."""
    start_s = time.monotonic()
    # A memo index of 4 billion: CPython's memo is a list as long.
    assert load(b"]r\xff\xff\xff\xff.") == []
    # A dictionary key whose hash takes 2^60 steps.
    doubled = b")" + b"2\x86" * 60
    with pytest.raises(InputError, match="key of type tuple"):
        load(b"}" + doubled + b"Ns.")
    # The same bytes encoded over and over; the same list made into many.
    text = b"X" + (5000).to_bytes(4, "little") + b"a" * 5000 + b"q\x00"
    again = b"c_codecs\nencode\nh\x00\x85R"
    with pytest.raises(InputError, match="repeats its bytes"):
        load(b"(" + text + again * 2000 + b"l.")
    with pytest.raises(InputError, match="repeats its elements"):
        load_small(b"(](" + b"N" * 500 + b"eq\x00" + b"cbuiltins\nset\nh\x00\x85R" * 100 + b"l.")
    with pytest.raises(InputError, match="more than 1,000 operations"):
        load_small(b"(" + b"N" * 1000 + b"l.")
    # Depth costs nothing: nothing recurses.
    deep = load(b"]" * 20_000 + b"a" * 19_999 + b".")
    for _ in range(19_999):
        deep = deep[0]
    assert deep == []
    assert time.monotonic() - start_s < 20


def load_small(raw: bytes):
    from amanda.exchange.plainpickle import _Machine

    return _Machine("f.pkl", len(raw), 1000).run(io.BytesIO(raw))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_mangled_pickles_load_or_are_refused(data):
    content = {"train": {"id": ["a", "b"], "audio": np.ones((2, 3, 4), np.float32), "n": [1, 2.5]}}
    raw = bytearray(pickle.dumps(content, protocol=data.draw(st.sampled_from(PROTOCOLS))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if not raw:
            break
    said = ""
    try:
        load(bytes(raw))
    except InputError as error:
        said = str(error)
    assert "\n" not in said


def test_odd_escapes_of_protocol_0():
    assert load(b"S'a\\ b\\n'\n.") == "a\\ b\n"


def test_files(tmp_path):
    path = tmp_path / "x.pkl"
    with pytest.raises(InputError, match="cannot be read"):
        load_plain(path)
    path.touch()
    with pytest.raises(InputError, match="empty"):
        load_plain(path)
    path.write_bytes(pickle.dumps([1]))
    assert load_plain(path) == [1]


def test_writer_is_read_by_pickle_and_names_numpy_1():
    blocks = [np.full((1, 3), value, "<f4") for value in (1, 2)]
    content = {
        "list": [1, -5, 2**40, -(2**63), 2.5, "é", None, True, False, [], {}],
        "array": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i2"),
        "empty": np.zeros((0, 3), np.float32),
        "streamed": StreamedArray(shape=(2, 3), dtype=np.dtype("<f4"), blocks=blocks),
    }
    out = io.BytesIO()
    write_plain(out, content)
    found = pickle.loads(out.getvalue())
    expected = {
        **content,
        "big-endian": np.arange(3, dtype="<i2"),
        "streamed": np.array([[1, 1, 1], [2, 2, 2]], np.float32),
    }
    assert_same(found, expected)
    assert_same(load(out.getvalue()), expected)
    assert found["array"].flags.writeable
    names = {arg for op, arg, _ in pickletools.genops(out.getvalue()) if op.name == "GLOBAL"}
    assert names == {
        "numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"
    }  # fmt: skip


def test_writer_refuses_short_blocks():
    array = StreamedArray(shape=(2, 3), dtype=np.dtype("<f4"), blocks=[np.zeros((1, 3), "<f4")])
    with pytest.raises(ValueError, match="12 bytes written of an array of 24"):
        write_plain(io.BytesIO(), array)
