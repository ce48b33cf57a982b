"""The clinic: many sick and healthy trainings, and how well the rules tell them."""
