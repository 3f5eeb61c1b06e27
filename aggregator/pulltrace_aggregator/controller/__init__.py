"""The state machine of the aggregator: observations in, published views and counters out. Pure."""
