"""Extraction of the paper's profile beside a naive loop: seconds a clip by stage, in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.extraction
    OMP_NUM_THREADS=1 python -m benchmarks.extraction --parts memory estimate

The naive loop opens the video for each utterance and decodes it from its start, runs every model on
one clip or frame at a time, in float32 and the default memory format, and takes S3FD's boxes by
face-alignment's own functions. Ours is the code of `extractors`. Networks have the published sizes
and random weights, which take as long as published ones. Both are timed in turn, round by round, as
CPU time where one thread computes, else by the clock; of the rounds the least counts. Detection and
the face network are timed on a few frames and scaled to the 64 of a clip; the counts are printed.
The last line is one JSON object.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from amanda.device import limit_threads, resolve_device
from benchmarks.extraction_decode import measure_decode
from benchmarks.extraction_models import measure_clip, measure_s3fd_post
from benchmarks.extraction_runs import measure_estimate, measure_memory
from benchmarks.machine import describe_machine

PARTS = ("decode", "s3fd", "clip", "memory", "estimate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:3])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--utterances", type=int, default=60, help="of the dialogue")
    parser.add_argument(
        "--detected", type=int, default=4, help="frames of 64 that S3FD is timed on"
    )
    parser.add_argument("--crops", type=int, default=8, help="of 64, for the face network")
    parser.add_argument("--no-bf16", action="store_true", help="for processors without it")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    limit_threads()
    device = resolve_device(args.device)
    print(describe_machine(device))
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "decode" in args.parts:
            found |= measure_decode(folder, n_utterances=args.utterances)
        if "s3fd" in args.parts:
            found |= measure_s3fd_post(device, rounds=args.rounds)
        if "clip" in args.parts:
            found |= measure_clip(
                folder,
                device,
                rounds=args.rounds,
                n_detected=args.detected,
                n_crops=args.crops,
                bf16=not args.no_bf16,
                decode_s=found,
            )
        if "memory" in args.parts:
            found |= measure_memory(folder)
        if "estimate" in args.parts:
            found |= measure_estimate(folder)
    print(json.dumps({"threads": torch.get_num_threads(), **found}))


if __name__ == "__main__":
    main()
