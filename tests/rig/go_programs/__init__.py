"""Programs that are built once from pinned Go modules, and kept outside the checkout."""
