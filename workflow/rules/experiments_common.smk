# What the tables and figures of the paper need: the functions of experiments.smk's rules.


def n_at_once():
    """Trainings that run side by side on this machine, or on the cores that were asked for."""
    wanted = CONFIG.resources.train
    asked = workflow.global_resources["_cores"].value or machine_cpus()
    memory = workflow.global_resources.get("mem_mb")
    at_once = asked // min(wanted.threads, asked)
    limit = memory.value if memory else None
    return min(at_once, limit // wanted.mem_mb) if limit else at_once


def planned():
    """The experiments, their time told the first time that a target needs them."""
    if not PLANNED:
        plan = make_plan(EXPERIMENTS, n_at_once())
        PLANNED.append(plan)
        for line in describe_projection(plan, measure(plan, Path())):
            logger.info(line)
    return EXPERIMENTS


def table_cells(wildcards):
    if wildcards.table.startswith("sweep_"):
        source_target(wildcards.table.removeprefix("sweep_"))
    return checked(planned().cells, wildcards.table)


def cell_files(wildcards):
    return list(dict.fromkeys(cell.training.result for cell in table_cells(wildcards)))


def cell_flags(wildcards, found=()):
    """The cells of a table, with their result files where the job has `found` them, if it has."""
    files = dict(zip(cell_files(wildcards), map(str, found)))
    named = [(cell, cell.training.result) for cell in table_cells(wildcards)]
    return shlex.join(cell.filled_by(files.get(file, file)) for cell, file in named)


def figure_inputs(wildcards):
    source_target(wildcards.pair)
    if wildcards.kind == "alpha2":
        return f"results/sweep_{wildcards.pair}.json"
    trainings = planned().figure_trainings(wildcards.kind, wildcards.pair)
    if wildcards.kind == "representations":
        return [training.representations for training in trainings]
    return [training.result for training in trainings]


def figure_siblings(wildcards):
    """Result files, which are read beside the representations that a figure draws."""
    if wildcards.kind != "representations":
        return []
    trainings = planned().figure_trainings(wildcards.kind, wildcards.pair)
    return [training.result for training in trainings]


def paper_tables_of(wildcards):
    return [f"results/{table}.json" for table in [*planned().tables, "table7"]]
