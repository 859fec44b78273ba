"""Models beside the analysers: auditors through lenses, verifiers that attack, sweeps until dry, and their cost."""
