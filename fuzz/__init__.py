"""Fuzz targets: the laws of what reads untrusted bytes, for a coverage-guided fuzzer."""
