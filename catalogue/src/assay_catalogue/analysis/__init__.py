"""Analysis: sampling of a loss landscape, plateaus, matchings and schedules of evaluations."""
