"""Models of the Hugging Face Hub, from a server on this machine, through the hub's own package.

The hub itself is not asked: its certificates, logins, transfers by Xet and in parts are not tested.
"""

import pytest
import soundfile

import mar
from helpers.exported import mono, small_file
from helpers.hub import Hub
from helpers.processes import run_python
from helpers.resources import DATA
from mar.embedding import files, model_names, remembered
from mar.embedding.catalogue import Catalogue
from mar.errors import InputError
from mar.models.loading import located
from mar.models.saving import fingerprint
from mar.util import hub

pytest.importorskip("huggingface_hub")
MODEL = DATA / "earlier" / "run" / "model.keras"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A hub with a repository of two commits, and an empty cache."""
    from huggingface_hub import constants

    with Hub() as server:
        server.first = server.commit("me/mine", {"model.keras": MODEL.read_bytes()}, "v1")
        files = {"README.md": b"mine", "old/mine.keras": MODEL.read_bytes()}
        server.second = server.commit("me/mine", files, "main", "feature%2Fx")
        server.commit("me/other", {"model.keras": MODEL.read_bytes()}, "main")
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield server


def test_a_model_is_embedded_with_and_named(served):
    expected = fingerprint(mar.load_model(MODEL))
    provenance = mar.Embedder("hf://me/mine@v1").provenance
    assert provenance["model"] == expected
    assert provenance["model_source"] == f"hf://me/mine@{served.first}"


def test_an_exported_model(served, tmp_path):
    """Whose catalogue can be continued."""
    commit = served.commit("me/exported", {"model.onnx": small_file()[1].read_bytes()}, "main")
    embedder = mar.Embedder("hf://me/exported")
    assert embedder.provenance["model"] == fingerprint(small_file()[0])
    assert embedder.provenance["model_source"] == f"hf://me/exported@{commit}"
    soundfile.write(tmp_path / "a.wav", mono(4.0), 16000)
    items = files.find([str(tmp_path / "a.wav")])
    for _ in range(2):
        Catalogue().run("hf://me/exported", items, tmp_path / "out")
    assert mar.Embeddings(tmp_path / "out").paths == ["a.wav"]


def test_a_pinned_name_is_the_same_file_for_ever(served):
    assert located("hf://me/mine@v1") == f"hf://me/mine@{served.first}"
    pinned = located("hf://me/mine/old/mine.keras")
    assert pinned == f"hf://me/mine@{served.second}/old/mine.keras"
    assert located("hf://me/mine@feature%2Fx/old/mine.keras") == pinned
    served.commit("me/mine", {"model.keras": b"another"}, "main", "v1")  # both move on
    served.requests.clear()
    for source in (f"hf://me/mine@{served.first}", pinned):
        assert hub.fetch(source).read_bytes() == MODEL.read_bytes()
    assert not served.requests  # a commit that is in the cache is not asked for
    assert hub.fetch("hf://me/mine").read_bytes() == b"another"


def test_offline(served, tmp_path):
    """In processes of their own, as the hub's package reads its variables once."""
    variables = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_ENDPOINT": served.endpoint}
    fetch = "import sys; from mar.util import hub; print(hub.fetch(sys.argv[1]))"
    online = run_python(
        "-c", fetch, "hf://me/other", fresh=True, HF_HUB_DISABLE_XET="1", **variables
    )
    assert online.returncode == 0, online.stderr
    variables["HF_HUB_OFFLINE"] = "1"
    count = len(served.requests)
    offline = run_python("-c", fetch, "hf://me/other", fresh=True, **variables)
    assert offline.stdout == online.stdout != ""
    process = run_python("-c", fetch, "hf://me/mine", fresh=True, **variables)
    last = process.stderr.strip().splitlines()[-1]
    assert "InputError: hf://me/mine: it is not in the hub's cache" in last
    assert "HF_HUB_OFFLINE" in last
    assert len(served.requests) == count


def test_commands_take_addresses(served, tmp_path):
    """In processes that know the server by their variables alone."""
    served.commit("me/exported", {"model.onnx": small_file()[1].read_bytes()}, "main")
    soundfile.write(tmp_path / "a.wav", mono(4.0), 16000)
    variables = {"HF_ENDPOINT": served.endpoint, "HF_HUB_CACHE": str(tmp_path / "hub")}
    arguments = ("--model", "hf://me/exported", tmp_path / "a.wav")
    for command, flag in (("embed", "--output"), ("similar", "--embeddings")):
        process = run_python(
            *("-m", "mar", command, flag, tmp_path / "out", *arguments),
            fresh=True,
            HF_HUB_DISABLE_XET="1",
            **variables,
        )
        assert process.returncode == 0, process.stderr
    made = mar.Embeddings(tmp_path / "out").provenance
    assert made["model"] == fingerprint(small_file()[0])


def test_a_download_that_broke_leaves_nothing(served):
    served.breaks_after = 100_000
    with pytest.raises(InputError, match="hf://me/other: .*the hub cannot be"):
        hub.fetch("hf://me/other")
    assert hub.fetch("hf://me/other").read_bytes() == MODEL.read_bytes()


def test_what_arrives_damaged_is_refused(served):
    small = {"model.keras": b"x" * 500}
    served.commit("me/small", small, "main")
    served.damaged |= {"model.keras"}
    for name in ("me/other", "me/small"):
        with pytest.raises(InputError, match=r"model.keras: damaged: its hash is [0-9a-f]+, where"):
            mar.load_model(f"hf://{name}")
    served.damaged.clear()
    with pytest.raises(InputError, match=r"remove .*/blobs/[0-9a-f]{64}, and load the model again"):
        mar.load_model("hf://me/other")


def test_what_the_hub_does_not_have_is_named(served):
    for source, said in {
        "hf://me/nothing": r"hub has no repository me/nothing.*HF_TOKEN",
        "hf://me/mine@v9": r"me/mine has no revision v9",
        "hf://me/mine": r"expected model.keras or .*found none.*hf://me/mine/FILE",
        "hf://me/mine@v1/x.keras": r"expected x.keras in it, found none",
        "hf://mine": r"expected hf://USER/NAME",
        "hf://me/m ine": r"did not give it: Repo id must",
    }.items():
        with pytest.raises(InputError, match=f"{source}: .*{said}"):
            mar.load_model(source)


def test_a_hub_that_does_not_answer(served):
    served.__exit__()
    with pytest.raises(InputError, match=r"hf://me/mine: .*the hub cannot be"):
        mar.load_model("hf://me/mine")


def test_what_a_data_set_remembers_is_the_commit(served):
    model_names.check("hf://me/mine")
    assert remembered.asked("hf://me/mine@v1")["model"] == f"hf://me/mine@{served.first}"
    moved = served.commit("me/mine", {"model.keras": b"another"}, "v1")
    assert remembered.asked("hf://me/mine@v1")["model"] == f"hf://me/mine@{moved}"


def test_an_exported_model_is_found_and_not_keras_s(served):
    served.commit("me/exported", {"model.onnx": b"exported"}, "main")
    assert hub.fetch("hf://me/exported").read_bytes() == b"exported"
    with pytest.raises(InputError, match=r"model.onnx: exported by mar export, for mar.Embedder"):
        mar.load_model("hf://me/exported")
    with pytest.raises(InputError, match=r"model.onnx"):
        mar.Embedder("hf://me/exported")
