"""What a developer's machine needs to run the service; in neither the wheel nor the image."""
