"""Measuring frames, masters and lights: noise, light source, models, dust, stars, causes of what is not even."""
