"""The recording: facts, opinions and wishes of trainings in one SQLite file (numpy and sqlite3 only)."""
