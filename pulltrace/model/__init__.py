"""What both programs speak of: pulls, image references, and their JSON form. Values only."""
