import json
from pathlib import Path

import pytest

from learnedrouter.errors import DatasetError
from learnedrouter.tiers import DEFAULT_LADDER
from learnedrouter.training.dataset import load, read, split

GOOD = {"id": "a", "prompt": "translate hello", "tier": "bulk"}


def write(folder: Path, *lines: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({**GOOD, "id": "b", "tier": "bulky"}, "unknown tier 'bulky'; expected one of bulk, structured, standard, complex"),
        ({**GOOD, "id": "b", "tier": None}, "unknown tier None"),
        ({"id": "b", "prompt": "x"}, "unknown tier None"),
        ({**GOOD, "id": "b", "prompt": "  "}, "'prompt' is empty; expected text"),
        ({**GOOD, "id": "b", "prompt": 7}, "'prompt' is not a string"),
        ({"id": "b", "tier": "bulk"}, "expected either 'prompt' or 'messages', found neither"),
        ({**GOOD, "id": "b", "messages": []}, "expected either 'prompt' or 'messages', found both"),
        ({"id": "b", "tier": "bulk", "messages": []}, "messages: is empty"),
        ({"id": "b", "tier": "bulk", "messages": [{"role": "robot", "content": "x"}]}, r"messages\[0\].role: 'robot' is not one of"),
        ({"id": "b", "tier": "bulk", "messages": [{"role": "user", "content": 3}]}, r"messages\[0\].content: 3 is not an array"),
        ({**GOOD, "prompt": "another"}, "id 'a' stands at .*rows.jsonl:1 already"),
        ({**GOOD, "id": "b"}, "duplicate of .*rows.jsonl:1"),
        ({**GOOD, "id": "b", "prompt": " translate   hello\n"}, "duplicate of .*rows.jsonl:1"),
        ({**GOOD, "id": "b", "tier": "complex"}, "the same request is labelled otherwise at .*rows.jsonl:1"),
        ({**GOOD, "id": "", "prompt": "another"}, "'id' is ''; expected a string that is not empty"),
        ({**GOOD, "id": "b", "prompt": "another", "slices": "long"}, "'slices' is 'long'; expected a list of strings"),
        ({**GOOD, "id": "b", "prompt": "another", "acceptable": ["huge"]}, "unknown tier 'huge'"),
        ([1, 2], "expected a JSON object, found list"),
        (b'{"id": "b", ', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"id": "b", "prompt": "caf\xe9", "tier": "bulk"}', "not UTF-8: byte 0xe9 at 26"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(tmp_path: Path, line: object, problem: str) -> None:
    """Every fault has its own message, with file and line."""
    path = write(tmp_path, GOOD, line)

    with pytest.raises(DatasetError, match=problem) as caught:
        load([path], DEFAULT_LADDER)

    assert str(caught.value).startswith(f"{path}:2: ")


def test_all_problems_are_found_not_only_the_first(tmp_path: Path) -> None:
    """Reading goes on after a bad row; loading names the first and counts the others."""
    path = write(tmp_path, GOOD, b"nonsense", {**GOOD, "id": "c", "prompt": "z"}, [])

    rows, problems = read([path], DEFAULT_LADDER)

    assert [row.id for row in rows] == ["a", "c"]
    assert [problem.line for problem in problems] == [2, 4]
    with pytest.raises(DatasetError, match=r"\(and 1 more\)"):
        load([path], DEFAULT_LADDER)


@pytest.mark.parametrize(("make", "problem"), [(lambda p: p / "no.jsonl", "does not exist"), (lambda p: p, "holds no")])
def test_a_missing_file_is_named(tmp_path: Path, make: object, problem: str) -> None:
    """Neither a path that is not there nor an empty folder passes for no data."""
    with pytest.raises(DatasetError, match=problem):
        load([make(tmp_path)], DEFAULT_LADDER)  # type: ignore[operator]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """No rows are no data."""
    with pytest.raises(DatasetError, match="holds no rows"):
        load([write(tmp_path)], DEFAULT_LADDER)


def test_groups_never_part(tmp_path: Path) -> None:
    """However many rows a group has, they fall into one split; and adding rows moves none that was there."""
    rows = [
        {"id": f"{group}-{n}", "prompt": f"ask {group} {n}", "tier": "bulk", "group": str(group)} for group in range(200) for n in range(3)
    ]
    before = split(load([write(tmp_path, *rows)], DEFAULT_LADDER))
    after = split(load([write(tmp_path, *rows, GOOD)], DEFAULT_LADDER))

    homes = {name: {row.group for row in part} for name, part in before.items()}
    assert sum(map(len, homes.values())) == 200
    assert 110 < len(homes["train"]) < 170
    assert all({row.group for row in after[name]} - {"a"} == homes[name] for name in homes)


def test_file_names_fix_splits_and_a_group_across_them_is_refused(tmp_path: Path) -> None:
    """train.jsonl trains; a pair that straddles two such files would leak."""
    write(tmp_path, {**GOOD, "group": "g"}, name="train.jsonl")
    write(tmp_path, {**GOOD, "id": "b", "prompt": "another", "group": "g"}, name="test.jsonl")

    with pytest.raises(DatasetError, match=r"group 'g' is in train here and in test at .*test.jsonl:1"):
        split(load([tmp_path], DEFAULT_LADDER))
