"""Weights from a model hub: a small server on this machine answers the hub's own client."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CLOSED_PORT = "http://127.0.0.1:9"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_FILES = {
    "config.json": b'{"model_type": "bert"}',
    "vocab.txt": b"[PAD]\n",
    "README.md": b"---\nlanguage:\n- de\nlicense: mit\n---\n# Model\n",
    "model.safetensors": b"safe parameters",
    "pytorch_model.bin": b"pickled parameters",
    "onnx/model.onnx": b"another format",
}


class Hub(BaseHTTPRequestHandler):
    """As much of a hub's HTTP interface as its client asks for one small model."""

    served: list[str]

    def _entries(self) -> list[dict[str, object]]:
        entries = []
        for name, data in HUB_FILES.items():
            entry = {"type": "file", "path": name, "rfilename": name, "size": len(data)}
            entry |= {
                "oid": hashlib.sha1(data).hexdigest(),
                "blobId": hashlib.sha1(data).hexdigest(),
            }
            if name.endswith((".safetensors", ".bin", ".onnx")):
                digest = sha256(data)
                entry["lfs"] = {
                    "oid": digest,
                    "sha256": digest,
                    "size": len(data),
                    "pointerSize": 1,
                }
            entries.append(entry)
        return entries

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        if path in ("/api/models/org/tiny", "/api/models/org/tiny/revision/main"):
            data = json.dumps(
                {"id": "org/tiny", "sha": COMMIT, "siblings": self._entries()}
            ).encode()
        elif path.startswith("/api/models/org/tiny/tree/"):
            data = json.dumps(self._entries()).encode()
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            name = path.removeprefix(f"/org/tiny/resolve/{COMMIT}/")
            data = HUB_FILES[name]
            if body:
                self.served.append(name)
        else:
            gated = path.startswith("/api/models/org/gated")
            self.send_response(403 if gated else 404)
            self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """No lines on standard error."""


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """Address of a hub on this machine, and the files that it was asked for."""
    Hub.served = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Hub.served
    server.shutdown()
    server.server_close()
    thread.join()


def run_hub_client(code: str, **environment: object) -> str:
    """What a fresh process prints, since the hub's client reads its environment when imported."""
    script = f"""
from amanda.store.errors import InputError
from extractors.profiles import LexicalSettings
from extractors.weights import *
from extractors.weights.cache import entry
try:
    {code}
except InputError as error:
    print("InputError:", error)
"""
    keep = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    values = {k: str(v) for k, v in environment.items()}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**keep, **values},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_a_model_of_a_hub(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    address, served = hub
    fetch_it = "print(fetch(entry('org/tiny'), cache_dir()), find('org/tiny'))"
    online = {"HF_ENDPOINT": address, "HF_HOME": tmp_path / "hf"}
    said = run_hub_client(fetch_it, AMANDA_CACHE=tmp_path / "a", **online)
    assert said.startswith("fetched Located(")
    assert f"revision='{COMMIT}', sha256='{sha256(b'safe parameters')}'" in said
    assert sorted(served) == ["README.md", "config.json", "model.safetensors", "vocab.txt"]
    folder = tmp_path / "a" / "org--tiny@newest"
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "receipt.json"} == {
        name: HUB_FILES[name] for name in served
    }
    # Offline, from what the hub's client has kept; and from our cache alone.
    offline = {"HF_HUB_OFFLINE": 1, "HF_HOME": tmp_path / "hf"}
    again = run_hub_client(fetch_it, AMANDA_CACHE=tmp_path / "b", **offline)
    assert again.startswith("fetched Located(")
    assert f"revision='{COMMIT}'" in again
    bare = {"HF_HUB_OFFLINE": 1, "HF_HOME": tmp_path / "empty"}
    assert run_hub_client(fetch_it, AMANDA_CACHE=tmp_path / "a", **bare).startswith("present")
    said = run_hub_client(
        "print(model_language(LexicalSettings(model='org/tiny', layers=(1,))))",
        AMANDA_CACHE=tmp_path / "a",
        **bare,
    )
    assert said == "de"


def test_why_a_hub_does_not_give_a_model(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    address, _ = hub
    common = {"AMANDA_CACHE": tmp_path / "a", "HF_HOME": tmp_path / "hf"}
    fetch_it = "fetch(entry('org/tiny'), cache_dir())"
    said = run_hub_client(fetch_it, HF_ENDPOINT=CLOSED_PORT, **common)
    assert "hub model org/tiny: the hub cannot be reached and its local cache lacks" in said
    said = run_hub_client(fetch_it, HF_HUB_OFFLINE=1, **common)
    assert "the hub is switched off (HF_HUB_OFFLINE) and its local cache lacks" in said
    other = fetch_it.replace("org/tiny", "org/other")
    said = run_hub_client(other, HF_ENDPOINT=address, **common)
    assert "hub model org/other: no such model, or it needs a login" in said
    said = run_hub_client(fetch_it.replace("org/tiny", "org/gated"), HF_ENDPOINT=address, **common)
    assert "hub model org/gated: its licence must be accepted on the hub's page of it first" in said
    assert said.endswith("then `hf auth login`, and the same command again")
    kept = [p.name for p in (tmp_path / "a").iterdir() if not p.name.endswith(".lock")]
    assert kept == []
