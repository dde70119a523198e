"""Budgets: what a request may cost is reserved before the first provider is called, and settled with what it cost."""
