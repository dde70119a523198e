"""The wire formats of chat requests and answers, and the crossing between them."""
