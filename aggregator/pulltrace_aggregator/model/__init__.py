"""Values of the aggregator: cluster objects, answers of exporters, and the published view. Pure."""
