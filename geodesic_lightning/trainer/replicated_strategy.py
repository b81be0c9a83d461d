"""Lightning's strategy for several processes that all hold the same path."""

from lightning.pytorch.strategies import DDPStrategy

from geodesic_lightning.errors import UserError

TAKEN = ("auto", "ddp")


class Replicated(DDPStrategy):
    """DDP without its wrapper around the module.

    Every process has all scores (parallel.shared) and so takes the very same step: there are no
    gradients to average. The wrapper would also hold on to the shape that the nodes had at first,
    which changes from level to level.
    """

    def configure_ddp(self) -> None:
        """The module stays itself."""


def strategy(name: str) -> Replicated:
    """The strategy for several processes by its name in the configuration.

    Raises:
        UserError: a strategy that would shard the path, or start its processes itself.
    """
    if name not in TAKEN:
        raise UserError(
            f"trainer.strategy: got {name!r} with several devices, expected one of {', '.join(TAKEN)}: a "
            "path is a few kB, and every process holds it whole."
        )
    return Replicated()
