"""Calling models through their providers' SDKs; one SDK a file."""
