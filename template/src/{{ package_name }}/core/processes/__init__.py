"""Several processes behind one port: supervision and shared metrics."""
