"""Where slices lie: stacks, spacing, and every reason not to measure them."""
