"""What the chapters measure on models: small runs of one objective, and what embeddings have learned.

``alone`` trains one objective by itself and reads its bound; ``neighbours`` looks for nearest items and attributes.
Both are for chapters 04 to 07, which import them from this folder, where their kernel runs.
"""
