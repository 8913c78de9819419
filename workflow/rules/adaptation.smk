# Features of two corpora → results/<source>2<target>.json


# One method on one pair, all its seeds. Its file is named by a hash of its settings, so a changed
# setting trains that method again and no other.
rule train:
    input:
        unpack(pair_features),
    output:
        result="results/runs/{pair}/{run_id}.json",
        predictions="results/runs/{pair}/{run_id}.predictions.csv",
        representations="results/runs/{pair}/{run_id}.representations.npz",
    log:
        "logs/train/{pair}/{run_id}.log",
    benchmark:
        "bench_logs/train/{pair}/{run_id}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("train")
    resources:
        **stage_resources("train"),
    params:
        slot=untracked(lambda wildcards: gpu_slot("train")),
        flags=lambda wildcards: shlex.join(to_flags(NAMED_RUNS[wildcards.run_id])),
        mismatch="--allow-mismatch" if CONFIG.allow_mismatch else "",
        device=untracked(lambda wildcards: CONFIG.device),
        progress=untracked(lambda wildcards: "&& { amanda progress || true; }" if PLANNED else ""),
        version=amanda.TRAIN_VERSION,
    shell:
        "{params.slot} amanda train --source {input.source} --target {input.target}"
        " {params.flags} {params.mismatch} --device {params.device} --workers {threads}"
        " --out {output.result} 2>&1 | tee -i {log} {params.progress}"


rule pair:
    input:
        results=pair_runs,
        predictions=lambda wildcards: predictions_of(pair_runs(wildcards)),
    output:
        result="results/{pair}.json",
        predictions="results/{pair}.predictions.csv",
    log:
        "logs/pair/{pair}.log",
    benchmark:
        "bench_logs/pair/{pair}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("merge")
    resources:
        **stage_resources("merge"),
    params:
        version=amanda.TRAIN_VERSION,
    shell:
        "amanda merge-results {input.results} --out {output.result} 2>&1 | tee -i {log}"
