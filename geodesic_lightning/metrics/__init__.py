"""What a morph is measured by, each by the name of its protocol, since every paper has its own.

    ppl_diffmorpher   Σ LPIPS of neighbouring frames                           low: short
    ppl_impus         LPIPS/ε² at random places                                low: smooth
    pdv               variance of neighbours' LPIPS                            low: even
    aid_smoothness    1 − Gini of neighbours' LPIPS                            high: even
    aid_consistency   mean LPIPS of neighbours                                 low: consistent
    fid_inputs        Fréchet distance of the frames' features and the inputs' low: near the inputs
    crossfade         how far a blend of the ends explains the frames          low: no double picture
    end_fidelity      PSNR of the decoded ends against the given images, dB    high
    seam              first and last step over those beside them               1: no pop at the ends
    lightness         darkest frame's mean L* over the darker end's            ≥ 1: no dark middle
    flicker           share of the details' changes that is taken back         low
    ppl_independent, pdv_independent, seam_independent: as their namesakes, by metrics.independent
    topiq             no-reference quality (pyiqa)                             high
    log_density       mean along the path, nats relative to its start          high: likely
    residual          mean geodesic residual, radians over the whole path      low: a geodesic

"LPIPS" is whatever `perceptual=` measures by, in the form of LPIPS; `metrics.independent` is a network
trained on photographs, that neither drew the frames nor chose their places.
"""

from geodesic_lightning.metrics.measures import PROTOCOLS, Measures

__all__ = ["PROTOCOLS", "Measures"]
