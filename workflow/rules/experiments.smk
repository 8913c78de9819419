# The paper's tables and figures, with ours beside them → results/paper.html
#
# Which trainings they need stands in amanda/experiments.py; rule train makes each once, whatever
# asks for it.


rule table:
    input:
        results=cell_files,
        predictions=lambda wildcards: predictions_of(cell_files(wildcards)),
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
        # A parameter that looks at the input is not remembered, so what is asked for stands here too.
        asked=cell_flags,
        cells=lambda wildcards, input: cell_flags(wildcards, input.results),
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
        drawn=figure_inputs,
        beside=figure_siblings,
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
        "amanda experiments figure {params.kind} {input.drawn} --out {output.svg} 2>&1 | tee -i {log}"


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
