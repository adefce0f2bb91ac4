"""Reviews: verdicts of people on events and windows, how they are kept, and what they give."""
