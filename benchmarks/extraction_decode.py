"""Decoding a dialogue: opened once for all its utterances, against once for each."""

import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from extractors.media import ClipRequest
from extractors.video import read_video_clips, sample_instants

CLIP_S, FPS, N_FRAMES = 4.5, 25, 64
NAIVE_EVERY = 5
SIZE = (240, 320)


def write_dialogue(path: Path, n_utterances: int) -> list[tuple[float, float]]:
    """A recording of utterances end to end, moving noise under a drifting square; their spans."""
    rng = np.random.default_rng(0)
    height, width = SIZE
    ground = rng.integers(0, 80, (4, height, width, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for k in range(round(n_utterances * CLIP_S * FPS)):
            image = ground[k // 3 % 4].copy()
            at = k * 2 % (width - 96)
            image[40:200, at : at + 96] = 200
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return [(i * CLIP_S, (i + 1) * CLIP_S) for i in range(n_utterances)]


def naive_frames(path: Path, start_s: float, end_s: float, *, seek: bool) -> np.ndarray:
    """The frames of one clip: the file opened for it, decoded from its start or a key frame."""
    wanted = sample_instants(start_s, end_s, N_FRAMES)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if seek:
            container.seek(int(start_s / stream.time_base), stream=stream)
        frames, times_s = [], []
        for frame in container.decode(stream):
            if frame.time >= end_s:
                break
            if frame.time >= start_s - 1 / FPS:
                frames.append(frame.to_ndarray(format="rgb24"))
                times_s.append(frame.time)
    chosen = np.searchsorted(np.array(times_s), wanted, side="right") - 1
    return np.stack([frames[max(0, i)] for i in chosen])


def measure_decode(folder: Path, *, n_utterances: int) -> dict[str, float]:
    """CPU seconds a clip of the dialogue; the frames of all ways are the same.

    The naive ways are timed on every `NAIVE_EVERY`-th utterance, from half that on: their mean
    place is the middle of the dialogue, as that of all.
    """
    path = folder / "dialogue.mp4"
    spans = write_dialogue(path, n_utterances)
    requests = [ClipRequest(row=i, start_s=a, end_s=b) for i, (a, b) in enumerate(spans)]
    start_s = time.process_time()
    ours = {clip.row: clip.clip for clip in read_video_clips(path, requests, N_FRAMES)}
    ours_s = time.process_time() - start_s
    sampled = range((NAIVE_EVERY - 1) // 2, len(spans), NAIVE_EVERY)
    seconds = {}
    for seek in (False, True):
        start_s = time.process_time()
        for i in sampled:
            frames = naive_frames(path, *spans[i], seek=seek)
            if not np.array_equal(frames, ours[i].frames):
                raise SystemExit(f"utterance {i}: the naive loop found other frames")
        seconds[seek] = (time.process_time() - start_s) * len(spans) / len(sampled)
    n = len(spans)
    found = {
        "decode_naive_s": seconds[False] / n,
        "decode_naive_seek_s": seconds[True] / n,
        "decode_ours_s": ours_s / n,
        "ratio_decode": seconds[False] / ours_s,
        "ratio_decode_seek": seconds[True] / ours_s,
    }
    height, width = SIZE
    print(
        f"decoding {n} utterances of {CLIP_S:g} s from one H.264 video of {width} x {height}, "
        f"{N_FRAMES} frames each, CPU s a clip: opened for each {found['decode_naive_s']:.3f} "
        f"(with a seek {found['decode_naive_seek_s']:.3f}), ours {found['decode_ours_s']:.3f}: "
        f"{found['ratio_decode']:.1f} times (seek {found['ratio_decode_seek']:.1f})"
    )
    return found
