"""Outputs appear under their final name whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amanda.store.errors import InputError

_NO_PLACE = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EROFS),
        # A file system that holds no files of ours, as /proc; a name that is too long.
        *(errno.ENOENT, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP),
        *(errno.ENAMETOOLONG, errno.ELOOP),
    }
)
"""Errors after which another place for the output helps; a full disk is none of them."""


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside `final`; rename it to `final` when the block ends well.

    On any error the temporary file is removed and a former `final` stays as it was. The
    temporary name keeps the suffix, because some writers choose a format by it.

    Raises:
        InputError: the folder cannot be made or written to, or `final` is a folder.
    """
    final = Path(final)
    if final.is_dir():
        raise InputError(f"{final}: is a folder; give the name of a file to write")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{final.stem[:100]}.", suffix=f".tmp{final.suffix}", dir=final.parent
        )
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise InputError(
            f"{final}: the folder cannot be written to ({error.strerror}); choose another output"
        ) from error
    os.close(handle)
    temporary = Path(name)
    # mkstemp makes the file readable by its owner alone; outputs follow the user's umask.
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o666 & ~umask)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(final: Path, text: str) -> None:
    """Write UTF-8 `text` to `final`, whole or not at all."""
    with atomic_path(final) as temporary:
        temporary.write_text(text, encoding="utf-8")
