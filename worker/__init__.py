"""Results out: a complete series is read, analysed, encoded and delivered."""
