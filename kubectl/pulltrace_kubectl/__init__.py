"""`kubectl pulltrace`: how far the images of pods are, at the terminal. It reads `/v1/pulls`, and pods by kubectl."""
