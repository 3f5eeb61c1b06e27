"""What the programs speak of, as values: pulls, image references, histograms, and the JSON of a node's report."""
