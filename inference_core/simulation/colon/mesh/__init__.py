"""The colon's wall as a triangle mesh: files, checks and repairs, label maps."""
