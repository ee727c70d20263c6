"""Items: the example to copy for a feature of your own, and then to delete."""
