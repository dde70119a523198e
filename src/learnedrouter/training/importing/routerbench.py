"""RouterBench's wide table (https://huggingface.co/datasets/withmartian/routerbench), saved as Parquet or CSV.

A row a prompt: ``sample_id``, ``prompt``, ``eval_name``, and for each model ``M`` the columns ``M`` (score),
``M|model_response`` and ``M|total_cost`` (USD). A prompt of several turns stands there as the text of a Python list.
"""

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from learnedrouter.errors import DatasetError
from learnedrouter.training.importing import outcomes
from learnedrouter.training.importing.records import Item, Record, each

_RESPONSE, _COST = "|model_response", "|total_cost"


def convert(items: Iterable[Item]) -> Iterator[Item]:
    """Yield an outcomes row a prompt."""
    return each(_row, items)


def _row(record: Record) -> Record:
    values = record.values
    models = [name for name in values if f"{name}{_COST}" in values or f"{name}{_RESPONSE}" in values]
    if not models:
        columns = ", ".join(map(repr, values))
        raise DatasetError(record.path, record.line, f"no model has a column MODEL{_COST} beside its score; the columns are {columns}")
    prompt = "\n\n".join(_turns(values.get("prompt")))
    return outcomes.row(
        record,
        str(values.get("sample_id") or f"routerbench-{record.line}"),
        outcomes.text(record, prompt, "prompt"),
        {model: values[model] for model in models},
        {model: values.get(f"{model}{_COST}") for model in models},
        str(values.get("eval_name") or "routerbench"),
    )


def _turns(prompt: Any) -> list[str]:
    """Return the turns of a prompt: of a list, or of the text of one; else the prompt itself."""
    if isinstance(prompt, str) and prompt.startswith("[") and prompt.endswith("]"):
        try:
            prompt = ast.literal_eval(prompt)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return [prompt]  # a prompt that merely begins with a bracket
    if isinstance(prompt, list):
        return [str(turn) for turn in prompt]
    return [prompt] if isinstance(prompt, str) else []
