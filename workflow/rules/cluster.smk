# What is different when jobs go to a cluster.


# Weights are fetched, or found complete, on the machine that Snakemake runs on: before any job is
# submitted, and where there is a network if there is one at all.
localrules:
    weights,
