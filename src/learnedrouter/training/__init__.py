"""From labelled prompts to an artefact. Nothing here is imported by the service."""
