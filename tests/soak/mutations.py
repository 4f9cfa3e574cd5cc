"""Damaged and hostile versions of good files, drawn from a `random.Random`."""

import copy
import io
import json
import struct
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

# --------------------------------------------------------------------------------------- damage


def cut(data, rng):
    """Truncated: anywhere, or within a few bytes of either end."""
    near = rng.randrange(min(len(data), 40) + 1)
    return data[: rng.choice([rng.randrange(len(data) + 1), near, len(data) - near])]


def flipped(data, rng, bits=1):
    """With other bits."""
    changed = bytearray(data)
    for _ in range(bits if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def scattered(data, rng):
    """With many other bits."""
    return flipped(data, rng, rng.randrange(2, 200))


def declared(data, rng):
    """With a huge, negative or empty number where one of 1 to 8 bytes may be declared."""
    width = rng.choice([1, 2, 4, 8])
    number = rng.choice([b"\xff", b"\x7f", b"\x80", b"\0"]) + b"\xff" * (width - 1)
    place = rng.choice([rng.randrange(len(data) + 1), rng.randrange(min(len(data), 64) + 1)])
    return data[:place] + number[:: rng.choice([1, -1])] + data[place + width :]


def removed(data, rng):
    """Without a run of bytes."""
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 300) :]


def repeated(data, rng):
    """With a run of bytes twice."""
    start = rng.randrange(len(data) + 1)
    end = start + rng.randrange(1, 3000)
    return data[:end] + data[start:]


def inserted(data, rng):
    """With bytes of any kind within it, or behind it."""
    place = rng.choice([rng.randrange(len(data) + 1), len(data)])
    return data[:place] + rng.randbytes(rng.randrange(1, 100)) + data[place:]


def blanked(data, rng):
    """With a run of zeros, as a disk leaves it."""
    start, length = rng.randrange(len(data) + 1), rng.randrange(1, 5000)
    return data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]


def replaced(data, rng):
    """Something else altogether."""
    others = [b"", b"\0" * len(data), rng.randbytes(1000), b"{}", b"[" * 200_000, b"\x1f\x8b\x08"]
    return rng.choice(others)


DAMAGES = (
    *(cut, cut, cut, flipped, flipped, flipped, scattered, declared, declared),
    *(removed, repeated, inserted, blanked, replaced),
)


def damaged(data, rng):
    """Damaged in one of these ways."""
    return rng.choice(DAMAGES)(data, rng)


# ------------------------------------------------------------------------------------ wrong content

VALUES = (
    *(None, True, -1, 0, 1, 7, 2**31, 2**64, -(2**63), 1.5, 1e308, float("nan"), float("inf")),
    *("", "0", "\0", "../../etc/passwd", "\ud800", "x" * 100_000, "O", "<f4"),
    *([], [[]], [None], [-1], {}, {"": {}}, [0] * 1000),
)


def nested(depth):
    """A list in a list in a list."""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def of_value(document, rng):
    """Plain data of which one value is another, absent, or deep."""
    document = copy.deepcopy(document)
    places = list(_places(document))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    way = rng.random()
    if way < 0.2:
        del holder[key]
    else:
        holder[key] = nested(500) if way < 0.25 else rng.choice(VALUES)
    return document


def _places(node):
    """Every `(container, key)` of plain data."""
    if isinstance(node, dict | list):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from _places(node[key])


def in_json(data, rng):
    """A JSON file with another value."""
    return json.dumps(of_value(json.loads(data), rng)).encode(errors="surrogatepass")


def in_text(data, rng):
    """A text whose words, lines or bytes are others."""
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    words = (b"\xff\xfe", b"\0", b"'", b'"', b",,,", b"\t" * 9, b"nan", b"1e999", b"-1", b"../../x")
    line = lines[place]
    where = rng.randrange(len(line) + 1)
    ways = (
        lambda: [line[:where] + rng.choice(words) + line[where:]],
        lambda: [line[:where]],
        lambda: [line, line],
        lambda: [],
        lambda: [line + b"x" * 1_000_000],
        lambda: [line.replace(b",", b";").replace(b"\t", b",")],
    )
    lines[place : place + 1] = rng.choice(ways)()
    return b"\n".join(lines)


def in_zip(data, rng):
    """An archive of which one member is damaged or has wrong content, with right checksums; or is
    called, packed or encrypted otherwise."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    way = rng.randrange(5)
    if way == 0:
        del members[name]
    elif way == 1:
        members[rng.choice(["../x", "/tmp/x", "é\0", name.upper()])] = members.pop(name)
    elif way < 4:
        change = in_json if members[name][:1] in (b"{", b"[") else damaged
        members[name] = change(members[name], rng)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", rng.choice([0, zipfile.ZIP_DEFLATED])) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return target.getvalue() if way < 4 else _otherwise_packed(target.getvalue(), rng)


def _otherwise_packed(data, rng):
    """With another kind of compression, or encrypted, by both headers of the first member."""
    changed = bytearray(data)
    offset, value = rng.choice([(6, 1), (8, 12), (8, 14), (8, 99)])
    for mark, more in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
        struct.pack_into("<H", changed, data.index(mark) + offset + more, value)
    return bytes(changed)


def in_parquet(data, rng):
    """A table with other metadata or another column, with right checksums."""
    table = pq.read_table(io.BytesIO(data))
    metadata = dict(table.schema.metadata or {})
    if metadata and rng.random() < 0.5:
        key = rng.choice(sorted(metadata))
        metadata[key] = in_json(metadata[key], rng)
        table = table.replace_schema_metadata(metadata)
    else:
        table = _other_column(table, rng)
    target = io.BytesIO()
    pq.write_table(table, target, write_page_checksum=True)
    return target.getvalue()


def _other_column(table, rng):
    place = rng.randrange(table.num_columns)
    name, column, count = table.column_names[place], table.column(place), table.num_rows
    ways = (
        lambda: table.remove_column(place),
        lambda: table.slice(0, 0),
        lambda: pa.concat_tables([table, table]),
        lambda: table.append_column(name, column),
        lambda: table.set_column(place, name, pa.nulls(count, column.type)),
        lambda: table.set_column(place, name, pa.nulls(count)),
        lambda: table.set_column(place, name, pa.array(["x"] * count)),
        lambda: table.set_column(place, name, pa.array([-1] * count)),
        lambda: table.set_column(place, name, pa.array([2**62] * count)),
        lambda: table.set_column(place, name, pa.array([[1.5] * n for n in range(count)])),
        lambda: table.set_column(place, name, pa.array([b"\xff"] * count)),
    )
    return rng.choice(ways)()


def in_safetensors(data, rng):
    """A file of arrays whose header says something else."""
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    ours = header.get("__metadata__", {})
    if "mar" in ours and rng.random() < 0.7:
        ours["mar"] = in_json(ours["mar"], rng).decode(errors="replace")
    else:
        header = of_value(header, rng)
    text = json.dumps(header).encode(errors="replace")
    return struct.pack("<Q", len(text)) + text + body
