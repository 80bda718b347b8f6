"""Claims and conditions, units and intervals, controls to be beaten, doubts, the verdict."""
