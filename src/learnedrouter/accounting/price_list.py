"""Prices by model, from a configuration or from a list of their own."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from learnedrouter.config import Settings, load_settings
from learnedrouter.errors import InputError
from learnedrouter.price_settings import PriceSettings
from learnedrouter.pricing import Price

Model = TypeVar("Model", bound=BaseModel)


class _PriceFile(BaseModel):
    """A price list: ``[prices.MODEL]`` with the keys that a price in router.toml has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prices: dict[str, PriceSettings]


def load_prices(path: Path) -> dict[str, Price]:
    """Return the prices that `path` states: a router.toml, or a price list (``[prices.MODEL]``).

    Models of a router.toml whose price is unknown are not in it.

    Raises
    ------
    InputError
        It is neither; names the file and the key.
    """
    content = read_toml(path)
    if "prices" not in content:
        return configured_prices(load_settings(path))
    return {name: stated.price(path.name) for name, stated in validated(_PriceFile, content, path).prices.items()}


def configured_prices(settings: Settings) -> dict[str, Price]:
    """Return the prices of the configured models, where they are known."""
    return {name: price for name in settings.models if (price := settings.price(name))}


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds, its numbers exact.

    Raises
    ------
    InputError
        It is missing, or no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; expected a TOML file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not TOML ({error})") from error


def validated(kind: type[Model], content: Mapping[str, Any], path: Path) -> Model:
    """Return `content`, the whole of the file `path`, as a `kind`.

    Raises
    ------
    InputError
        A key is unknown or missing, or holds something else than it must; names the first such key.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}") from error
