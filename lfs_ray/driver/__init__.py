"""What a command does: directories, a search from start to end, training, evaluation."""
