"""The adapter to the Kubernetes API: list and watch, decoded at once to the few fields that are used.

Three layers, each of which knows only the one below: `client` makes one request, `listwatch` lists and then watches
until something ends it, `reflector` repeats that with pauses. Only `access` knows the `kubernetes` package.
"""
