# manifests/<corpus>.csv → features/<corpus>.h5, in shards of whole source videos


rule weights:
    output:
        "features/weights/{profile}.txt",
    log:
        "logs/weights/{profile}.log",
    benchmark:
        "bench_logs/weights/{profile}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("weights")
    resources:
        **stage_resources("weights"),
    params:
        flags=untracked(weights_flags),
    shell:
        "amanda weights fetch {params.flags} 2>&1 | tee -i {log} && cp {log} {output}.part && mv {output}.part {output}"


rule extract:
    input:
        manifest="manifests/{corpus}.csv",
        meta="manifests/{corpus}.meta.json",
        weights=weights_stamp,
    output:
        temp("features/shards/{corpus}/{shard}-of-{n_shards}.h5"),
    log:
        "logs/extract/{corpus}/{shard}-of-{n_shards}.log",
    benchmark:
        "bench_logs/extract/{corpus}/{shard}-of-{n_shards}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("extract")
    resources:
        **stage_resources("extract"),
    params:
        slot=untracked(lambda wildcards: gpu_slot("extract")),
        flags=untracked(extract_flags),
        made_with=made_with,
    shell:
        "{params.slot} amanda extract --manifest {input.manifest} --out {output}"
        " --shard {wildcards.shard}/{wildcards.n_shards} {params.flags} 2>&1 | tee -i {log}"


# The shards are deleted once they are merged, so what they were made from stands here too: a change
# of it is what makes them again.
rule features:
    input:
        shards=shard_files,
        manifest="manifests/{corpus}.csv",
        weights=weights_stamp,
    output:
        "features/{corpus}.h5",
    log:
        "logs/features/{corpus}.log",
    benchmark:
        "bench_logs/features/{corpus}.tsv"
    conda:
        "../envs/amanda.yaml"
    threads: stage_threads("merge")
    resources:
        **stage_resources("merge"),
    params:
        made_with=made_with,
    shell:
        "amanda merge {input.shards} --out {output} 2>&1 | tee -i {log}"
