"""What changed between two trees: pure rules over nodes that a caller fetches."""
