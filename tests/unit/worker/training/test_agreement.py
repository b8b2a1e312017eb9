"""The statistics of agreement, against published examples and against what must hold by definition."""

import numpy as np
import pytest

from worker.analysis.goh import Goh
from worker.training.evaluation import agreement

# Shrout and Fleiss, Psychol Bull 1979;86:420, table 2: six targets, four judges; their ICC(2,1) is .29.
JUDGES = ((9, 6, 8, 7, 10, 6), (2, 1, 4, 1, 5, 2), (5, 3, 6, 2, 6, 4), (8, 2, 8, 6, 9, 7))


def test_icc_is_that_of_the_paper_that_defined_it() -> None:
    assert agreement.icc_2_1(*JUDGES) == pytest.approx(0.29, abs=0.005)


def test_icc_is_one_for_equal_raters_and_falls_with_a_shift() -> None:
    true = [0.0, 5.0, 12.0, 40.0]
    assert agreement.icc_2_1(true, true) == pytest.approx(1.0)
    shifted = agreement.icc_2_1(true, [value + 10 for value in true])
    assert shifted is not None
    assert shifted < 0.9


def test_icc_of_one_patient_or_of_no_difference_is_undefined() -> None:
    assert agreement.icc_2_1([1.0], [2.0]) is None
    assert agreement.icc_2_1([3.0, 3.0], [3.0, 3.0]) is None


def test_bias_and_limits_are_mean_and_spread_of_the_differences() -> None:
    limits = agreement.bland_altman([10.0, 20.0, 30.0], [11.0, 23.0, 32.0])
    assert limits is not None
    assert limits.bias == pytest.approx(2.0)
    assert limits.upper - limits.bias == pytest.approx(1.96 * np.std([1, 3, 2], ddof=1))
    assert agreement.bland_altman([1.0], [1.0]) is None


def test_kappa_takes_away_what_chance_would_agree_on() -> None:
    limited, extensive = Goh.limited, Goh.extensive
    assert agreement.cohen_kappa([limited, extensive], [limited, extensive]) == pytest.approx(1.0)
    # Half agreed, half expected by chance.
    pair = [limited, limited, extensive, extensive], [limited, extensive, limited, extensive]
    assert agreement.cohen_kappa(*pair) == pytest.approx(0.0)
    assert agreement.cohen_kappa([limited], [limited]) is None
    assert agreement.cohen_kappa([], []) is None
