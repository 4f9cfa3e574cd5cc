"""What can be refused is refused before anything is imported that takes seconds.

That is tested as a property without a clock: where the slow packages cannot be imported, each
refusal comes nonetheless.
"""

import numpy as np
import pytest

from helpers import small_records
from helpers.small_embeddings import write_store
from helpers.terminals import run_without_slow_packages

ON_DISK = ": expected a place on a disk to write to, got s3://…"
REFUSED = {
    "embed lib": "--output",
    "embed -o out": "to embed",
    "embed -o out absent": "absent: no such file or folder",
    "embed -o out empty": "empty: holds no audio",
    "embed -o out lib empty": "empty: holds no audio",
    "embed -o out mute": "mute: holds no audio",
    "check empty": "empty: holds no audio",
    "analyze --config {config} --output_folder npy empty": "empty: holds no audio",
    "embed -o out lib --task GTZAN": "--task",
    "embed -o out --task GTZAN": "--audio",
    "embed -o out --task GTZEN --audio lib": "did you mean GTZAN",
    "embed -o out --task GTZAN --audio absent --metadata meta": "absent",
    "embed -o out --model absent.keras lib": "absent.keras: no such model",
    "embed -o out --model mul lib": "did you mean 'mule'",
    "embed -o out --model absent@best lib": "absent@best",
    "embed -o out --shard 2/2 lib": "--shard",
    "embed -o out --config absent.yaml lib": "absent.yaml",
    "embed -o out --config timelin lib": "did you mean 'timeline'",
    "embed -o out --set batch lib": "--set",
    "embed -o out --set Catalogue.batch_size=0 lib": "at least 1, got 0",
    "embed -o out --set Windows.hop=1 lib": "hop",
    "embed -o out --store both lib": "store",
    "embed -o out --outptu x lib": "output",
    "embed -o out --model nobody.at:Home lib": "a Python module nobody.at",
    "embed -o out --model hear:nobody lib": "a Python module nobody",
    "embed -o out --model command:nobody lib": "expected a program, got nobody",
    "embed -o out --model lib?made_by=me lib": "taken over as it is",
    "embed -o out --model lib?made_bye=me": "did you mean 'made_by'",
    "robust lib": "--output",
    "robust -o out": "audio files, folders or lists",
    "robust -o out --head lib lib": "--head and --task together",
    "robust -o out --model nobody.at:Home lib": "a Python module nobody.at",
    "robust -o out empty": "empty: holds no audio",
    "tag emb": "--head",
    "tag --head absent -o t.csv emb": "--head: absent",
    "tag --head lib -o t.xls emb": "t.xls",
    "tag --head lib -o t.csv absent": "absent",
    "tag --head lib -o t.csv lib": "--embeddings",
    "tag --head lib -o t.csv --model absent.keras emb": "absent.keras",
    "tag --remove --files absent": "absent",
    "probe --task GTZAN": "--embeddings",
    "probe --task GTZAN --embeddings absent": "--embeddings: absent",
    "probe --task GTZEN --embeddings emb": "did you mean GTZAN",
    "probe --task table.csv --embeddings lib": "lib: holds no embeddings",
    "probe --task table.csv --embeddings emb --embeddings ./emb": "both called emb",
    "probe --task table.csv --embeddings emb --precision 0.5 --recall 0.5": "--recall",
    "probe --task table.csv --embeddings emb --curve 0": "--curve",
    "probe --task table.csv --embeddings emb --config absent.yaml": "absent.yaml",
    "similar --embeddings absent a.wav": "absent",
    "similar --embeddings emb": "one track",
    "similar --embeddings emb absent.wav": "absent.wav",
    "similar --embeddings emb --model absent.keras a.wav": "absent.keras",
    "duplicates": "--embeddings",
    "duplicates --embeddings absent": "absent",
    "explore": "one folder",
    "explore absent": "absent: holds no embeddings",
    "explore lib": "lib: holds no embeddings",
    "explore --head absent emb": "--head: absent",
    "explore --table absent.csv emb": "--table: absent.csv",
    "explore --model absent.keras emb": "absent.keras",
    "index": "one folder",
    "index lib": "lib: holds no embeddings",
    "export": "--output",
    "export -o m.onnx --model absent.keras": "absent.keras",
    "export -o m.txt": ".onnx",
    "export -o m.onnx --head absent": "--head: absent",
    "export -o m.onnx --audio absent": "--audio: absent",
    "export -o absent/m.onnx": "absent",
    "check": "to check",
    "check absent": "absent",
    "check -o report.doc lib": "report.doc",
    "analyze --config timeline -i a.wav": "--output_file",
    "analyze --config absent.yml -i a.wav --output_file a.npy": "absent.yml",
    "analyze --config {config} -i absent.wav --output_file a.npy": "absent.wav",
    "tables --results absent": "absent",
    "tables --records absent": "absent",
    "tables --model absent.keras": "absent.keras",
    "report": "--output",
    "report -o r.html --results absent": "absent",
    "report -o r.html --results lib --task GTZAN": "--embeddings",
    "report -o r.html --results lib --task GTZEN --embeddings emb": "did you mean GTZAN",
    "report -o r.html --results lib --task GTZAN --embeddings absent": "absent",
    "fetch": "expected what to fetch",
    "fetch GTZEN": "did you mean 'GTZAN'",
    "fetch lib": "GTZAN",
    "train": "--config",
    "train --config absent.yaml": "absent.yaml",
    "train --config smal": "did you mean 'small'",
    "train --config small --set Constants.RECORDS=absent/": "absent/",
    "train --config small --set PairDataset.records=absent/": "absent/",
    "train --config small --set Constants.RECORDS={records} more": "more",
    "train --config small --set Constants.RECORDS={records} -o s3://k:k@b/run": ON_DISK,
    "configs show smal": "did you mean 'small'",
    "records write -o out": "--table",
    "records write --table absent.csv -o out": "absent.csv",
    "records write --table table.csv --audio absent -o out": "absent",
    "records write --table table.csv -o out --dtype float12": "float16",
    "records write --table table.csv -o out --ontology table.csv": "--classes",
    "records write --table table.csv -o out --shard x": "--shard",
    "records write --table table.csv -o s3://b/out": ON_DISK,
    "records merge -o out absent": "absent",
    "records merge -o s3://b/out {records}": ON_DISK,
    "records merge absent": "--output",
    "records excerpt -o out absent": "absent",
    "records excerpt -o s3://b/out {records}": ON_DISK,
    "records index -o s3://b/m.parquet --spectrogram_feature x --dtype float16 a.wav": ON_DISK,
    "records index -o m.parquet --spectrogram_feature x --dtype float16 absent": "absent",
    "records index -o m.parquet --dtype float16 absent": "--spectrogram_feature",
    "records inspect absent": "absent",
    "records inspect -o s3://b/pictures records": ON_DISK,
    "tables --results emb -o s3://b/tables": ON_DISK,
    "probe --task table.csv --embeddings emb -o s3://b/results": ON_DISK,
    "reproduce --audio new.yaml -o s3://b/r": ON_DISK,
    "report --results emb -o s3://b/r.html": ON_DISK,
    "check -o s3://b/r.csv lib": ON_DISK,
    "export -o s3://b/m.onnx": ON_DISK,
    "tag --head lib -o s3://b/t.csv emb": ON_DISK,
    "analyze --config timeline -i a.wav -o s3://b/a.npy": ON_DISK,
    "robust -o s3://b/r lib": ON_DISK,
    "runs -o s3://b/l.png lib": ON_DISK,
    "explore --output s3://b/heads emb": ON_DISK,
    "records verify absent": "absent",
    "records verify": "one data set",
    "recrods verify": "did you mean",
    "emebd": "did you mean 'embed'",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """`{command line: (exit code, standard output, standard error)}`."""
    folder = tmp_path_factory.mktemp("refused")
    write_store(folder / "emb", {f"{n}.wav": np.ones((1, 4)) for n in range(3)})
    for name in ("lib", "empty", "meta", "mute"):
        (folder / name).mkdir()
    (folder / "mute" / "cover.png").write_bytes(b"PNG")
    (folder / "lib" / "a.wav").write_bytes(b"RIFF")
    (folder / "a.wav").write_bytes(b"RIFF")
    (folder / "table.csv").write_text("id,path,label\n0,a.wav,x\n1,b.wav,y\n")
    (folder / "pipeline.yml").write_text("Analysis: {}\n")
    small_records.data_set(folder / "records", [320, 450])
    before = sorted(path.name for path in folder.iterdir())
    names = {"config": "pipeline.yml", "records": "records"}
    lines = [command.format(**names).split() for command in REFUSED]
    told = run_without_slow_packages(lines, folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    return dict(zip(REFUSED, told, strict=True))


@pytest.mark.parametrize("command", REFUSED)
def test_it_is_refused_before_slow_packages_are_imported(outcomes, command):
    code, output, error = outcomes[command]
    assert (code, output) == (1, ""), error
    assert error.startswith("error: "), error
    assert REFUSED[command] in error
    assert "k:k" not in error, "a secret is shown"
