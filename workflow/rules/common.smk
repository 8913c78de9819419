# The config, checked; the machine, measured; what several stages ask of both.

import logging
import re
import shlex
import sys
import time
from hashlib import sha256
from pathlib import Path

import amanda
import corpora
import extractors
from amanda import commands
from amanda.config import check_pair, parse_config
from amanda.device import machine_cpus, machine_gpus, machine_memory_mb
from amanda.experiments import FIGURES, Experiments
from amanda.experiments_progress import PLAN, describe_projection, make_plan, measure, write_plan
from amanda.settings import to_flags
from amanda.store.errors import InputError
from amanda.targets import unknown_target
from amanda.workflow_hooks import (
    file_clock_s,
    last_errors,
    mend_future_times,
    refuse_future_files,
    refuse_read_only,
    remove_merged_shards,
)
from corpora.configured import check_corpora
from extractors.profiles import load_profile
from extractors.shard_times import describe_shard_times, read_shard_times
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

STARTED_S = time.time()
# What the user can mend, as it was found.
SENTENCES = []


def checked(function, *arguments):
    """What `function` returns; an error of the user's ends Snakemake with its one sentence."""
    try:
        return function(*arguments)
    except InputError as error:
        SENTENCES.append(str(error))
        raise WorkflowError(str(error)) from None


def in_one_sentence(record):
    """A filter of Snakemake's messages: where we know what is wrong, that, and no stack of ours.

    Snakemake tells the requested targets only after it has read these files, so a name that nothing
    makes is met here too.
    """
    if record.levelno >= logging.ERROR and getattr(record, "exception", None):
        missing = re.search(r"No rule to produce (\S+) \(if you use", str(record.msg))
        if SENTENCES:
            record.msg, record.args = f"Error: {SENTENCES[-1]}", ()
        elif missing:
            record.msg, record.args = f"Error: {unknown_target(missing[1], CONFIG)}", ()
        elif "At least one job did not complete successfully" in str(record.msg):
            return False  # what did not has just been said by onerror
    return True


logger.addFilter(in_one_sentence)


CONFIG_FILE = workflow.configfiles[-1] if workflow.configfiles else None
CONFIG_NAME = Path(CONFIG_FILE or "config").name
# With a storage provider, the files that the config names are in the store, as all others.
IN_STORE = bool(workflow.storage_settings.default_storage_provider)
CONFIG = checked(lambda: parse_config(config, CONFIG_NAME, files_here=not IN_STORE))
for warning in checked(check_corpora, CONFIG, CONFIG_NAME):
    logger.warning(warning)
RUNS = CONFIG.runs
EXPERIMENTS = Experiments(CONFIG)
# Every training that has a name: those of the config's methods, and those of the experiments.
NAMED_RUNS = {**checked(lambda: EXPERIMENTS.runs), **RUNS}
# The plan of the experiments, once a target has asked for it.
PLANNED = []
PAPER_COMMAND = "snakemake --cores 8 results/paper.html" + (
    f" --configfile {CONFIG_FILE}"
    if CONFIG_FILE and Path(CONFIG_FILE).resolve() != Path("config/config.yaml").resolve()
    else ""
)
PROFILE_NAMES = {name: corpus.profile or CONFIG.profile for name, corpus in CONFIG.corpora.items()}
PROFILES = {
    name: checked(load_profile, profile, CONFIG_FILE and Path(CONFIG_FILE))
    for name, profile in PROFILE_NAMES.items()
}
# Corpora with the same models share their weights.
NAME_OF_KEY = {PROFILES[name].key: profile for name, profile in PROFILE_NAMES.items()}


wildcard_constraints:
    corpus="|".join(name for name, corpus in CONFIG.corpora.items() if not corpus.features) or "-",
    run_id="|".join(map(re.escape, NAMED_RUNS)),
    profile="|".join(map(re.escape, NAME_OF_KEY)),
    pair=r"(?!sweep_)[a-z][a-z0-9_]*2[a-z][a-z0-9_]*",
    table=r"table[123]|ablation|sweep_[a-z][a-z0-9_]*2[a-z][a-z0-9_]*",
    kind="|".join(FIGURES),
    shard=r"\d+",
    n_shards=r"\d+",


# `amanda` of the environment that this snakemake runs in, activated or not.
shell.executable("bash")
shell.prefix(
    f"set -euo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; "
)

# Which executor there is, Snakemake does not know yet; those of clusters and clouds are given a number
# of jobs. A job that was sent there calls snakemake too, and is no main process.
ON_THIS_MACHINE = workflow.is_main_process and workflow.resource_settings.nodes is None
if ON_THIS_MACHINE:
    # What is planned at once must fit this machine, whatever number --cores says. Under a cluster
    # engine the scheduler's machines count, not this one.
    limits = {"mem_mb": machine_memory_mb() * 9 // 10, "gpu": machine_gpus()}
    for name, value in limits.items():
        if workflow.global_resources.get(name).value is None:
            workflow.register_resource(name, value)
    asked = workflow.global_resources["_cores"].value
    if asked and asked > machine_cpus():
        workflow.register_resource("_cores", machine_cpus())
        logger.info(
            f"Cores asked for: {asked}; this machine has {machine_cpus()}, so many are used."
        )


# Snakemake writes its own notes here, and says no clear word where it cannot.
checked(refuse_read_only, [Path("snakemake")])


def prepare_files(jobs):
    """Before any job runs: what they write can be written, and no file lies in the future."""
    refuse_read_only(Path(file) for job in jobs for file in job.output)
    given = [
        (corpus.manifest, corpus.label_map, corpus.features) for corpus in CONFIG.corpora.values()
    ]
    now_s = file_clock_s(Path("."))
    refuse_future_files((Path(file) for files in given for file in files if file), now_s)
    mended = mend_future_times(Path("."), now_s)
    if mended:
        logger.warning(
            f"Warning: {mended[0]} was written in the future, as far as the clock says (files like it:"
            f" {len(mended) - 1}). A clock is or was wrong; they are set to now."
        )


def stage_gpus(stage):
    """GPUs of a job: as configured, else one where this machine has one and the stage can use it."""
    configured = getattr(CONFIG.resources, stage).gpu
    if configured is not None:
        return configured
    can_use = stage in ("extract", "train") and CONFIG.device != "cpu" and ON_THIS_MACHINE
    return int(can_use and machine_gpus() > 0)


def stage_resources(stage):
    """Resources of a job, as Snakemake takes them; what is not asked for is not named.

    A job that is tried again (`retries`) gets its memory once more each time.
    """
    wanted = getattr(CONFIG.resources, stage)
    asked = {
        "mem_mb": lambda wildcards, attempt: wanted.mem_mb * attempt,
        "gpu": stage_gpus(stage),
        "runtime": wanted.runtime,
        "slurm_partition": wanted.partition,
    }
    return {name: value for name, value in asked.items() if value}


def gpu_slot(stage):
    """The command before a command that holds one GPU of this machine while it runs."""
    script = Path(workflow.basedir) / "workflow/scripts/gpu_slot.sh"
    return shlex.quote(str(script)) if stage_gpus(stage) else ""


def untracked(function):
    """A parameter that changes how a job runs and not what it writes: a change reruns nothing.

    Snakemake remembers the parameters of finished files, but for those that a function of `resources`
    gives.
    """
    return lambda wildcards, resources: function(wildcards)


def stage_threads(stage):
    return getattr(CONFIG.resources, stage).threads


def source_target(pair):
    """The two corpora of a pair; a name that is not configured is refused, the nearest named."""
    return checked(check_pair, pair, CONFIG)


def feature_file(name):
    return CONFIG.corpora[name].features or f"features/{name}.h5"


def pair_features(wildcards):
    source, target = source_target(wildcards.pair)
    return {"source": feature_file(source), "target": feature_file(target)}


def pair_runs(wildcards):
    source_target(wildcards.pair)
    return [f"results/runs/{wildcards.pair}/{run_id}.json" for run_id in RUNS]


def predictions_of(results):
    """The predictions that lie beside result files and are read with them.

    Where a job has no folder in common with the others, it is sent what is named as input alone.
    """
    return [file.removesuffix(".json") + ".predictions.csv" for file in results]


def manifest_input(wildcards):
    corpus = CONFIG.corpora[wildcards.corpus]
    made = [f"data/{wildcards.corpus}/STANDIN.txt"] if corpus.standin else []
    return made + [file for file in (corpus.manifest, corpus.label_map) if file]


def manifest_flags(wildcards, found=()):
    """Flags of `amanda manifest`, with its input files where the job has `found` them, if it has."""
    corpus = CONFIG.corpora[wildcards.corpus]
    files = dict(zip(manifest_input(wildcards), map(str, found)))
    named = {key: getattr(corpus, key) for key in ("manifest", "label_map")}
    own = {key: files.get(file, file) for key, file in named.items() if file}
    return shlex.join(commands.manifest_flags(wildcards.corpus, corpus.model_copy(update=own)))


def weights_stamp(wildcards):
    return f"features/weights/{PROFILES[wildcards.corpus].key}.txt"


def shard_files(wildcards):
    count = CONFIG.corpora[wildcards.corpus].shards or CONFIG.shards
    return [f"features/shards/{wildcards.corpus}/{n}-of-{count}.h5" for n in range(count)]


def report_features():
    used = {name for pair in CONFIG.pairs for name in source_target(pair)}
    return [feature_file(name) for name in sorted(used)]


def report_sheets():
    """Folders of contact sheets for the report: none unless the config asks for thumbnails.

    Never of a corpus whose privacy is strict.
    """
    if not CONFIG.report.thumbnails:
        return []
    used = sorted({name for pair in CONFIG.pairs for name in source_target(pair)})
    corpora = {name: CONFIG.corpora[name] for name in used}
    made = [n for n, c in corpora.items() if not c.features and c.privacy != "strict"]
    return [f"results/contact_sheets/{name}" for name in made]


def made_with(wildcards):
    """What features depend on besides the manifest: a change makes them again."""
    corpus = CONFIG.corpora[wildcards.corpus]
    key = PROFILES[wildcards.corpus].key
    faces = [sha256(Path(corpus.faces).read_bytes()).hexdigest()] if corpus.faces else []
    return [extractors.EXTRACT_VERSION, key, corpus.extract, corpus.downmix, *faces]


def extract_flags(wildcards):
    return shlex.join(commands.extract_flags(wildcards.corpus, CONFIG, CONFIG_FILE))


def weights_flags(wildcards):
    return shlex.join(commands.profile_flags(NAME_OF_KEY[wildcards.profile], CONFIG, CONFIG_FILE))
