# From raw corpora to the report; docs/workflow.md says how it is used.
#
#   snakemake --cores 8 results/ie2msp.json     one pair, of any two corpora of the config
#   snakemake --cores 8                         every pair of the config, and the report
#   snakemake --cores 8 results/paper.html      the paper's tables and figures, beside ours

from snakemake.utils import min_version

min_version("9.13")


# A file named with --configfile takes the place of this one; the two are never mixed.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpora.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/adaptation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/experiments_common.smk"
include: "workflow/rules/experiments.smk"
include: "workflow/rules/cluster.smk"


rule all:
    default_target: True
    input:
        expand("results/{pair}.json", pair=CONFIG.pairs),
        "results/report.html",


onstart:
    checked(prepare_files, workflow.dag.needrun_jobs())
    for plan in PLANNED:  # what `amanda progress` reads
        write_plan(plan, Path(PLAN))


onsuccess:
    remove_merged_shards(Path("features"))
    for line in describe_shard_times(read_shard_times(Path("."), since_s=STARTED_S)):
        logger.info(line)


# Snakemake shows the whole log of a job that failed; what it said comes once more, last.
onerror:
    for sentence in last_errors(Path("logs"), STARTED_S) or [
        "Not finished. What is finished is kept; run the same command to go on."
    ]:
        logger.error(sentence)
