"""The application in this process, on the database that production uses."""
