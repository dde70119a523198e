import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from learnedrouter.config import Settings
from learnedrouter.errors import LearnedRouterError
from learnedrouter.service.app import create_app


def fail(error: LearnedRouterError) -> None:
    raise AssertionError(error)


def wait_until_ready(client: TestClient) -> None:
    for _ in range(200):
        if client.get("/readyz").status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError("not ready after ten seconds")


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[TestClient]:
    """The service, offline, ready; one for all tests that leave no trace in it."""
    with TestClient(create_app(settings, fail), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client
