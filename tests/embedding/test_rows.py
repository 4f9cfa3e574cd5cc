"""The columns of a data set are documented, all of them."""

import re

from helpers.resources import ROOT
from mar.embedding import rows

MADE = {"dimensions": 4, "format": "parquet"}


def test_the_reference_has_every_column_with_its_type():
    text = (ROOT / "docs" / "reference" / "embeddings.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    columns = {}
    for store in ("mean", "timeline"):
        for field in rows.arrow_schema({**MADE, "store": store}, 0):
            columns[field.name] = field.type
    assert list(documented) == list(columns)
    words = {"string": "string", "int": "int", "double": "double", "bool": "bool", "float": "float"}
    for name, kind in columns.items():
        scalar = re.findall(r"string|int|double|bool|float", str(kind))[-1]
        assert words[scalar] in documented[name]
        assert ("list" in documented[name]) == ("list" in str(kind))
    for name in columns:
        assert re.search(rf"^    {name} ", rows.__doc__, re.MULTILINE)
