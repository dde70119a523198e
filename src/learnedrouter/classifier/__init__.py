"""From an ask to the sufficiency of each tier: encoder, features, head, and the artefact that holds them."""
