"""The ledger: one row for each request, in a database, committed before the request is answered."""
