"""``make fuzz``: what no honest peer sends, beside a real sender, and what became of the node and of the reader."""
