"""What attention heads are like and how much they matter, on a network's own task."""

from energylens.families.spectral.gaps import HeadGaps, head_gaps
from energylens.families.spectral.head_prompts import PROMPTS, HeadPrompts, head_prompts
from energylens.families.spectral.head_study import HeadStudy, study_heads

__all__ = ["PROMPTS", "HeadGaps", "HeadPrompts", "HeadStudy", "head_gaps", "head_prompts", "study_heads"]
