"""Writes what is generated of the Helm chart and of the plain manifests; `make chart` runs it."""
