"""Report: pages, tables and figures from stored results and records; nothing is computed anew."""
