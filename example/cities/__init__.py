"""The gazetteer's one app: cities, their countries, and the tasks that bring them in."""
