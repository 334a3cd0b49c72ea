"""What dies, hangs, jumps and floods, and what it may cost: see docs/guarantees.md."""
