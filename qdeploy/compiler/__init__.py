"""From a network to an artifact: plan, kernel forms, TVM lowering."""
