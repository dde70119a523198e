from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from learnedrouter.config import Settings
from learnedrouter.service.app import create_app
from tests.service.running import Running, fail, running, wait_until_ready


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[TestClient]:
    """The service, offline, ready; one for all tests that leave no trace in it."""
    with TestClient(create_app(settings, fail), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Running]:
    """The service in front of the upstream provider, as it is configured where a module asks for nothing else."""
    with running(settings) as service:
        yield service
