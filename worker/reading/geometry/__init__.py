"""The geometry of slices: their placement, stacks and spacing, and every reason not to measure them."""
