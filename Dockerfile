# The software of requirements.txt, for container runtimes and Kubernetes. Build: docker build -t amanda .
FROM python:3.11-slim-bookworm

RUN apt-get update && apt-get install --yes --no-install-recommends make util-linux \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/amanda
COPY requirements.txt pyproject.toml README.md LICENSE ./
COPY amanda amanda
COPY corpora corpora
COPY extractors extractors
COPY workflow workflow
COPY profiles profiles
COPY config config
COPY Snakefile ./
RUN pip install --no-cache-dir --no-deps -r requirements.txt -e .
WORKDIR /work
ENTRYPOINT ["/bin/bash", "-c", "exec \"$0\" \"$@\""]
CMD ["amanda", "--help"]
