"""Other people's files, converted into the two documented forms: labelled rows and outcomes.

One file per source format turns records into rows; `records` reads files, `convert` checks and writes.
What cannot be converted becomes a `DatasetError` that is handed on beside the rows, never raised on the way.
"""
