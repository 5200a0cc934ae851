from hypothesis import settings

# A shared machine may be slow at any moment; a property holds or not whatever the time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
