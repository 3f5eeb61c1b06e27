"""Inputs that a broken or hostile peer may send, found by a coverage-guided fuzzer (atheris): `make fuzz`."""
