"""What `import amanda` offers a notebook: `train`, beside `load` and `FeatureFile`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from amanda.figures.alignment import draw
from amanda.results import Result
from amanda.settings import parse_settings
from amanda.training import train_method


@dataclass(frozen=True, kw_only=True)
class TrainingResult(Result):
    """A result file in memory: `file` holds every figure, `path` says where it lies."""

    def plot_alignment(self) -> Figure:
        """Alignment losses by modality over training (the paper's Figures 3 to 6).

        Raises:
            InputError: the method aligns no covariances, as direct transfer does not.
        """
        return draw([self.path]).figure


def train(
    source: Path | str,
    target: Path | str,
    *,
    out: Path | str | None = None,
    device: str = "auto",
    workers: int = 1,
    save_model: Path | str | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train one method from one corpus to another; what `amanda train` does.

    >>> result = amanda.train("ie.h5", "msp.h5", surrogate="norm:2")  # doctest: +SKIP

    Args:
        source, target: feature files. Labels of the target score its test split and nothing else,
            but for `method="supervised"`.
        out: result file to write; default: `<run id>.json` in this folder. Finished seeds are kept
            when a call is interrupted.
        device: auto, cpu, cuda or cuda:N.
        workers: seeds trained at once, each in a process; 0 is one a core. Processes start this
            program's main module anew, so scripts that ask for them need `if __name__ ==
            "__main__":`.
        save_model: folder for the models of all seeds.
        **settings: of `RunSettings`: method, surrogate, seeds, epochs, standardise, ...

    Returns:
        What came out, with `to_text()`, `plot_alignment()`, every figure in `file`, and `path`.

    Raises:
        InputError: an unknown setting (the nearest is named), a value out of range, or files that
            cannot be trained on together.
    """
    run = parse_settings(settings, "amanda.train")
    result = train_method(
        Path(source),
        Path(target),
        run,
        out=Path(out) if out is not None else Path(f"{run.run_id}.json"),
        device=device,
        workers=workers,
        save_model=Path(save_model) if save_model is not None else None,
    )
    return TrainingResult(path=result.path, file=result.file)
