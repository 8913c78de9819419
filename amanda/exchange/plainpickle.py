"""Pickles of arrays and plain containers, read without running anything of the file.

`pickle.load` calls whatever a file names. This reader is a small machine of its own over the
opcodes that `pickletools` decodes: it builds numbers, texts, bytes, lists, tuples, dictionaries and
sets, and makes NumPy arrays itself from the shape, type and bytes that the file gives, so that no
function that the file names is ever called. Everything else is refused by name.

Limits hold back files made to exhaust the machine: operations, elements and re-encoded bytes are
counted, keys and integers are short, sizes are compared with what the file holds before memory is
taken, and nothing recurses.
"""

import mmap
import pickletools
import warnings
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from amanda.exchange.pickled import NAMES, Limits, Name, element_type, make_array
from amanda.store.errors import InputError

MAX_OPERATIONS = 20_000_000
"""Several times what a corpus of 100,000 utterances with lists of their words needs."""

_MAX_KEY_CHARS, _MAX_INTEGER_BITS = 10_000, 128
_DAMAGE = (
    *(ValueError, IndexError, KeyError, TypeError, AttributeError),
    *(OverflowError, EOFError, AssertionError, NotImplementedError),
)


def load_plain(path: Path, *, max_operations: int = MAX_OPERATIONS) -> Any:
    """What a pickle file holds, where that is arrays and plain containers only.

    Args:
        path: any protocol, 0 to 5, by Python 2 or 3 and NumPy 1 or 2.
        max_operations: the pickle's operations to carry out at most; more is refused.

    Raises:
        InputError: the file cannot be read, is damaged, names anything but arrays and plain
            containers (the name is told; nothing of it is run), or passes a limit.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            if not size:
                raise InputError(f"{path}: empty; a pickle was expected")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _run(_Machine(str(path), size, max_operations), content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a pickle") from error


def load_plain_stream(content: BufferedIOBase, where: str, size: int) -> Any:
    """As `load_plain`, of a stream that holds `size` bytes; `where` names it in messages."""
    return _run(_Machine(where, size, MAX_OPERATIONS), content)


def _run(machine: "_Machine", content: Any) -> Any:
    with warnings.catch_warnings():  # pickletools warns of odd escapes in texts of protocol 0
        warnings.simplefilter("ignore", DeprecationWarning)
        return machine.run(content)


class _Unbuilt:
    """An array or element type whose state BUILD will bring; `keys` are its places in the memo."""

    def __init__(self, name: Name, argument: Any):
        self.name, self.argument = name, argument
        self.keys: list[int] = []


class _Machine:
    """The stack, its marks (heights where a group of items begins) and the memo of a pickle."""

    def __init__(self, where: str, size: int, max_operations: int):
        self.limits = Limits(where, size, max_operations)
        self.refuse = self.limits.refuse
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.n_unbuilt = 0

    def run(self, content: Any) -> Any:
        """Carry out the pickle and return what it leaves on the stack."""
        handlers, limits = _handlers(self), self.limits
        try:
            for n_done, (opcode, argument, at) in enumerate(pickletools.genops(content)):
                limits.at = at or 0
                if n_done >= limits.max_operations:
                    self.refuse(f"asks for more than {limits.max_operations:,} operations")
                if opcode.name == "STOP":
                    break
                handler = handlers.get(opcode.name)
                if handler is None:
                    self.refuse(f"uses {opcode.name}, which arrays and plain containers do not")
                handler(argument)
            result = self.pop()
            if self.stack or self.n_unbuilt or isinstance(result, Name):
                raise ValueError("parts are left over")
            return result
        except MemoryError as error:
            raise InputError(
                f"{limits.where}: asks for more memory than there is (byte {limits.at}); "
                "have its parts saved apart"
            ) from error
        except _DAMAGE as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise InputError(
                f"{limits.where}: a damaged pickle, or none (byte {limits.at}: {reason}); "
                "get the file again"
            ) from error
        finally:
            self.stack, self.memo = [], {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_integer(self, value: int) -> None:
        if value.bit_length() > _MAX_INTEGER_BITS:
            self.refuse("has an integer of hundreds of digits")
        self.push(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("the stack is empty")
        return self.stack.pop()

    def pop_group(self) -> list[Any]:
        start = self.marks.pop()
        group = self.stack[start:]
        del self.stack[start:]
        return group

    def pop_item_or_mark(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop()

    def duplicate(self, _: Any) -> None:
        value = self.pop()
        self.refuse_unbuilt(value)
        self.stack += [value, value]

    def put(self, key: int) -> None:
        self.memo[key] = value = self.stack[-1]
        if isinstance(value, _Unbuilt):
            value.keys.append(key)

    def get(self, key: int) -> None:
        value = self.memo[key]
        self.refuse_unbuilt(value)
        self.push(value)

    def refuse_unbuilt(self, value: Any) -> None:
        if isinstance(value, _Unbuilt):
            self.refuse("has an array that contains itself")

    def container(self, kind: type) -> Any:
        """The list, dictionary or set on top of the stack, to add to."""
        value = self.pop()
        self.push(value)
        if type(value) is not kind:
            raise ValueError(f"{kind.__name__} expected")
        return value

    def fill(self, target: dict, items: list[Any]) -> dict:
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.check_key(key)
            target[key] = value
        return target

    def make_set(self, items: Any) -> set:
        for item in items:
            self.check_key(item)
        return set(items)

    def check_key(self, key: Any) -> None:
        """Only short plain keys: hashing a tuple of tuples of tuples can take for ever."""
        if type(key) not in (str, bytes, int, float, bool, type(None)):
            self.refuse(f"has a key of type {_kind(key)}")
        if isinstance(key, str | bytes) and len(key) > _MAX_KEY_CHARS:
            self.refuse(f"has a key of more than {_MAX_KEY_CHARS:,} characters")

    def name(self, module: Any, name: Any) -> None:
        found = None
        if isinstance(module, str) and isinstance(name, str):
            found = NAMES.get((module, name))
        if found is None:
            called = " ".join(f"{str(module)[:80]}.{str(name)[:80]}".split())
            self.refuse(f"names '{called}', which is no array and no plain container")
        self.push(found)

    def call(self, _: Any) -> None:
        """REDUCE: make what the name stands for; the function of that name is not called."""
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, Name) or type(arguments) is not tuple:
            raise ValueError("a call of what is no name")
        if name is Name.RECONSTRUCT:
            if arguments[0] is not Name.NDARRAY:
                self.refuse("makes an array of another type than numpy.ndarray")
            self.push_unbuilt(name, None)
        elif name is Name.DTYPE:
            self.push_unbuilt(name, arguments[0])
        elif name is Name.FROMBUFFER:
            raw, dtype, shape, order, *axes = arguments
            self.push(make_array(raw, dtype, shape, order, self.limits, *axes))
        elif name is Name.SCALAR:
            dtype, raw = arguments
            self.limits.count_bytes(len(raw))
            self.push(make_array(raw, dtype, (), "C", self.limits).item())
        elif name is Name.ENCODE:
            text, *encoding = arguments
            if encoding not in ([], ["latin1"]):
                raise ValueError(f"bytes in {encoding}")
            self.limits.count_bytes(len(text))
            self.push(text.encode("latin1"))
        elif name in (Name.ORDERED_DICT, Name.SET, Name.FROZENSET):
            self.push(self.collection(name, *arguments))
        elif name is Name.BYTES and not arguments:
            self.push(b"")
        else:
            raise ValueError("not a call that a pickle of arrays makes")

    def collection(self, name: Name, items: Any = ()) -> Any:
        if type(items) not in (list, tuple):
            raise ValueError("a collection of what is no list")
        self.limits.count_elements(len(items))
        if name is Name.ORDERED_DICT:
            return self.fill({}, [part for key, value in items for part in (key, value)])
        members = self.make_set(items)
        return frozenset(members) if name is Name.FROZENSET else members

    def push_unbuilt(self, name: Name, argument: Any) -> None:
        self.n_unbuilt += 1
        self.push(_Unbuilt(name, argument))

    def build(self, _: Any) -> None:
        state, target = self.pop(), self.pop()
        if not isinstance(target, _Unbuilt) or type(state) is not tuple:
            self.refuse(f"sets the state of {_kind(target)}")
        if target.name is Name.DTYPE:
            built: Any = element_type(target.argument, state, self.limits)
        else:
            shape, dtype, fortran, raw = state[-4:]  # a version number may stand before
            built = make_array(raw, dtype, shape, "F" if fortran else "C", self.limits)
        self.n_unbuilt -= 1
        self.push(built)
        for key in target.keys:
            if self.memo[key] is target:
                self.memo[key] = built


def _kind(value: Any) -> str:
    return value.value if isinstance(value, Name) else type(value).__name__


_LITERALS = (
    *("NONE", "NEWTRUE", "NEWFALSE", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
)
_INTEGERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")


def _handlers(m: _Machine) -> dict[str, Callable[[Any], None]]:
    """What to do for each opcode that a pickle of arrays and containers uses."""
    push, pop, group = m.push, m.pop, m.pop_group

    def global_name(argument: str) -> None:
        module, _, name = argument.partition(" ")
        m.name(module, name)

    def stack_global(_: Any) -> None:
        name, module = pop(), pop()
        m.name(module, name)

    def tuple_of(n: int) -> Callable[[Any], None]:
        return lambda _: push(tuple([pop() for _ in range(n)][::-1]))

    def append(_: Any) -> None:
        value = pop()
        m.container(list).append(value)

    def appends(_: Any) -> None:
        values = group()
        m.container(list).extend(values)

    def set_item(_: Any) -> None:
        value, key = pop(), pop()
        m.fill(m.container(dict), [key, value])

    def set_items(_: Any) -> None:
        values = group()
        m.fill(m.container(dict), values)

    def add_items(_: Any) -> None:
        values = group()
        m.container(set).update(m.make_set(values))

    def pop_mark(_: Any) -> None:
        group()

    return {
        **dict.fromkeys(_LITERALS, push),
        **dict.fromkeys(_INTEGERS, m.push_integer),
        **dict.fromkeys(("PROTO", "FRAME"), lambda _: None),
        "NEWTRUE": lambda _: push(True),
        "NEWFALSE": lambda _: push(False),
        "MARK": lambda _: m.marks.append(len(m.stack)),
        "POP": m.pop_item_or_mark,
        "POP_MARK": pop_mark,
        "DUP": m.duplicate,
        "EMPTY_LIST": lambda _: push([]),
        "LIST": lambda _: push(group()),
        "APPEND": append,
        "APPENDS": appends,
        "EMPTY_TUPLE": lambda _: push(()),
        "TUPLE": lambda _: push(tuple(group())),
        **{f"TUPLE{n}": tuple_of(n) for n in (1, 2, 3)},
        "EMPTY_DICT": lambda _: push({}),
        "DICT": lambda _: push(m.fill({}, group())),
        "SETITEM": set_item,
        "SETITEMS": set_items,
        "EMPTY_SET": lambda _: push(set()),
        "ADDITEMS": add_items,
        "FROZENSET": lambda _: push(frozenset(m.make_set(group()))),
        "MEMOIZE": lambda _: m.put(len(m.memo)),
        **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), m.put),
        **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), m.get),
        "GLOBAL": global_name,
        "STACK_GLOBAL": stack_global,
        "REDUCE": m.call,
        "BUILD": m.build,
    }
