"""Outputs appear whole or not at all."""

from pathlib import Path

import pytest

from amanda.store.atomic import atomic_path, write_text
from amanda.store.errors import InputError


def test_the_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    final = tmp_path / "new" / "x.csv"
    with atomic_path(final) as temporary:
        temporary.write_text("half")
        assert not final.exists()
        assert temporary.suffix == ".csv"
        assert temporary.parent == final.parent
    assert final.read_text() == "half"
    assert [p.name for p in final.parent.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_former_file_and_leaves_nothing_else(
    error: type[BaseException], tmp_path: Path
) -> None:
    final = tmp_path / "x.csv"
    write_text(final, "before")
    with pytest.raises(error), atomic_path(final) as temporary:  # noqa: PT012
        temporary.write_text("after")
        raise error
    assert final.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_a_folder_in_the_way_and_a_file_as_folder_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        write_text(tmp_path, "x")
    write_text(tmp_path / "file", "x")
    with pytest.raises(InputError, match="the folder cannot be written to"):
        write_text(tmp_path / "file" / "x.csv", "x")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc on this system")
@pytest.mark.parametrize("name", ["/proc/x.csv", "/proc/nowhere/x.csv"])
def test_where_no_file_can_be_made_the_output_is_named(name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: the folder cannot be written to \(.+\); cho"):
        write_text(Path(name), "x")


def test_the_file_follows_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "x", "x")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode
