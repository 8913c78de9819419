# The paper's tables and figures, with ours beside them → results/paper.html
#
# Which trainings they need stands in amanda/experiments.py; rule train makes each once, whatever
# asks for it.


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


def figure_inputs(wildcards):
    source_target(wildcards.pair)
    if wildcards.kind == "alpha2":
        return f"results/sweep_{wildcards.pair}.json"
    trainings = planned().figure_trainings(wildcards.kind, wildcards.pair)
    if wildcards.kind == "representations":
        return [training.representations for training in trainings]
    return [training.result for training in trainings]


def paper_tables_of(wildcards):
    return [f"results/{table}.json" for table in [*planned().tables, "table7"]]


# What `amanda progress` reads.
onstart:
    for plan in PLANNED:
        write_plan(plan, Path(PLAN))


rule table:
    input:
        cell_files,
    output:
        "results/{table}.json",
    log:
        "logs/table/{table}.log",
    benchmark:
        "bench_logs/table/{table}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("report")
    resources:
        **stage_resources("report"),
    params:
        cells=lambda wildcards: shlex.join(map(str, table_cells(wildcards))),
        budget=CONFIG.budget,
        version=amanda.REPORT_VERSION,
    shell:
        "amanda experiments table {wildcards.table} {params.cells} --budget {params.budget}"
        " --out {output} 2>&1 | tee -i {log}"


rule counts:
    input:
        lambda wildcards: [feature_file(name) for name in planned().corpora],
    output:
        "results/table7.json",
    log:
        "logs/counts.log",
    benchmark:
        "bench_logs/counts.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("report")
    resources:
        **stage_resources("report"),
    params:
        version=amanda.REPORT_VERSION,
    shell:
        "amanda experiments counts {input} --out {output} 2>&1 | tee -i {log}"


rule figure:
    input:
        figure_inputs,
    output:
        svg="figures/{kind}_{pair}.svg",
        pdf="figures/{kind}_{pair}.pdf",
    log:
        "logs/figure/{kind}_{pair}.log",
    benchmark:
        "bench_logs/figure/{kind}_{pair}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("report")
    resources:
        **stage_resources("report"),
    params:
        kind=lambda wildcards: wildcards.kind.split("_")[0],
        version=amanda.REPORT_VERSION,
    shell:
        "amanda experiments figure {params.kind} {input} --out {output.svg} 2>&1 | tee -i {log}"


rule paper_page:
    input:
        tables=paper_tables_of,
        figures=lambda wildcards: [f"figures/{stem}.svg" for stem in planned().figures],
    output:
        report(
            "results/paper.html",
            caption="../report/paper.rst",
            category="Results",
        ),
    log:
        "logs/paper_page.log",
    benchmark:
        "bench_logs/paper_page.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("report")
    resources:
        **stage_resources("report"),
    params:
        figures=lambda wildcards, input: [f"--figures {file}" for file in input.figures],
        command=shlex.quote(PAPER_COMMAND),
        version=amanda.REPORT_VERSION,
    shell:
        "amanda experiments page {input.tables} {params.figures} --command {params.command}"
        " --out {output} 2>&1 | tee -i {log}"
