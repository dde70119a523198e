"""From one dialect to the other: requests, whole answers, streams.

Only a crossing converts; what stays in its dialect goes through as it is. Three rules hold in both directions:

- what changes the answer and has no counterpart is refused by name, before any call; a top-level field never heard of too;
- what says only how the answer is to be made (caching, storing, priority, effort) is left behind;
- what is a provider's own and worthless to any other (thinking and its signatures) is left behind.
"""

from learnedrouter.dialects.anthropic_messages import strip_thinking
from learnedrouter.dialects.crossing.answers import answer_for
from learnedrouter.dialects.crossing.requests import body_for, cannot_cross
from learnedrouter.dialects.crossing.streams import StreamCrossing, stream_for

__all__ = ["StreamCrossing", "answer_for", "body_for", "cannot_cross", "stream_for", "strip_thinking"]
