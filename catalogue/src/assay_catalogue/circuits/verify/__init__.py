"""Explanations held to the model: by ablation, scrubbing, another implementation, adversarial
inputs and interchange."""
