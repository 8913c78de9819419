# Results → results/report.html


rule report:
    input:
        results=expand("results/{pair}.json", pair=CONFIG.pairs),
        predictions=expand("results/{pair}.predictions.csv", pair=CONFIG.pairs),
        features=report_features(),
        sheets=report_sheets(),
    output:
        report(
            "results/report.html",
            caption="../report/report.rst",
            category="Results",
        ),
    log:
        "logs/report.log",
    benchmark:
        "bench_logs/report.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("report")
    resources:
        **stage_resources("report"),
    params:
        features=lambda wildcards, input: [f"--features {file}" for file in input.features],
        sheets=lambda wildcards, input: [f"--thumbnails {folder}" for folder in input.sheets],
        version=amanda.REPORT_VERSION,
    shell:
        "amanda report {input.results} {params.features} {params.sheets} --out {output} 2>&1 | tee -i {log}"


# Pictures of people: made where `report: {thumbnails: true}` asks for them, or by name.
rule contact_sheets:
    input:
        features="features/{corpus}.h5",
        manifest="manifests/{corpus}.csv",
    output:
        directory("results/contact_sheets/{corpus}"),
    log:
        "logs/contact_sheets/{corpus}.log",
    benchmark:
        "bench_logs/contact_sheets/{corpus}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("report")
    resources:
        **stage_resources("report"),
    shell:
        "amanda contact-sheets {input.features} --manifest {input.manifest} --out {output}"
        " 2>&1 | tee -i {log}"
