"""What a push costs; every figure stands next to its floor from the same run. Nothing here is part of the tests."""
