"""The command line. Each subcommand calls one function, which is what tests call too.

Exit codes: 0 done; 1 failed; 2 wrong usage or input; 3 done, but more clips failed than allowed.
"""

import errno
import inspect
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from amanda import __version__, commands_statistics
from amanda.commands_doctor import doctor
from amanda.commands_experiments import experiments_app, progress
from amanda.commands_faces import contact_sheets
from amanda.commands_init import init
from amanda.commands_plan import plan
from amanda.commands_predict import predict
from amanda.commands_weights import weights_app
from amanda.store.errors import AmandaError, InputError
from amanda.store.names import corpus_of_file
from amanda.store.wording import counted

INTERRUPTED = 130

app = typer.Typer(
    name="amanda",
    help="Adapt a multimodal emotion model from one corpus to another, from raw recordings to "
    "an evaluated model.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> bool:
    if value:
        typer.echo(f"amanda {__version__}")
        raise typer.Exit()
    return value


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more, and show tracebacks of errors.")
    ] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )
    if verbose:
        os.environ["AMANDA_TRACEBACK"] = "1"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


@app.command()
def standin(
    corpus: Annotated[str, typer.Option(help="Its layout: ie, msp, meld or mosei.")],
    out: Annotated[Path, typer.Option(help="Folder to write the corpus to.")],
    utterances: Annotated[int, typer.Option(help="How many utterances.")] = 360,
    seed: Annotated[int, typer.Option(help="Another seed gives another corpus.")] = 0,
    prior: Annotated[
        str, typer.Option(help="Class weights, as neutral=3,happy=3,sad=2,angry=2.")
    ] = "neutral=3,happy=3,sad=2,angry=2",
    gap: Annotated[
        str,
        typer.Option(
            help="Strength of the corpus's own traits by modality, as visual=1,acoustic=0. "
            "0 takes them away, 1 is the corpus as documented."
        ),
    ] = "visual=1,acoustic=1,lexical=1",
) -> None:
    """Write a generated corpus in the real corpus's layout, for trying the pipeline.

    Example: `amanda standin --corpus ie --out data/ie`
    """
    from corpora.standin import write_standin

    write_standin(
        corpus,
        out,
        n_utterances=utterances,
        seed=seed,
        prior=_weights(prior, "--prior"),
        gap=_weights(gap, "--gap"),
    )


@app.command()
def manifest(
    out: Annotated[Path, typer.Option(help="Manifest CSV to write.")],
    corpus: Annotated[
        str,
        typer.Option(
            help="Reader: ie, msp, meld, mosei, or csv for a CSV of your own (--root FILE.csv)."
        ),
    ] = "",
    root: Annotated[
        Path | None, typer.Option(help="Folder of the corpus as its owners distribute it.")
    ] = None,
    split: Annotated[str, typer.Option(help="paper, speaker, official or column.")] = "paper",
    split_seed: Annotated[int, typer.Option(help="Seed of the split and of --cap.")] = 0,
    cap: Annotated[
        str, typer.Option(help="At most so many of a class, as neutral=1400,happy=1400.")
    ] = "",
    label_map: Annotated[
        Path | None,
        typer.Option(
            help="YAML of the corpus's label: class, instead of the default; it may name classes "
            "of its own."
        ),
    ] = None,
    subset: Annotated[
        str, typer.Option(help="Only a part: improvised or scripted (ie); natural, ... (msp).")
    ] = "",
    from_folder: Annotated[
        Path | None,
        typer.Option(
            help="Draft a CSV of your own corpus instead, from the recordings in this folder and "
            "the .txt, .rttm, .eaf or .TextGrid files beside them."
        ),
    ] = None,
    tiers: Annotated[
        str, typer.Option(help="With --from-folder: only these tiers, as Anna,Ben.")
    ] = "",
    json: Json = False,
) -> None:
    """Read a raw corpus and write its manifest, with dropped rows and their reasons beside it.

    Example: `amanda manifest --corpus ie --root data/ie --split speaker --out manifests/ie.csv`

    A first CSV of your own corpus: `amanda manifest --from-folder clips --out mine.csv`
    """
    if from_folder is not None:
        if corpus or root:
            raise InputError("--from-folder drafts a CSV; give it without --corpus and --root")
        from corpora.from_folder import draft_manifest

        names = [name.strip() for name in tiers.split(",") if name.strip()]
        draft = draft_manifest(from_folder, out, tiers=names)
        typer.echo(draft.to_json() if json else draft.to_text())
        return
    if not corpus or root is None:
        raise InputError("give --corpus and --root, or --from-folder for clips of your own")
    from corpora.manifest import build_manifest

    summary = build_manifest(
        corpus,
        root,
        out,
        split=split,
        split_seed=split_seed,
        cap={name: int(n) for name, n in _weights(cap, "--cap").items()},
        label_map=label_map,
        subset=subset,
    )
    typer.echo(summary.to_json() if json else summary.to_text())


@app.command()
def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Manifests (.csv), feature files (.h5), results (.json), predictions, configs and "
            "maps of labels (.yaml), folders of corpora; with --privacy reports and other texts."
        ),
    ],
    corpus: Annotated[
        str, typer.Option(help="Layout of the folders: ie, msp, meld, mosei; default: found.")
    ] = "",
    media: Annotated[
        bool, typer.Option(help="Open every media file that a folder or a manifest names.")
    ] = True,
    privacy: Annotated[
        bool, typer.Option("--privacy", help="Count what could tell who somebody is.")
    ] = False,
    features: Annotated[
        list[Path] | None, typer.Option(help="Feature file whose names and words to look for.")
    ] = None,
    json: Json = False,
) -> None:
    """Say everything that is wrong with files, or what a corpus's folder holds and lacks.

    Two feature files are also checked as a pair. Exits with 2 when there is something wrong.

    Example: `amanda check features/ie.h5 features/msp.h5`

    A corpus as distributed: `amanda check data/iemocap --corpus ie`

    Before passing one on: `amanda check results/report.html --privacy --features features/ie.h5`
    """
    if privacy or features:
        from amanda.privacy import check_privacy

        if not privacy:
            raise InputError("--features is for --privacy; give both")
        found = check_privacy(paths, features or ())
        typer.echo(found.to_json() if json else found.to_text())
        raise typer.Exit(2 if found.n_found else 0)
    from corpora.check import check_paths

    report = check_paths(paths, reader=corpus, media=media)
    typer.echo(report.to_json() if json else report.to_text())
    if report.problems:
        raise typer.Exit(2)


app.add_typer(weights_app, name="weights")


@app.command()
def extract(
    manifest: Annotated[Path, typer.Option(help="Manifest CSV.")],
    out: Annotated[Path, typer.Option(help="Feature file (HDF5) to write.")],
    profile: Annotated[str, typer.Option(help="Profile: embedded, paper or one of --config.")] = (
        "embedded"
    ),
    config: Annotated[Path | None, typer.Option(help="Config that defines profiles.")] = None,
    corpus: Annotated[str, typer.Option(help="Corpus name stored; default: the CSV's name.")] = "",
    shard: Annotated[
        str, typer.Option(help="Extract only shard I of N, as 0/8: whole source videos each.")
    ] = "",
    shards: Annotated[int, typer.Option(help="Shards of a run without --shard.")] = 8,
    modalities: Annotated[
        str, typer.Option(help="Only these, as acoustic,lexical; default: all of the profile.")
    ] = "",
    device: Device = "auto",
    downmix: Annotated[bool, typer.Option(help="Average the channels of stereo audio.")] = False,
    faces: Annotated[
        Path | None,
        typer.Option(help="CSV of your own choices of the speakers' faces (docs/speaker.md)."),
    ] = None,
    contact_sheets: Annotated[
        Path | None, typer.Option(help="Folder for pictures of every utterance's chosen faces.")
    ] = None,
    max_failed: Annotated[
        float, typer.Option(help="Exit with 3 when a larger share of clips failed.")
    ] = 0.2,
    retry_failed: Annotated[
        bool, typer.Option(help="Do the failed clips of a finished file again, and no others.")
    ] = False,
    estimate: Annotated[bool, typer.Option(help="Print bytes and time, extract nothing.")] = False,
    name_no_clips: Annotated[
        bool, typer.Option("--name-no-clips", help="Print counts, and no clip as an example.")
    ] = False,
) -> None:
    """Turn a manifest into a feature file. Finished shards are kept when it is run again.

    Beside it a ledger (CSV) says of each clip what came of it. See docs/extraction.md.

    Example: `amanda extract --manifest manifests/ie.csv --profile embedded --out features/ie.h5`
    """
    from extractors.extract import run_extraction

    summary = run_extraction(
        manifest,
        out,
        profile=profile,
        config=config,
        corpus=corpus or corpus_of_file(manifest),
        shard=_shard(shard),
        n_shards=shards,
        modalities=[m for m in modalities.split(",") if m],
        device=device,
        downmix=downmix,
        faces=faces,
        contact_sheets=contact_sheets,
        max_failed=max_failed,
        estimate=estimate,
        retry_failed=retry_failed,
        name_clips=not name_no_clips,
    )
    typer.echo(summary)


@app.command()
def merge(
    shards: Annotated[list[Path], typer.Argument(help="Shards of one manifest, in order.")],
    out: Annotated[Path, typer.Option(help="Feature file (HDF5) to write.")],
) -> None:
    """Join the shards of a corpus into its feature file.

    Example: `amanda merge features/shards/ie/*.h5 --out features/ie.h5`
    """
    from amanda.store.features import merge_features
    from extractors.ledger import write_ledger

    n = merge_features(shards, out)
    typer.echo(f"{out}: {counted(n, 'utterance')} of {counted(len(shards), 'shard')}")
    typer.echo(f"Ledger: {write_ledger(out)}")


Named = Annotated[
    list[str] | None,
    typer.Option(help="VALUE, or MODALITY=VALUE; repeat it.", show_default=False),
]


@app.command("import")
def import_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="npz, HDF5, CSV or pickle files, or folders of npy, as FILE or MODALITY=FILE."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Feature file (HDF5) to write.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Manifest CSV; a dictionary can do without.")
    ] = None,
    corpus: Annotated[str, typer.Option(help="Corpus name stored; default: that of --out.")] = "",
    extractor: Named = None,
    model: Named = None,
    revision: Named = None,
    preprocessing: Named = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="Layers in a flat width, as 1,7,12 or MODALITY=1,7,12; repeat it."),
    ] = None,
    rate_hz: Annotated[
        list[str] | None,
        typer.Option(
            help="Frames a second, for files without times: VALUE or MODALITY=VALUE; repeat it."
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option(help="Keep utterances that a file lacks, marked as such.")
    ] = False,
    allow_extra: Annotated[
        bool, typer.Option(help="Leave out ids that the manifest does not have.")
    ] = False,
    id_replace: Annotated[str, typer.Option(help="OLD=NEW in the files' ids, as `$_$=_`.")] = "",
    padding: Annotated[str, typer.Option(help="Side of the padding: end or start.")] = "end",
    zero_frames: Annotated[
        str, typer.Option(help="All-zero frames are missing evidence, or keep them as features.")
    ] = "missing",
    nonfinite: Annotated[str, typer.Option(help="NaN and inf: refuse, or zero.")] = "refuse",
    classes: Annotated[
        str,
        typer.Option(
            help="Class names, as Negative,Neutral,Positive; default: of the manifest, or the four."
        ),
    ] = "",
    memory_gb: Annotated[
        float | None, typer.Option(help="Refuse larger arrays; default: half the memory.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a feature file from features made elsewhere. Nothing of a pickle is run.

    Example: `amanda import acoustic=A/comparE.h5 visual=V/denseface.h5 --manifest manifests/ie.csv
    --model acoustic=ComParE_2016 --model visual=denseface --allow-extra --out features/ie.h5`
    """
    from amanda.exchange import import_features
    from amanda.exchange.options import import_options

    options = import_options(
        layers=layers or [],
        rate_hz=rate_hz or [],
        id_replace=id_replace,
        classes=classes,
        padding=padding,
        zero_frames=zero_frames,
        nonfinite=nonfinite,
        allow_missing=allow_missing,
        allow_extra=allow_extra,
        memory_gb=memory_gb,
        extractor=extractor or [],
        model=model or [],
        revision=revision or [],
        preprocessing=preprocessing or [],
    )
    summary = import_features(sources, out, manifest=manifest, corpus=corpus, options=options)
    typer.echo(summary.to_json() if json else summary.to_text())


@app.command("export")
def export_command(
    features: Annotated[Path, typer.Argument(help="Feature file (HDF5).")],
    out: Annotated[Path, typer.Option(help="An .npz or .pkl file, or a new folder for npy.")],
    form: Annotated[
        str, typer.Option(help="npz, npy (a file a clip) or dictionary; default: by --out.")
    ] = "",
    modalities: Annotated[str, typer.Option(help="Only these, as acoustic,lexical.")] = "",
    max_frames: Annotated[
        int | None, typer.Option(help="Cut longer clips in a dictionary's padded arrays.")
    ] = None,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Random names for utterances and people, no words.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(help="New CSV: which random name stands for which (deidentify).")
    ] = None,
    json: Json = False,
) -> None:
    """Write features in a form that other programs read.

    Example: `amanda export features/ie.h5 --out ie.pkl`
    """
    from amanda.exchange import export_features

    if deidentify != (key is not None):
        raise InputError("--deidentify and --key FILE.csv go together; give both or neither")
    chosen = [name for name in modalities.split(",") if name]
    summary = export_features(
        features, out, form=form, modalities=chosen, max_frames=max_frames, key=key
    )
    typer.echo(summary.to_json() if json else summary.to_text())


class _TrainCommand(TyperCommand):
    """Takes what it does not know, to say better than the parser what to write instead."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]"]


@app.command(cls=_TrainCommand, context_settings={"ignore_unknown_options": True})
def train(
    source: Annotated[Path, typer.Option(help="Feature file of the labelled corpus.")],
    target: Annotated[Path, typer.Option(help="Feature file of the corpus to adapt to.")],
    out: Annotated[Path, typer.Option(help="Result file (JSON) to write.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="amanda (default), cdan, cdan_e, dann, direct_transfer, mada or supervised."
        ),
    ] = None,
    surrogate: Annotated[
        str | None,
        typer.Option(help="Amanda's surrogate: norm:P (P ≥ 1 or inf; default norm:2) or logexp:T."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How many runs, seeds 0 to N-1; default 3.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs; default 100.")] = None,
    standardise: Annotated[
        str | None, typer.Option(help="none (default), source or domain.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="paper (default) or release.")] = None,
    modalities: Annotated[
        str | None, typer.Option(help="shared (default), or a list as acoustic,lexical.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, as batch_size=64; repeat it."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of settings; flags win.")] = None,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(help="Seeds trained at once; 0: one a core.")] = 0,
    memory_gb: Annotated[
        float, typer.Option(help="Larger features are read as they are used; 0: half the memory.")
    ] = 0,
    save_model: Annotated[
        Path | None, typer.Option(help="Folder to save the models to, one a seed.")
    ] = None,
    allow_mismatch: Annotated[
        bool, typer.Option(help="Pair files of different models, for those who know.")
    ] = False,
    unknown: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Train one method on one pair and evaluate it on the target's test split.

    Example: `amanda train --source features/ie.h5 --target features/msp.h5 --method amanda
    --surrogate norm:2 --seeds 3 --out results/runs/ie2msp/a_n2.json`
    """
    from amanda.settings import resolve_settings, unknown_argument

    if unknown:
        names = {*inspect.signature(train).parameters, "set"} - {"setting", "unknown"}
        options = [f"--{name.replace('_', '-')}" for name in names]
        raise InputError(unknown_argument(unknown, options))
    from amanda.training import train_method

    settings = resolve_settings(
        config,
        setting or [],
        method=method,
        surrogate=surrogate,
        seeds=seeds,
        epochs=epochs,
        standardise=standardise,
        variant=variant,
        modalities=modalities,
    )
    result = train_method(
        source,
        target,
        settings,
        out=out,
        device=device,
        workers=workers,
        memory_gb=memory_gb,
        save_model=save_model,
        allow_mismatch=allow_mismatch,
    )
    typer.echo(result.to_text())


@app.command("merge-results")
def merge_results_command(
    files: Annotated[list[Path], typer.Argument(help="Result files of one pair.")],
    out: Annotated[Path, typer.Option(help="Result file (JSON) to write.")],
) -> None:
    """Join the methods of one pair into its result file, predictions beside it.

    Example: `amanda merge-results results/runs/ie2msp/*.json --out results/ie2msp.json`
    """
    from amanda.results import merge_results

    typer.echo(merge_results(files, out).to_text())


commands_statistics.register(app)


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files.")],
    out: Annotated[Path, typer.Option(help="Page (HTML) to write.")],
    features: Annotated[
        list[Path] | None, typer.Option(help="Feature files, for corpus statistics; repeat it.")
    ] = None,
    thumbnails: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folders of contact sheets: puts pictures of people into the page; repeat it."
        ),
    ] = None,
) -> None:
    """Write one self-contained page on the results.

    Example: `amanda report results/ie2msp.json --features features/ie.h5 --out results/report.html`
    """
    from amanda.report import write_report

    write_report(results, out, features=features or [], contact_sheets=thumbnails or [])
    typer.echo(f"{out}: written")


app.command()(predict)
app.command()(init)
app.command()(plan)
app.command()(doctor)
app.command("contact-sheets")(contact_sheets)
app.command()(progress)
app.add_typer(experiments_app, name="experiments")


def _weights(text: str, option: str) -> dict[str, float]:
    """{'neutral': 3.0, …} of 'neutral=3,…'."""
    weights: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            weights[name.strip()] = float(value)
        except ValueError:
            raise InputError(f"{option} '{part}': write name=number, as neutral=3") from None
    return weights


def _shard(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    index, _, count = text.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise InputError(f"--shard '{text}': write I/N with I from 0 to N-1, as 0/8")
    return int(index), int(count)


def main() -> None:
    """Entry point of the console script: errors become one sentence and an exit code."""
    try:
        app()
    except AmandaError as error:
        _fail(str(error), error.exit_code, error)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _fail(f"the disk is full{where}; free some space and run the same command", 1, error)
        _fail(f"{error.strerror or error}{where}; mend it and run the same command", 1, error)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # typer's way to end on Ctrl-C
            _fail(
                "interrupted; what is finished is kept, run the same command to go on", INTERRUPTED
            )
        raise


def _fail(sentence: str, code: int, error: BaseException | None = None) -> NoReturn:
    if error is not None and os.environ.get("AMANDA_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
