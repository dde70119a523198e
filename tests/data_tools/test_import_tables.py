"""``data import`` of tables with labels."""

import json
import sys
from pathlib import Path

import pytest

from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.dataset import load
from tests.data_tools.conftest import Run, Write, rows_of

CSV = 'text,label,who\nTranslate hello,easy,a\n"Prove,\nthat it halts",hard,b\n'


def test_a_table_becomes_a_data_file_that_training_reads(run: Run, write: Write, tmp_path: Path) -> None:
    """Columns and tiers have the source's names; a quoted cell may hold commas and lines."""
    path = write("mine.csv", CSV)
    names = (
        "--prompt-column",
        "text",
        "--tier-column",
        "label",
        "--group-column",
        "who",
        "--tier-name",
        "easy=bulk",
        "--tier-name",
        "hard=complex",
    )

    status, out, _ = run("import", "csv", path, "--out", "rows.jsonl", *names)

    assert status == 0
    assert "2 rows, 0 of them to label; 0 records could not be converted" in out
    first, second = load([tmp_path / "rows.jsonl"], DEFAULT_LADDER)
    assert (first.tier, first.ask.text, first.group) == (0, "Translate hello", "a")
    assert (second.tier, second.ask.text, second.group) == (3, "Prove,\nthat it halts", "b")


def test_every_record_that_cannot_be_converted_is_listed(run: Run, write: Write, tmp_path: Path) -> None:
    """Rows in and rows out add up: the rest is in --rejects, with its line and its reason."""
    path = write("mine.csv", 'prompt,tier\none,bulk\ntwo,huge\n,bulk\nfour\n one  ,complex\n"five\nlines",\nsix,Standard\n')

    status, out, _ = run("import", "csv", path, "--out", "rows.jsonl", "--rejects", "rejects.jsonl")

    assert status == 0
    assert "3 rows, 1 of them to label; 4 records could not be converted" in out
    assert [(row["prompt"], row.get("tier")) for row in rows_of(tmp_path / "rows.jsonl")] == [
        ("one", "bulk"),
        ("five\nlines", None),
        ("six", "standard"),
    ]
    rejects = rows_of(tmp_path / "rejects.jsonl")
    assert [reject["line"] for reject in rejects] == [3, 4, 5, 6]
    assert "unknown tier 'huge'; expected one of bulk, structured, standard, complex" in rejects[0]["reason"]
    assert rejects[1]["reason"] == "column 'prompt' is empty"
    assert rejects[2]["reason"] == "holds 1 cells; the header has 2"
    assert rejects[3]["reason"] == f"duplicate of {path}:2"


def test_tabs_and_json_lines_are_read_too(run: Run, write: Write, tmp_path: Path) -> None:
    """TSV goes like CSV; JSON lines keep messages, slices and acceptable tiers."""
    tsv = write("mine.tsv", "id\tprompt\ttier\tslices\n7\ta, b\tbulk\tlong|code\n")
    messages = [{"role": "user", "content": "hi"}]
    jsonl = write("mine.jsonl", {"id": "x", "chat": messages, "tier": "bulk", "acceptable": ["structured"], "slices": ["typo"]})

    assert run("import", "tsv", tsv, "--out", "a.jsonl")[0] == 0
    assert run("import", "jsonl", jsonl, "--out", "b.jsonl", "--messages-column", "chat")[0] == 0

    assert rows_of(tmp_path / "a.jsonl") == [{"id": "7", "prompt": "a, b", "tier": "bulk", "slices": ["long", "code"]}]
    assert rows_of(tmp_path / "b.jsonl") == [
        {"id": "x", "messages": messages, "tier": "bulk", "slices": ["typo"], "acceptable": ["structured"]}
    ]


def test_parquet_goes_like_csv(run: Run, tmp_path: Path) -> None:
    """Empty cells of Parquet are nothing, not text."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"prompt": ["one", "two", None], "tier": ["bulk", None, "complex"]}), tmp_path / "mine.parquet")

    status, out, _ = run("import", "parquet", "mine.parquet", "--out", "rows.jsonl", "--json")

    assert status == 0
    assert [(row["prompt"], row.get("tier")) for row in rows_of(tmp_path / "rows.jsonl")] == [("one", "bulk"), ("two", None)]
    report = json.loads(out)
    assert (report["rows"], report["to_label"], report["tiers"], report["rejects"][0]["line"]) == (2, 1, {"bulk": 1}, 3)


def test_parquet_without_pyarrow_names_the_extra(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing optional library is one line that says how to get it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    status, _, err = run("import", "parquet", write("mine.parquet", b"PAR1"), "--out", "rows.jsonl")

    assert status == 2
    assert "install it with: pip install 'learnedrouter[parquet]'" in err


@pytest.mark.parametrize(
    ("format", "name", "content", "options", "problem"),
    [
        ("excel", "a.csv", CSV, (), "format 'excel': expected one of csv, tsv, jsonl, parquet, openai-log"),
        ("csv", "a.csv", "", (), "a.csv: is empty; expected a header and rows"),
        ("csv", "a.csv", "prompt,tier\n", (), "a.csv: nothing could be converted of 0 records"),
        ("csv", "a.csv", CSV, (), "a.csv:2: column 'prompt' is not there; the columns are 'text', 'label', 'who'"),
        (
            "csv",
            "a.csv",
            CSV,
            ("--prompt-column", "text", "--tier-column", "tier"),
            "a.csv:2: column 'tier' is not there; the columns are 'text'",
        ),
        ("csv", "a.csv", "a,a\n1,2\n", (), "a.csv:1: the header names 'a' more than once"),
        ("csv", "a.csv", b"prompt\nfine\ncaf\xe9\n", (), "a.csv:3: not UTF-8: byte 0xe9; save the file in UTF-8"),
        ("csv", "a.csv", 'prompt\n"never closed\n', (), "a.csv:2: not CSV: unexpected end of data"),
        ("jsonl", "a.jsonl", "[1]\n{", (), "a.jsonl: nothing could be converted of 2 records; the first: "),
        ("jsonl", "a.jsonl", "", (), "a.jsonl: nothing could be converted of 0 records"),
        ("jsonl", "a.jsonl", '{"messages": []}', (), "messages: is empty"),
        ("parquet", "a.parquet", "no parquet", (), "a.parquet: not Parquet"),
        ("csv", "a.csv", CSV, ("--tier-name", "easy"), "--tier-name 'easy': expected NAME=TIER"),
        ("csv", "a.csv", CSV, ("--tier-name", "easy=tiny"), "unknown tier 'tiny': expected one of bulk"),
        ("csv", "a.csv", CSV, ("--model-tier", "m=bulk"), "format 'csv': --model-tier is for openai-log, anthropic-log"),
        ("openai-log", "a.jsonl", "{}", ("--prompt-column", "x"), "format 'openai-log': columns and --tier-name are for csv"),
        ("csv", "a.csv", CSV, ("--prompt-column", "text", "--messages-column", "text"), "expected one of them, a request is either"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_clear_error(
    run: Run, write: Write, tmp_path: Path, format: str, name: str, content: str | bytes, options: tuple[str, ...], problem: str
) -> None:
    """Exit status 2, one line that names file, value and what was expected; and no data file."""
    status, out, err = run("import", format, write(name, content), "--out", "rows.jsonl", *options)

    assert (status, out) == (2, "")
    assert problem in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "rows.jsonl").exists()


def test_nothing_is_overwritten(run: Run, write: Write) -> None:
    """A data file that is there may be somebody's work; the import refuses, and leaves it alone."""
    source, mine = write("mine.csv", "prompt\none\n"), write("rows.jsonl", "precious\n")

    status, _, err = run("import", "csv", source, "--out", mine)

    assert status == 2
    assert "exists already; import never overwrites" in err
    assert mine.read_text() == "precious\n"
    assert "no such" not in run("import", "csv", "gone.csv", "--out", "new.jsonl")[2]
    assert (
        "gone.csv: cannot be read (No such file or directory); expected a file" in run("import", "csv", "gone.csv", "--out", "new.jsonl")[2]
    )
