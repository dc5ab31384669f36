"""The flood simulator: full shallow water on the city."""
