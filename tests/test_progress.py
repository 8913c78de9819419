"""What long work says of itself where there is no terminal."""

from collections.abc import Iterator

import pytest

from amanda.store import progress


def lines(
    seconds: list[float], done: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> list[str]:
    """The lines printed while items take so many seconds each, after `done` of an earlier run."""
    clock = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])

    def work() -> Iterator[int]:
        for i, duration_s in enumerate(seconds):
            clock[0] += duration_s
            yield i

    total = done + len(seconds)
    got = list(progress.track(work(), total=total, what="ie: clips", done=done))
    assert got == list(range(len(seconds)))
    return capsys.readouterr().err.splitlines()


def test_the_time_left_is_told_once_the_pace_is_known(monkeypatch, capsys):
    """Loading takes 30 s of the first item's; the others take 10 s each."""
    assert lines([40.0, 10.0, 10.0, 10.0, 10.0], 0, monkeypatch, capsys) == [
        "ie: clips: 1/5",
        "ie: clips: 2/5",
        "ie: clips: 3/5, 20 s left",
        "ie: clips: 4/5, 10 s left",
        "ie: clips: 5/5, took 80 s",
    ]


def test_after_a_resume_the_pace_is_that_of_the_new_items(monkeypatch, capsys):
    assert lines([11.0, 10.0, 10.0, 10.0], 96, monkeypatch, capsys) == [
        "ie: clips: 97/100",
        "ie: clips: 98/100",
        "ie: clips: 99/100, 10 s left",
        "ie: clips: 100/100, took 41 s",
    ]


def test_quick_work_is_one_line(monkeypatch, capsys):
    assert lines([0.1] * 50, 0, monkeypatch, capsys) == ["ie: clips: 50/50, took 5 s"]
    assert lines([], 7, monkeypatch, capsys) == []
