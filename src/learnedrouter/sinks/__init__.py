"""Where events go: one file a sink, each given the same event."""
