"""Results as people read them: in a terminal, and as one HTML file with its plots."""
