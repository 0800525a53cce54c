"""From answers to scores: what an answer says, and how good that is."""
