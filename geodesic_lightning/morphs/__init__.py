"""Ways to decode a path that other morphs brought up; they go with any path.

attention.py   attention of the frames mixed from that of the two ends (AID, DiffMorpher)
adain.py       channel statistics of a frame's latent those between the ends' (DiffMorpher)
lora.py        low-rank weights fitted to each image, mixed along the path (DiffMorpher, IMPUS)
decoder.py     the decoder that puts them together, with classifier-free guidance
coefficients.py  NoiseDiffusion's path between noisy latents
"""
