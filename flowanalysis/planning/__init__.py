"""Plans: the fewest roles or service accounts that give exactly what is needed, and a checker that trusts no solver."""
