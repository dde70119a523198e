"""The OpenAPI description, tried from end to end: nothing that fits it, and nothing that does not, makes the service fail."""

from collections.abc import Iterator

import httpx2
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from schemathesis.generation import GenerationMode

from learnedrouter.config import Settings
from tests.service.running import Running, chat, running

WITH_INPUT = (
    ("POST", "/route"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/readyz"),
)
CASES = [(method, path, mode) for method, path in WITH_INPUT for mode in GenerationMode] + [("GET", "/v1/models", GenerationMode.POSITIVE)]


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Running]:
    with running(settings, client_keys=()) as service:
        yield service


def test_every_header_of_an_answer_is_described(service: Running) -> None:
    """And every header that a caller may send."""
    paths = httpx2.get(f"{service.url}/openapi.json").json()["paths"]
    told = {"x-learnedrouter-max-tier": "bulk", "x-learnedrouter-tags": "a=b"}
    answer = httpx2.post(f"{service.url}/v1/chat/completions", json=chat("2+2?", "auto"), headers=told)

    described = paths["/v1/chat/completions"]["post"]
    headers = {name for name in answer.headers if name.startswith("x-learnedrouter-")}
    assert len(headers) >= 9
    assert headers <= described["responses"]["200"]["headers"].keys()
    assert told.keys() <= {parameter["name"] for parameter in described["parameters"]}


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_no_request_makes_it_fail(service: Running, method: str, path: str, mode: GenerationMode) -> None:
    """Whatever is sent, right or wrong by the description, the answer is no 500."""
    schema = schemathesis.openapi.from_dict(httpx2.get(f"{service.url}/openapi.json").json())
    statuses: set[int] = set()

    @hypothesis.settings(max_examples=25, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(schema[path][method].as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case) -> None:
        response = case.call(base_url=service.url)
        statuses.add(response.status_code)
        assert response.status_code != 500, response.text

    call()
    assert statuses
