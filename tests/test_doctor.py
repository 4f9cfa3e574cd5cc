"""What `mar doctor` finds, in an installation that is well and in one that is not."""

import json

from helpers.terminals import environment, run_fresh


def findings(process):
    return {finding["what"]: finding for finding in json.loads(process.stdout)["findings"]}


def test_an_installation_that_is_well(tmp_path):
    process = run_fresh("-m", "mar", "doctor", env=environment(MAR_CACHE=str(tmp_path / "new")))
    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert not any(line.startswith("!!") for line in lines)
    told = {line.split()[0]: line for line in lines}
    assert {"mar", "Python", "TensorFlow", "Keras", "cards", "codecs", "cache"} <= set(told)
    assert "on tensorflow" in told["Keras"]
    assert all(codec in told["codecs"] for codec in ("flac", "mp3", "ogg", "opus", "m4a"))
    assert "16000 samples" in told["decoder"]
    assert not (tmp_path / "new").exists()


def test_what_is_wrong_is_told_with_a_remedy(tmp_path):
    """TensorFlow crashes as it is imported, the weights are damaged, cards are not seen."""
    (tmp_path / "tensorflow.py").write_text("import os\nos.abort()\n")
    weights = tmp_path / "cache" / "mule" / "commit" / "model.keras"
    weights.parent.mkdir(parents=True)
    weights.write_text("damaged")
    broken = environment(tmp_path, MAR_CACHE=str(tmp_path / "cache"))
    process = run_fresh("-m", "mar", "doctor", "--json", env=broken)
    assert (process.returncode, process.stderr) == (2, "")
    found = findings(process)
    assert {name for name, finding in found.items() if finding["remedy"]} == {"TensorFlow", "mule"}
    assert "signal 6" in found["TensorFlow"]["found"]
    assert "pip install" in found["TensorFlow"]["remedy"]
    assert str(weights) in found["mule"]["found"]

    (tmp_path / "tensorflow.py").write_text("raise ImportError('no such instruction')")
    file = environment(tmp_path, MAR_CACHE=str(weights / "cache"))
    process = run_fresh("-m", "mar", "doctor", env=file)
    assert process.returncode == 2
    wrong = [line for line in process.stdout.splitlines() if line.startswith("!!")]
    assert [line.split()[1] for line in wrong] == ["TensorFlow", "cache"]
    assert "no such instruction" in wrong[0]
    assert "MAR_CACHE" in wrong[1]
