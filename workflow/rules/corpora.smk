# Raw corpus → manifests/<corpus>.csv


# The corpus's folder is not declared as output: Snakemake empties outputs before it runs a rule, and
# data/<corpus> may be where somebody keeps a corpus that cannot be had again.
rule standin:
    output:
        "data/{corpus}/STANDIN.txt",
    log:
        "logs/standin/{corpus}.log",
    benchmark:
        "bench_logs/standin/{corpus}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("standin")
    resources:
        **stage_resources("standin"),
    params:
        folder="data/{corpus}",
        flags=lambda wildcards: shlex.join(
            commands.standin_flags(CONFIG.corpora[wildcards.corpus].standin)
        ),
        version=corpora.STANDIN_VERSION,
    shell:
        "amanda standin --corpus {wildcards.corpus} --out {params.folder} {params.flags}"
        " 2>&1 | tee -i {log} &&"
        " echo 'amanda standin --corpus {wildcards.corpus} {params.flags}' > {output}"


rule manifest:
    input:
        manifest_input,
    output:
        manifest="manifests/{corpus}.csv",
        dropped="manifests/{corpus}.dropped.csv",
        meta="manifests/{corpus}.meta.json",
    log:
        "logs/manifest/{corpus}.log",
    benchmark:
        "bench_logs/manifest/{corpus}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("manifest")
    resources:
        **stage_resources("manifest"),
    params:
        # A parameter that looks at the input is not remembered, so what is asked for stands here too.
        asked=manifest_flags,
        flags=lambda wildcards, input: manifest_flags(wildcards, input),
        version=corpora.MANIFEST_VERSION,
    shell:
        "amanda manifest {params.flags} --out {output.manifest} 2>&1 | tee -i {log}"
