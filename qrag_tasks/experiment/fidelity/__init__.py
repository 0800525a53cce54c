"""How near an arm's distributions are to its base's, token by token, where scores are too blunt."""
