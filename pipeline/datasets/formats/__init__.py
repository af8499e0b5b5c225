"""Reads the file formats that datasets come in: bytes in, arrays out, no code executed."""
