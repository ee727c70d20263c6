"""The proof of the code that the template owns in a service; see __main__.py."""
