"""The score ∇log p of noisy latents: fields made of noise predictions, and the prompts along the path."""
