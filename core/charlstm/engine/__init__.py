"""Everything that computes with torch. The package itself imports nothing."""
