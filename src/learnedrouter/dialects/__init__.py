"""The wire formats of chat requests and answers, and the crossing between them.

``openai_chat`` and ``anthropic_messages`` read requests and whole answers; ``openai_stream`` and ``anthropic_stream`` take
streams apart into ``pieces``, which ``streams`` adds up; ``crossing`` writes in the other dialect; ``error_shapes`` and
``sse`` are what HTTP sees. Nothing here does any I/O.
"""
