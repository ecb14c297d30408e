"""DataFrame in, plotly Figure out. A chart never sees a result class, and draws only columns of its frame."""
