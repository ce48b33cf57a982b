"""What leaves a session: a self-contained HTML report, JUnit XML and CSV."""
