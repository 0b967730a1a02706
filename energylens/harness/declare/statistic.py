"""How the measurements of several seeds become one estimate with a 90 % interval.

The unit of analysis is the training seed. A statistic sees the measurements of one (claim, model, variant),
in seed order, and returns an interval for one part of the claim.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from energylens.errors import InputError
from energylens.harness.declare.measurement import Measurement
from energylens.harness.declare.reach import Reach, by_correlation, by_hits, by_interval
from energylens.harness.declare.region import Region

if TYPE_CHECKING:
    import numpy as np

    from energylens.stats import Interval

Arrays = Mapping[str, "np.ndarray"]
PairFunction = Callable[[Arrays, Arrays], float]


@dataclass(frozen=True)
class Summary:
    """Estimate of one part: its interval, and for pairwise statistics the seed-by-seed matrix behind it.

    on_scale: the numbers whose mean is the estimate, on the interval's scale: one per seed, or the matrix. Paired
    differences are taken of them; without them a claim is compared with its nulls by their words alone.
    """

    interval: "Interval"
    pairs: "np.ndarray | None" = None
    on_scale: "np.ndarray | None" = None


class Statistic(Protocol):
    """Turns measurements (one per seed, same order as the seeds) into the estimate of one part.

    A statistic may also have `reaches(region, n) -> Reach`, which tells the words that n seeds can reach.
    """

    @property
    def describes(self) -> str:
        """Estimate and interval in a few words, for the report and the ledger."""

    def summarise(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """The estimate of one part, with its interval."""


@dataclass(frozen=True)
class Mean:
    """Mean over seeds with Student's t interval, n - 1 degrees of freedom."""

    describes: str = "mean over seeds, t interval"

    def summarise(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """See `Statistic`."""
        return _mean_of(_values(part, measurements))

    def reaches(self, region: Region, n: int) -> Reach:
        """Reach of the mean: both words with two seeds or more."""
        return by_interval(region, n, fewest=2)


@dataclass(frozen=True)
class FisherZ:
    """Mean over seeds of Fisher's z = atanh r, one correlation r per seed, t interval, carried back by tanh.

    points: name of the number, `beside` each measurement, that counts the points behind r ("heads"). The bias
    r / (2 (points - 1)) of z, which favours large r near a boundary, is then subtracted: name it wherever r is over
    fewer than some 50 points. Nulls with a body of their own give it too. |r| = 1 counts as 1 - 1e-6
    (`energylens.stats.scale`).
    ranks: r is Spearman's; 1 then counts as halfway between 1 and the next value that so many points allow.
    """

    points: str = ""
    ranks: bool = False

    @property
    def describes(self) -> str:
        """See `Statistic`."""
        bias = f", corrected for the bias of r over so many {self.points}" if self.points else ""
        ranks = " of rank correlations" if self.ranks else ""
        return f"mean over seeds of Fisher's z{ranks}{bias}, t interval"

    def summarise(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """See `Statistic`. Raises InputError, naming the part, for |r| > 1 or a number of points below 4."""
        from energylens.stats import fisher_z, fisher_z_interval

        with _naming(part):
            points = _beside(self.points, measurements) if self.points else None
            r = _values(part, measurements)
            z = fisher_z(r, points, self.ranks)
            return Summary(fisher_z_interval(r, points, ranks=self.ranks), on_scale=z)

    def expected(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """Summary of an exact null: an expected correlation has no bias to subtract."""
        return FisherZ().summarise(part, measurements)

    def reaches(self, region: Region, n: int) -> Reach:
        """Reach of correlations: values between -1 and 1, with two seeds or more; few ranks can't get near the ends."""
        return by_correlation(region, n, self.points if self.ranks else "")


@dataclass(frozen=True)
class GeometricMean:
    """Geometric mean over seeds of a ratio above 0: t interval of the logarithms, carried back by exp."""

    describes: str = "geometric mean over seeds, t interval of the logarithms"

    def summarise(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """See `Statistic`. Raises InputError, naming the part, for a ratio of 0 or less."""
        import numpy as np

        from energylens.stats import geometric_interval

        with _naming(part):
            ratios = _values(part, measurements)
            return Summary(geometric_interval(ratios), on_scale=np.log(ratios))

    def reaches(self, region: Region, n: int) -> Reach:
        """Reach of a ratio: values above 0, with two seeds or more."""
        return by_interval(region, n, fewest=2, low=0.0, why="ratios lie above 0")


@dataclass(frozen=True)
class HitRate:
    """Share of seeds whose value is 1 (0 otherwise), with the exact Clopper-Pearson interval."""

    describes: str = "hit rate over seeds, Clopper-Pearson interval"

    def summarise(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """See `Statistic`."""
        import numpy as np

        from energylens.stats import clopper_pearson

        values = _values(part, measurements)
        if set(values) - {0.0, 1.0}:
            raise InputError(f"a hit rate needs values 0 or 1 per seed, part {part!r} gave {values}")
        return Summary(clopper_pearson(int(sum(values)), len(values)), on_scale=np.array(values))

    def expected(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """Summary of an exact null: its rate on every seed, an expectation in [0, 1] and no hit or miss."""
        values = _values(part, measurements)
        outside = [value for value in values if not 0 <= value <= 1]
        if outside:
            raise InputError(f"an expected rate lies between 0 and 1, part {part!r} gave {outside[0]:g}")
        return _mean_of(values)

    def reaches(self, region: Region, n: int) -> Reach:
        """Reach of a hit rate over all numbers of hits."""
        return by_hits(region, n)


@dataclass(frozen=True)
class Pairs:
    """Mean of `of(arrays_i, arrays_j)` over pairs of seeds, leave-one-seed-out jackknife interval.

    `of` must be symmetric. A control that states the value itself (an exact chance level) is taken as it is.
    """

    of: PairFunction

    @property
    def describes(self) -> str:
        """Estimate and interval in words, with the name of `of`: another function makes another declaration."""
        return f"mean of {self.of.__name__} over pairs of seeds, leave-one-seed-out jackknife"

    def summarise(self, part: str, measurements: Sequence[Measurement]) -> Summary:
        """See `Statistic`."""
        import numpy as np

        from energylens.stats import Interval, jackknife_pairs

        if all(part in measurement.value for measurement in measurements):  # type: ignore[operator]
            return _mean_of(_values(part, measurements))
        n = len(measurements)
        if n < 2:
            return Summary(Interval(np.nan, -np.inf, np.inf, n, se=np.inf, df=0))
        pairs = np.full((n, n), np.nan)
        for i in range(n):
            for j in range(i):
                pairs[i, j] = pairs[j, i] = float(self.of(measurements[i].arrays, measurements[j].arrays))
        return Summary(jackknife_pairs(pairs), pairs, on_scale=pairs)

    def reaches(self, region: Region, n: int) -> Reach:
        """Reach of pairs: both words with three seeds or more; two seeds make one pair, which has no spread."""
        return by_interval(region, n, fewest=3)


def _mean_of(values: Sequence[float]) -> Summary:
    import numpy as np

    from energylens.stats import t_interval

    return Summary(t_interval(values), on_scale=np.array(values))


def _values(part: str, measurements: Sequence[Measurement]) -> list[float]:
    try:
        return [measurement.value[part] for measurement in measurements]  # type: ignore[index]
    except KeyError:
        given = sorted({name for m in measurements for name in m.value})  # type: ignore[union-attr]
        raise InputError(f"the body measured {given}, but the claim judges {part!r}") from None


def _beside(name: str, measurements: Sequence[Measurement]) -> list[float]:
    try:
        return [measurement.beside[name] for measurement in measurements]
    except KeyError:
        given = sorted({key for m in measurements for key in m.beside})
        raise InputError(f"needs the number {name!r} beside every measurement, got {given}") from None


@contextmanager
def _naming(part: str) -> Iterator[None]:
    """Add the part to errors raised by the statistics; places count the seeds in order."""
    try:
        yield
    except InputError as error:
        raise InputError(f"part {part!r}, seeds in order: {error}") from None
