"""A grid of cells - models, precisions, retrievers, k - and the comparison of its arms."""
