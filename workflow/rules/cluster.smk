# What is different when jobs go to a cluster.

import subprocess


# Weights are fetched, or found complete, on the machine that Snakemake runs on: before any job is
# submitted, and where there is a network if there is one at all.
localrules:
    weights,


def slurm_keeps_accounts():
    """Whether Slurm has a database of jobs. `sacct` without one waits for ever."""
    try:
        asked = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return not re.search(r"^AccountingStorageType\s*=\s*\S*none\s*$", asked.stdout, re.M)


if "slurm" in type(workflow.executor_settings).__module__ and not slurm_keeps_accounts():
    if workflow.executor_settings.status_command != "squeue":
        workflow.executor_settings.status_command = "squeue"
        logger.info("Slurm keeps no accounts here: jobs are asked after by squeue.")
