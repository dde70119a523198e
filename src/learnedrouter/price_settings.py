"""Prices as configuration files state them."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from learnedrouter.pricing import Price, Step

Usd = Annotated[Decimal, Field(ge=0)]


class RateSettings(BaseModel):
    """Prices in USD per million tokens; what None means, `pricing.Price` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_mtok: Usd
    output_mtok: Usd
    cache_read_mtok: Usd | None = None
    cache_write_mtok: Usd | None = None
    cache_write_1h_mtok: Usd | None = None


class StepSettings(RateSettings):
    """What holds for every token of a request with more input than this, cached tokens included."""

    over_input_tokens: Annotated[int, Field(gt=0)]


class PriceSettings(RateSettings):
    """A model's price, whence and of when it is, and the prices of longer requests, shortest first."""

    source: str = ""
    as_of: date | None = None
    steps: tuple[StepSettings, ...] = ()

    @model_validator(mode="after")
    def _steps_rise(self) -> "PriceSettings":
        edges = [step.over_input_tokens for step in self.steps]
        if edges != sorted(set(edges)):
            raise ValueError(f"steps: over_input_tokens {edges}: expected each above the one before it")
        return self

    def price(self, where: str) -> Price:
        """Return the price that these settings, which stand in the file `where`, state."""
        told = ", ".join(part for part in (self.source, str(self.as_of or "")) if part)
        source = f"{where} ({told})" if told else where
        steps = tuple(
            Step(step.over_input_tokens, Price(**step.model_dump(exclude={"over_input_tokens"}), source=source)) for step in self.steps
        )
        return Price(**self.model_dump(exclude={"source", "as_of", "steps"}), source=source, steps=steps)
