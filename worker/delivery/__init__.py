"""Files go to a destination and come back as a receipt."""
