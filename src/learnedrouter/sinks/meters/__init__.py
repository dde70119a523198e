"""What is measured, one noun a file. Labels hold what the configuration names, so that their number is bounded."""
