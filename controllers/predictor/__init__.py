"""The predictor-guided controller: a Gaussian process over decisions and paths, and what it proposes."""
