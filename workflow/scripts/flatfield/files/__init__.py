"""Files: tables, FITS, inventories of frames, the scratch folder; errors; what every job does."""
