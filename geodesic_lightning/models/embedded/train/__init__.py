"""How the shipped model was made: drawings, autoencoder, denoiser, pairs and clips. No run needs it."""
