"""A learned request router for LLM applications: the cheapest tier of model that will do."""

from importlib.metadata import version

__version__ = version("learnedrouter")
