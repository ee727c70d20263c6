"""Items: the example to copy for your own feature, and then to delete."""
