"""Ways to decode a path that other morphs brought up, and their paths; decoders go with any path.

    attention.py     attention of the frames mixed from that of the ends (AID, DiffMorpher, FreeMorph)
    lora.py          low-rank weights fitted to each image, mixed along the path (DiffMorpher, IMPUS)
    null_text.py     unconditional embeddings with which guidance gives the images back (Smooth Diffusion)
    decoder.py       the decoder that puts them together, with classifier-free guidance
    coefficients.py  NoiseDiffusion's path between noisy latents
    freemorph.py     FreeMorph's path, whose frames are inverted together

conf/solver/ names the recipes that are made of them; docs/morphs.md has their sources.
"""
