# Results → results/report.html


rule report:
    input:
        results=expand("results/{pair}.json", pair=CONFIG.pairs),
        features=report_features(),
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
        features=[f"--features {file}" for file in report_features()],
        version=amanda.REPORT_VERSION,
    shell:
        "amanda report {input.results} {params.features} --out {output} 2>&1 | tee -i {log}"
