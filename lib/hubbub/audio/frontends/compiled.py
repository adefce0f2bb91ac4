"""Loops compiled by Numba. A lane is a frame; lanes lie side by side, so that the loops are vectorised.

The transform of a real frame of n samples is done as a complex one of n/2, whose real parts are the even samples and
whose imaginary parts are the odd ones, and untangled afterwards: W. H. Press et al., Numerical Recipes, 3rd edition,
12.3.2. That costs little more than half.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Complexes = npt.NDArray[np.complexfloating]
Integers = npt.NDArray[np.int64]

_TALL, _WIDE = 8, 4  # samples x stretches turned at once: small enough for the processor's registers


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile at the first call, and keep the result on disk where there is a place for it."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor a home can be written to
        return numba.njit(**options)(function)

    @wraps(function)
    def call(*arguments: Any) -> None:
        try:
            compiled(*arguments)
        except OSError:  # a full disk: compiled it is, only not kept
            compiled(*arguments)

    return call


@_compiled
def transpose_hops(samples: Floats, first: int, turned: Floats) -> None:
    """Lay stretches of a hop each side by side: ``turned[j, s] = samples[(first + s) * hop + j]``.

    Parameters
    ----------
    samples
        [sample], at least to the end of the last stretch.
    first
        Number of the first stretch.
    turned
        [hop, stretch], written.
    """
    hop, stretches = turned.shape
    lying = samples[first * hop : (first + stretches) * hop].reshape(stretches, hop)
    tall, wide = hop - hop % _TALL, stretches - stretches % _WIDE
    for top in range(0, tall, _TALL):
        for left in range(0, wide, _WIDE):
            for row in range(_TALL):
                for column in range(_WIDE):
                    turned[top + row, left + column] = lying[left + column, top + row]
        for column in range(wide, stretches):
            for row in range(_TALL):
                turned[top + row, column] = lying[column, top + row]
    for row in range(tall, hop):
        for column in range(stretches):
            turned[row, column] = lying[column, row]


@_compiled
def pack_pairs(turned: Floats, window: Floats, packed: Complexes) -> None:
    """Window frames and pack their samples in pairs.

    Parameters
    ----------
    turned
        As `transpose_hops` makes it, stretches ``lane`` to ``lane + n_fft / hop`` being frame ``lane``.
    window
        [n_fft], n_fft even.
    packed
        Complex [n_fft / 2, lane], written: pair k of a lane holds samples 2k and 2k + 1 of its frame.
    """
    hop, (pairs, lanes) = len(turned), packed.shape
    for pair in range(pairs):
        even, odd = 2 * pair, 2 * pair + 1
        left, right = turned[even % hop, even // hop :], turned[odd % hop, odd // hop :]
        for lane in range(lanes):
            packed[pair, lane] = complex(left[lane] * window[even], right[lane] * window[odd])


@_compiled
def untangle(packed: Complexes, twiddle: Complexes, power: Floats) -> None:
    """Power of real frames from the transform of their packed samples.

    Parameters
    ----------
    packed
        Complex [n_fft / 2, lane], transformed along the first axis.
    twiddle
        Complex [n_fft / 4 + 1]: ``exp(-2j pi k / n_fft)``.
    power
        [n_fft / 2 + 1, lane], written.
    """
    half, lanes = packed.shape
    for lane in range(lanes):
        real, imag = packed[0, lane].real, packed[0, lane].imag
        power[0, lane] = (real + imag) * (real + imag)
        power[half, lane] = (real - imag) * (real - imag)
    for low in range(1, half // 2 + 1):
        high, cos, sin = half - low, twiddle[low].real, twiddle[low].imag
        for lane in range(lanes):
            a, b = packed[low, lane], packed[high, lane]
            # Twice the transforms of the even samples, and of the odd ones turned by the twiddle factor.
            even_real, even_imag = a.real + b.real, a.imag - b.imag
            odd_real, odd_imag = a.imag + b.imag, b.real - a.real
            turned_real, turned_imag = cos * odd_real - sin * odd_imag, cos * odd_imag + sin * odd_real
            low_real, low_imag = even_real + turned_real, even_imag + turned_imag
            high_real, high_imag = even_real - turned_real, even_imag - turned_imag
            power[low, lane] = (low_real * low_real + low_imag * low_imag) / 4
            power[high, lane] = (high_real * high_real + high_imag * high_imag) / 4


@_compiled
def sum_bands(spectrum: Floats, begins: Integers, ends: Integers, weights: Floats, sums: Floats, bands: Floats) -> None:
    """Sum bins into bands.

    Parameters
    ----------
    spectrum
        [bin, lane].
    begins, ends
        int64 [band]: band b sums the bins from ``begins[b]`` on, before ``ends[b]``.
    weights
        Of all bands' bins, one band after the other.
    sums
        [lane], scratch.
    bands
        [lane, band], written.
    """
    next_weight = 0
    for number in range(len(begins)):
        sums[:] = 0
        for place in range(begins[number], ends[number]):
            weight = weights[next_weight]
            next_weight += 1
            for lane in range(len(sums)):
                sums[lane] += weight * spectrum[place, lane]
        for lane in range(len(sums)):
            bands[lane, number] = sums[lane]


@_compiled
def multiply_rows(values: Floats, basis: Floats, products: Floats) -> None:
    """Multiply each row by a matrix, its terms summed in their order: ``products = values @ basis``.

    A BLAS product sums in an order that depends on how many rows there are, and on the processor; here a row's values
    are the same bits whatever rows lie beside it.

    Parameters
    ----------
    values
        [row, term].
    basis
        [term, column].
    products
        [row, column], written.
    """
    products[:] = 0
    for row in range(len(values)):
        for term in range(len(basis)):
            value = values[row, term]
            for column in range(basis.shape[1]):
                products[row, column] += value * basis[term, column]


@_compiled
def spectral_moments(magnitude: Floats, hz: Floats, share: float, silent: float, moments: Floats) -> None:
    """Centroid, bandwidth and roll-off of frames, whose magnitudes are taken as distributions over frequency.

    As in G. Peeters, A large set of audio features, IRCAM, 2004. Summed in float64.

    Parameters
    ----------
    magnitude
        [bin, lane].
    hz
        [bin].
    share
        Of the sum of magnitudes, what lies below the roll-off.
    silent
        Sums below it are not divided by, as librosa has it.
    moments
        [lane, 3], written, in Hz.
    """
    bins, lanes = magnitude.shape
    total, centroid, variance, upto = np.zeros((4, lanes))
    below = np.zeros(lanes, np.int64)
    for place in range(bins):
        for lane in range(lanes):
            total[lane] += magnitude[place, lane]
            centroid[lane] += hz[place] * magnitude[place, lane]
    divisor = np.where(total < silent, 1.0, total)
    centroid /= divisor
    for place in range(bins):
        for lane in range(lanes):
            deviation = hz[place] - centroid[lane]
            variance[lane] += deviation * deviation * magnitude[place, lane]
            upto[lane] += magnitude[place, lane]
            below[lane] += upto[lane] < share * total[lane]
    for lane in range(lanes):
        moments[lane, 0] = centroid[lane]
        moments[lane, 1] = np.sqrt(variance[lane] / divisor[lane])
        moments[lane, 2] = hz[below[lane]]
