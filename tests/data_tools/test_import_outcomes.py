"""``data import`` of tables of outcomes, in the shapes in which they are published."""

import json
from pathlib import Path

import pytest

from tests.data_tools.conftest import Run, Write, rows_of


def test_routerbench(run: Run, write: Write, tmp_path: Path) -> None:
    """A model is a column with its cost or answer beside it; a prompt may stand there as the text of a list."""
    columns = [column for model in ("gpt-4", "small") for column in (model, f"{model}|model_response", f"{model}|total_cost")]
    header = ",".join(["sample_id", "prompt", "eval_name", *columns, "oracle_model_to_route_to"])
    path = write(
        "rb.csv",
        f"{header}\n"
        "mmlu.1,\"['What is 2+2?']\",mmlu,1.0,four,0.002,0.0,five,0.0001,gpt-4\n"
        "mt.1,\"['Write a poem.', 'Now shorter.']\",mt-bench,0.9,x,0.01,,,,gpt-4\n"
        "bad.1,[not a list],x,7,x,0.1,0,x,0.1,small\n",
    )

    status, out, _ = run("import", "routerbench", path, "--out", "o.jsonl", "--json")

    assert status == 0
    assert rows_of(tmp_path / "o.jsonl") == [
        {
            "id": "mmlu.1",
            "prompt": "What is 2+2?",
            "outcomes": {"gpt-4": 1.0, "small": 0.0},
            "family": "mmlu",
            "costs": {"gpt-4": 0.002, "small": 0.0001},
        },
        {
            "id": "mt.1",
            "prompt": "Write a poem.\n\nNow shorter.",
            "outcomes": {"gpt-4": 0.9},
            "family": "mt-bench",
            "costs": {"gpt-4": 0.01},
        },
    ]
    report = json.loads(out)
    assert (report["models"], report["to_label"]) == ({"gpt-4": 2, "small": 1}, 0)
    assert report["rejects"] == [
        {"path": str(path), "line": 4, "reason": "the score of 'gpt-4' is '7'; expected a number in [0, 1], or true or false"}
    ]


def test_routellm(run: Run, write: Write, tmp_path: Path) -> None:
    """MMLU's files hold True and False a model; GSM8K's hold the answers as well, which are no models."""
    mmlu = 'prompt,mixtral,gpt-4\n"Is 1 < 2?\nA. yes\nB. no\nAnswer:",True,False\nsecond,False,\n'
    write("responses/mmlu_logic.csv", mmlu)
    write("responses/gsm8k_responses.csv", 'prompt,mixtral,gpt-4,mixtral_response,gpt-4_response\nTwo ducks?,False,True," no","yes, two"\n')

    assert run("import", "routellm", tmp_path / "responses", "--out", "o.jsonl")[0] == 0

    assert rows_of(tmp_path / "o.jsonl") == [
        {"id": "gsm8k-2", "prompt": "Two ducks?", "outcomes": {"mixtral": 0.0, "gpt-4": 1.0}, "family": "gsm8k"},
        {
            "id": "mmlu_logic-2",
            "prompt": "Is 1 < 2?\nA. yes\nB. no\nAnswer:",
            "outcomes": {"mixtral": 1.0, "gpt-4": 0.0},
            "family": "mmlu_logic",
        },
        {"id": "mmlu_logic-6", "prompt": "second", "outcomes": {"mixtral": 0.0}, "family": "mmlu_logic"},
    ]


def cached(index: str, model: str, score: float | None, **others: object) -> dict[str, object]:
    judged = None if score is None else {"score": score, "metric": "mcq_accuracy", "inference_cost": 0.001}
    return {"global_index": index, "question": f"Question {index}?", "llm_selected": model, "evaluation_result": judged, **others}


def test_routerarena_joins_the_models_of_a_query(run: Run, write: Write, tmp_path: Path) -> None:
    """A file a model, or a router's predictions: one row a query comes out, and what does not fit is listed."""
    write("arena/haiku.jsonl", cached("AIME_1", "haiku", 0.0), cached("AIME_2", "haiku", None), cached("AIME_1", "haiku", 1.0))
    predicted = {
        "global index": "AIME_1",
        "prompt": " Question  AIME_1?",
        "prediction": "gpt",
        "accuracy": 1.0,
        "cost": 0.02,
        "for_optimality": True,
    }
    write("arena/router.json", json.dumps([predicted, predicted | {"prompt": "Another?", "prediction": "x"}, 7]))

    status, out, _ = run("import", "routerarena", tmp_path / "arena", "--out", "o.jsonl", "--json")

    assert status == 0
    assert rows_of(tmp_path / "o.jsonl") == [
        {
            "id": "AIME_1",
            "prompt": "Question AIME_1?",
            "outcomes": {"haiku": 0.0, "gpt": 1.0},
            "family": "AIME",
            "costs": {"haiku": 0.001, "gpt": 0.02},
        }
    ]
    reasons = [reject["reason"] for reject in json.loads(out)["rejects"]]
    assert len(reasons) == 4
    assert reasons[0] == "expected 'score' or 'accuracy', found none that is filled"
    assert reasons[1].startswith("a score of 'haiku' for 'AIME_1' was read already")
    assert reasons[2].startswith("the prompt of 'AIME_1' differs from that at")
    assert reasons[3] == "expected a JSON object, found int"


def test_routerarena_as_a_flat_table(run: Run, write: Write, tmp_path: Path) -> None:
    """The same in CSV: a line a query and model."""
    path = write("arena.csv", "global_index,prompt,model,score,cost\nQ_1,Why?,a,1,0.1\nQ_1,Why?,b,0.5,0.2\n")

    assert run("import", "routerarena", path, "--out", "o.jsonl")[0] == 0

    (row,) = rows_of(tmp_path / "o.jsonl")
    assert (row["outcomes"], row["costs"]) == ({"a": 1.0, "b": 0.5}, {"a": 0.1, "b": 0.2})


@pytest.mark.parametrize(
    ("format", "name", "content", "problem"),
    [
        ("routerbench", "rb.pkl", "x", "is a pickle, which may run any code when it is read; save it as Parquet or CSV"),
        ("routerbench", "rb.xlsx", "x", "ends in '.xlsx'; expected one of csv, tsv, jsonl, json, parquet"),
        (
            "routerbench",
            "rb.csv",
            "prompt,a\nx,1\n",
            "no model has a column MODEL|total_cost beside its score; the columns are 'prompt', 'a'",
        ),
        ("routellm", "r.csv", "question,a\nx,True\n", "expected a column 'prompt' and one a model; the columns are 'question', 'a'"),
        ("routellm", "r.csv", "prompt,a\nx,maybe\n", "the score of 'a' is 'maybe'; expected a number"),
        ("routellm", "r.csv", "prompt,a,b\nx,,\n", "no model has a score; expected one of 'a', 'b'"),
        ("routerarena", "a.json", "{}", "expected a JSON array of objects, found dict"),
        ("routerarena", "a.csv", "global_index,prompt,model,score,cost\nQ,x,a,1,-3\n", "the cost of 'a' is '-3'; expected USD, at least 0"),
        ("routerarena", "a.jsonl", '{"prompt": "x"}', "expected 'global_index' or 'global index'"),
    ],
)
def test_a_table_that_is_something_else_is_one_clear_error(
    run: Run, write: Write, tmp_path: Path, format: str, name: str, content: str, problem: str
) -> None:
    """What does not have the shape is refused with what was found and what was expected; nothing is written."""
    status, out, err = run("import", format, write(name, content), "--out", "o.jsonl")

    assert (status, out) == (2, "")
    assert problem in err
    assert not (tmp_path / "o.jsonl").exists()


def test_an_empty_folder_is_one_clear_error(run: Run, tmp_path: Path) -> None:
    """A folder without a file that can be read says which endings can be."""
    (tmp_path / "nothing").mkdir()

    assert "holds no file that can be read; expected one that ends in csv" in run("import", "routellm", "nothing", "--out", "o.jsonl")[2]
