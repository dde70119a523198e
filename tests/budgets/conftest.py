from tests.ledger.conftest import settings

__all__ = ["settings"]
