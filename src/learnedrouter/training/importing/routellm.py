"""RouteLLM's evaluation files (https://github.com/lm-sys/RouteLLM, routellm/evals): one CSV, or the folder of them.

``mmlu/responses/mmlu_<subject>.csv`` has ``prompt`` and a column a model with True or False; ``gsm8k/gsm8k_responses.csv``
has beside them each model's answer in ``<model>_response``.
"""

from collections.abc import Iterable, Iterator

from learnedrouter.errors import DatasetError
from learnedrouter.training.importing import outcomes
from learnedrouter.training.importing.records import Item, Record, each

_RESPONSE = "_response"


def convert(items: Iterable[Item]) -> Iterator[Item]:
    """Yield an outcomes row a prompt; the file's name is its family."""
    return each(_row, items)


def _row(record: Record) -> Record:
    values = record.values
    models = [name for name in values if name.strip() and name != "prompt" and not name.endswith(_RESPONSE)]
    if "prompt" not in values or not models:
        columns = ", ".join(map(repr, values))
        raise DatasetError(record.path, record.line, f"expected a column 'prompt' and one a model; the columns are {columns}")
    family = record.path.stem.removesuffix("_responses")
    prompt = outcomes.text(record, values["prompt"], "prompt")
    return outcomes.row(record, f"{family}-{record.line}", prompt, {model: values[model] for model in models}, {}, family)
