"""Recording and alerting rules from one table, with their thresholds and durations as parameters."""
