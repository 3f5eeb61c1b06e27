"""HTTP pages and JSON of the aggregator."""
