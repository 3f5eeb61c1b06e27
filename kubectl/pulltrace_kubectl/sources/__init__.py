"""The adapters: kubectl as a child process, and HTTP by way of `requests`."""
