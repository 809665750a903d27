"""What is shown of results: a table, a JSON file, a plot."""
