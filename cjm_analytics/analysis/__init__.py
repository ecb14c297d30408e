"""One question, one file: function, analysis, partial, result."""
