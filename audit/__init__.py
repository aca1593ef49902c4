"""What an auditor runs: every rule pack over both stages, and the proof that the packs would notice a mistake."""
