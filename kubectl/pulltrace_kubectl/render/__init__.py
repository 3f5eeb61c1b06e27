"""How it is shown: tables and details as lines of text, JSON and YAML, and a picture that is redrawn in place."""
