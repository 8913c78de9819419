"""How utterances are drawn and packed."""

import dataclasses
import itertools
import logging
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from amanda.batches import (
    Batch,
    LabelledSplit,
    Packer,
    Scaling,
    Sequences,
    UnlabelledSplit,
    batch_stream,
    row_stream,
    steps_per_epoch,
    warn_if_small,
)
from amanda.mapped_values import MappedValues, place_of

CPU = torch.device("cpu")


def sequences(lengths: list[int], dim: int = 3, seed: int = 0) -> Sequences:
    generator = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = generator.normal(size=(offsets[-1], dim)).astype(np.float16)
    return Sequences(torch.from_numpy(values), offsets)


def drawn(n: int, batch_size: int, n_batches: int, seed: int = 0) -> list[np.ndarray]:
    stream = row_stream(n, batch_size, np.random.default_rng(seed))
    return list(itertools.islice(stream, n_batches))


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (255, 128), (128, 128), (7, 6), (9, 1)])
def test_batches_are_full_without_repeats_and_use_every_row_alike(n: int, batch_size: int) -> None:
    n_batches = 3 * n
    batches = drawn(n, batch_size, n_batches)
    assert all(len(batch) == len(set(batch.tolist())) == batch_size for batch in batches)
    counts = Counter(itertools.chain.from_iterable(batch.tolist() for batch in batches))
    # Rows are used up shuffle by shuffle, so after any number of batches they differ by few.
    assert set(counts) == set(range(n))
    assert max(counts.values()) - min(counts.values()) <= 2
    assert sum(counts.values()) == n_batches * batch_size


def test_every_shuffle_is_another() -> None:
    first, second = drawn(50, 50, 2)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first.tolist() != second.tolist()
    assert first.tolist() != drawn(50, 50, 1, seed=1)[0].tolist()
    assert first.tolist() == drawn(50, 50, 1)[0].tolist()


def test_a_domain_smaller_than_a_batch_gives_all_its_rows() -> None:
    for batch in drawn(5, 128, 3):
        assert sorted(batch) == [0, 1, 2, 3, 4]


def test_steps_per_epoch() -> None:
    assert [steps_per_epoch(n, 128) for n in (1, 128, 129, 255, 256)] == [1, 1, 2, 2, 2]


def test_warns_of_a_small_domain(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_if_small("features/ie.h5", 128, 128)
        assert not caplog.records
        warn_if_small("features/ie.h5", 20, 128)
    assert "features/ie.h5: 20 training utterances are fewer than batch_size 128" in caplog.text


def test_packs_rows_in_order_as_float32() -> None:
    part = sequences([2, 0, 3, 1])
    packed = Packer(CPU)([({"m": part}, np.array([3, 1, 2]))])["m"]
    assert packed.values.dtype == torch.float32
    assert packed.lengths.tolist() == [1, 0, 3]
    assert packed.offsets.tolist() == [0, 1, 1, 4]
    assert packed.present.tolist() == [True, False, True]
    expected = torch.cat([part.values[5:6], part.values[2:5]]).float()
    assert torch.equal(packed.values, expected)


def test_packs_two_domains_end_to_end_each_with_its_scaling() -> None:
    scaling = Scaling(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 8.0]))
    plain, scaled = sequences([2, 1]), sequences([1, 4], seed=1)
    scaled = dataclasses.replace(scaled, scaling=scaling)
    packed = Packer(CPU)([({"m": plain}, np.array([1])), ({"m": scaled}, np.array([1, 0]))])["m"]
    assert packed.lengths.tolist() == [1, 4, 1]
    assert torch.equal(packed.values[:1], plain.values[2:3].float())
    expected = (scaled.values.float() - scaling.mean) / scaling.scale
    torch.testing.assert_close(packed.values[1:], expected[[1, 2, 3, 4, 0]])


def test_memory_is_used_again_and_grows() -> None:
    part, packer = sequences([2, 9, 3]), Packer(CPU)
    small = packer([({"m": part}, np.array([0]))])["m"].values
    large = packer([({"m": part}, np.array([1, 2]))])["m"].values
    assert torch.equal(large, part.values[2:].float())
    again = packer([({"m": part}, np.array([2]))])["m"].values
    assert again.data_ptr() == large.data_ptr() != small.data_ptr()
    assert torch.equal(again, part.values[11:].float())


def test_no_row_at_all_is_an_empty_pack() -> None:
    packed = Packer(CPU)([({"m": sequences([2, 1])}, np.array([], np.int64))])["m"]
    assert len(packed) == 0
    assert packed.values.shape == (0, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_packs_the_same_on_a_gpu() -> None:
    part, rows = sequences([2, 0, 3, 1]), np.array([2, 0, 1])
    here = Packer(CPU)([({"m": part}, rows)])["m"]
    gpu = torch.device("cuda")
    for there in (part, part.to(gpu)):
        packed = Packer(gpu)([({"m": there}, rows)])["m"]
        assert packed.values.is_cuda
        assert torch.equal(packed.values.cpu(), here.values)


def split_pair() -> tuple[LabelledSplit, UnlabelledSplit]:
    """10 labelled utterances and 4 of the target, each frame holding its utterance's number."""
    numbers = {name: np.repeat(np.arange(n), 2) for name, n in (("source", 10), ("target", 4))}
    made = {
        name: Sequences(
            torch.from_numpy(rows[:, None].astype(np.float16)), np.arange(0, len(rows) + 1, 2)
        )
        for name, rows in numbers.items()
    }
    label = np.arange(10, dtype=np.int64) % 4
    return LabelledSplit({"m": made["source"]}, label), UnlabelledSplit({"m": made["target"]})


def test_a_batch_holds_both_domains_and_labels_of_the_first_alone() -> None:
    labelled, target = split_pair()
    for batch in itertools.islice(batch_stream(labelled, target, 6, 0, CPU), 8):
        numbers = batch.inputs["m"].values[::2, 0].long()
        assert batch.inputs["m"].lengths.tolist() == [2] * 10  # 6 labelled, all 4 of the target
        assert torch.equal(batch.label, numbers[:6] % 4)
        assert sorted(numbers[6:].tolist()) == [0, 1, 2, 3]


def test_there_is_no_place_for_target_labels() -> None:
    assert [field.name for field in dataclasses.fields(UnlabelledSplit)] == ["sequences"]
    assert [field.name for field in dataclasses.fields(Batch)] == ["inputs", "label"]
    labelled, target = split_pair()
    batch = next(batch_stream(labelled, target, 3, 0, CPU))
    assert len(batch.label) == 3 < len(batch.inputs["m"])


def test_rows_do_not_depend_on_whether_the_target_is_drawn() -> None:
    labelled, target = split_pair()
    both = batch_stream(labelled, target, 3, 7, CPU)
    alone = batch_stream(labelled, None, 3, 7, CPU)
    for _ in range(6):
        with_target, without = next(both), next(alone)
        assert torch.equal(with_target.inputs["m"].values[:6], without.inputs["m"].values)
        assert torch.equal(with_target.label, without.label)
    other = next(batch_stream(labelled, None, 3, 8, CPU))
    assert not torch.equal(other.inputs["m"].values, without.inputs["m"].values)


# Rows that lie anywhere in a file


def test_rows_mapped_from_a_file_pack_as_rows_in_memory(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(12, 2, 3)).astype(np.float16)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["values"] = values
        place = place_of(file["values"])
    assert place is not None
    mapping = MappedValues.open(place)
    # Rows 0, 1, 2 are frames 7 to 10, none, and 1 to 2.
    there = Sequences(
        mapping.values(), np.array([0, 4, 4, 6]), first=np.array([7, 0, 1]), mapping=mapping
    )
    flat = torch.from_numpy(values).flatten(1)
    here = Sequences(torch.cat([flat[7:11], flat[1:3]]), np.array([0, 4, 4, 6]))
    for rows in (np.array([2, 0]), np.array([1, 2]), np.array([0, 1, 2])):
        there.will_need(rows)
        packed = [Packer(CPU)([({"m": each}, rows)])["m"] for each in (there, here)]
        assert torch.equal(packed[0].values, packed[1].values)
        assert packed[0].lengths.tolist() == packed[1].lengths.tolist()
    for n_frames in (1, 3, 100):
        assert torch.equal(torch.cat(list(there.blocks(n_frames))), here.values)
    alone = there.to(CPU)
    assert alone.mapping is None
    assert torch.equal(alone.values, here.values)
    assert there.n_bytes == here.n_bytes == 6 * 6 * 2


def test_what_a_file_holds_in_pieces_is_not_mapped(tmp_path: Path) -> None:
    values = np.ones((12, 2, 3), np.float16)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("chunked", data=values, chunks=(4, 2, 3))
        file.create_dataset("packed", data=values, compression="gzip")
        file["wide"] = values.astype(np.float32)
        assert [place_of(file[name]) for name in file] == [None, None, None]


def test_the_next_batch_is_announced() -> None:
    labelled, _ = split_pair()
    announced: list[list[int]] = []

    class Recorded(Sequences):
        def will_need(self, rows: np.ndarray) -> None:
            announced.append(rows.tolist())

    part = labelled.sequences["m"]
    split = LabelledSplit({"m": Recorded(part.values, part.offsets)}, labelled.label)
    stream = batch_stream(split, None, 4, 0, CPU)
    drawn_rows = row_stream(10, 4, np.random.default_rng([0, 0]))
    rows = [next(drawn_rows).tolist() for _ in range(3)]
    first, second = next(stream), next(stream)
    assert announced == rows[1:]
    assert len(first.label) == len(second.label) == 4
