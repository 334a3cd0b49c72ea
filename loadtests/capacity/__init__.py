"""How much of what a rate needs: unit costs measured, a model of them, and its word on other rates."""
