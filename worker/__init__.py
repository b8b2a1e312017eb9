"""Makes results of a complete series: it is read, analysed, encoded and delivered."""
