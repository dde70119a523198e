"""``python -m learnedrouter``."""

from learnedrouter.cli import main

main()
