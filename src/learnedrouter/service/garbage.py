"""When garbage is collected: not while the service starts, and never among what it made then.

A start makes a million objects, nearly all of them the SDKs' types, and nearly all of them stay. Looking through them for
cycles takes a third of the start, and would later take a tenth of the service's time.
"""

import gc


def collect_nothing_yet() -> None:
    """Switch collection off until the service is ready."""
    gc.disable()


def collect_from_now_on() -> None:
    """Collect what is made from now on; what is there already stays."""
    gc.freeze()
    gc.enable()
