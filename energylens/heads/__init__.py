"""What attention heads are like and how much they matter, on a network's own task."""

from energylens.heads.gaps import HeadGaps, head_gaps
from energylens.heads.prompts import PROMPTS, HeadPrompts, head_prompts
from energylens.heads.study import HeadStudy, study_heads

__all__ = ["PROMPTS", "HeadGaps", "HeadPrompts", "HeadStudy", "head_gaps", "head_prompts", "study_heads"]
